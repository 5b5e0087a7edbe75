import { SkeinError } from '@skein/protocol';
import { CommanderError } from 'commander';
import { plainText } from './plain-text.ts';
import { createProgram } from './program.ts';
import type { Shell } from './shell.ts';

const FAILED = 1;
const USAGE = 2;
/** 128 + the signal's number is how a shell tells a death by signal. */
const SIGNAL_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** What the system says when a file or folder cannot be used, in words. */
const SYSTEM_WORDS: ReadonlyMap<string, string> = new Map([
  ['EACCES', 'the user of this process may not use it; give it the right, or choose another folder with --data-dir'],
  ['EPERM', 'the system does not permit that here; choose another folder with --data-dir'],
  ['EROFS', 'nothing can be written there; choose another folder with --data-dir'],
  ['ENOSPC', 'the disk is full'],
  ['ENOTDIR', 'a part of this path is a file, not a folder'],
  ['EISDIR', 'this is a folder, and a file is needed'],
  ['EEXIST', 'this is a file, and a folder is needed'],
]);

/** Runs one command line and resolves with the exit code. The one place where errors become words. */
export async function runSkein(args: readonly string[], shell: Shell): Promise<number> {
  using _shell = shell;
  try {
    await createProgram(shell).parseAsync(asHelp(args), { from: 'user' });
    return 0;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return usage(thrown, args, shell);
    return failed(thrown, args, shell);
  }
}

/** `skein help net` as `skein net --help`. */
function asHelp(args: readonly string[]): string[] {
  const [first, ...rest] = args;
  return first === 'help' ? [...rest, '--help'] : [...args];
}

/** What commander raises: help and version that were asked for, or a command line that does not parse. */
function usage(error: CommanderError, args: readonly string[], shell: Shell): number {
  if (error.exitCode === 0) return 0;
  if (error.code === 'commander.help') {
    // The help is on the error stream by now; a program gets its line all the same.
    if (isJson(args, shell)) report(new SkeinError('Say which command; --help lists them', { code: 'invalid' }), args, shell);
    return USAGE;
  }
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
  report(fromSystem(thrown) ?? SkeinError.from(thrown), args, shell);
  if (shell.verbose && thrown instanceof Error) shell.note(describeCauses(thrown));
  return FAILED;
}

/** What the file system refuses is the person's to mend, and no fault of ours. */
function fromSystem(thrown: unknown): SkeinError | undefined {
  if (!(thrown instanceof Error) || !('code' in thrown && 'path' in thrown) || typeof thrown.path !== 'string')
    return undefined;
  const words = SYSTEM_WORDS.get(String(thrown.code));
  return words === undefined ? undefined : new SkeinError(`${thrown.path}: ${words}`, { code: 'unavailable', cause: thrown });
}

function report(error: SkeinError, args: readonly string[], shell: Shell): void {
  const { code, message } = error;
  if (isJson(args, shell)) {
    shell.event({ type: 'error', code, message });
    return;
  }
  const color = shell.stderr.isTTY ? shell.colors.red : String;
  shell.stderr.write(`${color('error:')} ${plainText(shell.typed(message))}\n`);
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
