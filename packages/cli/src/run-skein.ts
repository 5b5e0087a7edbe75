import { SkeinError } from '@skein/protocol';
import { CommanderError } from 'commander';
import { plainText } from './plain-text.ts';
import { createProgram } from './program.ts';
import type { Shell } from './shell.ts';

const FAILED = 1;
const USAGE = 2;
/** 128 + the signal's number is how a shell tells a death by signal. */
const SIGNAL_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** Runs one command line and resolves with the exit code. The one place where errors become words. */
export async function runSkein(args: readonly string[], shell: Shell): Promise<number> {
  using _shell = shell;
  try {
    await createProgram(shell).parseAsync([...args], { from: 'user' });
    return 0;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return usage(thrown, args, shell);
    return failed(thrown, args, shell);
  }
}

/** What commander raises: help and version that were asked for, or a command line that does not parse. */
function usage(error: CommanderError, args: readonly string[], shell: Shell): number {
  if (error.exitCode === 0) return 0;
  if (error.code === 'commander.help') return USAGE;
  const message = error.message.replace(/^error: /, '').replaceAll('\n', ' ');
  report(new SkeinError(capitalised(message), { code: 'invalid' }), args, shell);
  if (!isJson(args, shell)) shell.note('Run it with --help to see how it goes.');
  return USAGE;
}

function failed(thrown: unknown, args: readonly string[], shell: Shell): number {
  const { interruptedBy } = shell;
  if (shell.signal.aborted && SkeinError.from(thrown).code === 'canceled') {
    if (interruptedBy === undefined) return FAILED;
    report(new SkeinError('Interrupted', { code: 'canceled' }), args, shell);
    return SIGNAL_CODES[interruptedBy];
  }
  report(SkeinError.from(thrown), args, shell);
  if (shell.verbose && thrown instanceof Error) shell.note(describeCauses(thrown));
  return FAILED;
}

function report(error: SkeinError, args: readonly string[], shell: Shell): void {
  const { code, message } = error;
  if (isJson(args, shell)) {
    shell.event({ type: 'error', code, message });
    return;
  }
  const color = shell.stderr.isTTY ? shell.colors.red : String;
  shell.stderr.write(`${color('error:')} ${plainText(message)}\n`);
  if (code === 'internal' && !shell.verbose) shell.note('That is a fault of Skein itself; --verbose shows where.');
}

/** The options may not have been parsed yet when the command line is what is wrong. */
function isJson(args: readonly string[], shell: Shell): boolean {
  return shell.json || args.includes('--json');
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function describeCauses(error: Error): string {
  const stack = error.stack ?? error.message;
  return error.cause instanceof Error ? `${stack}\ncaused by ${describeCauses(error.cause)}` : stack;
}
