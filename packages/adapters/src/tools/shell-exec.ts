import { stat } from 'node:fs/promises';
import { defineTool, type Tool } from '@skein/agent';
import { SkeinError } from '@skein/protocol';
import { z } from 'zod';
import { CommandKeeper } from './command-keeper.ts';
import { createMark, noteCommand } from './command-marks.ts';
import { type CommandPolicy, createCommandPolicy } from './command-policy.ts';
import { shellExecExamples } from './examples.ts';
import { findProgram, SYSTEM_PATH } from './find-program.ts';
import { Jail } from './jail.ts';
import { createLimiter, type Limiter } from './memory-limit.ts';
import { ProcessTable } from './process-table.ts';
import { READ_ONLY_COMMANDS } from './read-only-commands.ts';
import { runProcess } from './run-process.ts';
import { splitWords } from './split-words.ts';

export interface ShellExecOptions {
  /** The folder commands run in; their `cwd` cannot leave it. */
  readonly root: string;
  /** Files and folders no argument may name: the node's keys, data and configuration. */
  readonly hidden?: readonly string[];
  /** See `createCommandPolicy`; by default the commands of the read-only table. */
  readonly allow?: readonly string[];
  /** Runs `command` by /bin/sh. Whoever may call the tool may then do all that this node's user may. */
  readonly shell?: boolean;
  /** The longest a command may run. */
  readonly maxTimeoutMs?: number;
  /** How long it may run when the call does not say. */
  readonly timeoutMs?: number;
  readonly maxOutputBytes?: number;
  /** Address space of each process of a command. Held where `prlimit` (util-linux) is present, which is Linux. */
  readonly memoryBytes?: number;
  /** Commands at once; one more is refused as `busy`. */
  readonly maxConcurrent?: number;
  /** A folder that is this node's alone: commands are marked by it, so that its next life finds what this one left. */
  readonly owner?: string;
  /** Absolute folders programs are looked for in, in order. */
  readonly path?: readonly string[];
}

export const SHELL_EXEC_DEFAULTS = {
  allow: [...READ_ONLY_COMMANDS.keys()],
  shell: false,
  maxTimeoutMs: 300_000,
  timeoutMs: 30_000,
  maxOutputBytes: 131_072,
  memoryBytes: 1_073_741_824,
  maxConcurrent: 16,
  path: SYSTEM_PATH,
} as const satisfies Omit<ShellExecOptions, 'root'>;

type Settings = Required<Omit<ShellExecOptions, 'owner'>> & Pick<ShellExecOptions, 'owner'>;

const NAME = 'shell_exec';
const RETRY_AFTER_MS = 1_000;

const input = z.object({
  command: z.string().min(1).max(8_192).describe('A command line, such as "df -h". Give this or argv.').optional(),
  argv: z
    .array(z.string().max(8_192))
    .min(1)
    .max(256)
    .describe('The command and its arguments, each as it is, such as ["df", "-h"].')
    .optional(),
  cwd: z.string().max(4_096).describe('The folder to run it in, relative to the root folder.').optional(),
  timeoutMs: z.int().min(1).max(3_600_000).describe('The longest it may run, in milliseconds.').optional(),
});

/**
 * The tool that runs a program and returns `{ exitCode, signal, stdout, stderr, truncated, ms }`; a nonzero exit is a
 * result. Its `effect` is `read` when all that is allowed only reads.
 *
 * What holds the command: the allow-list, `cwd` inside the root, time and output bounds, an environment of PATH, LANG,
 * HOME, TZ and a mark (nothing of this process's), no input, and the end of all its processes with
 * it and with this node. Commands of the
 * read-only table read files inside the root only. Any other allowed command, and a shell, can open what this node's
 * user can: run the node as a user of its own when that is too much. Linux and macOS; elsewhere it is `unsupported`.
 */
export function createShellExec(options: ShellExecOptions): Tool {
  const settings: Settings = { ...SHELL_EXEC_DEFAULTS, hidden: [], ...options };
  const policy = createCommandPolicy(settings.allow);
  const runner = new CommandRunner(settings, policy);
  return defineTool({
    name: NAME,
    description: describe(settings, policy),
    input,
    effect: policy.readsOnly && !settings.shell ? 'read' : 'at-most-once',
    untrusted: true,
    examples: shellExecExamples,
    async run(call, context) {
      const { exitCode, signal, stdout, stderr, truncated, ms } = await runner.run(call, context);
      return { exitCode, signal, stdout, stderr, truncated, ms };
    },
  });
}

class CommandRunner {
  readonly #settings: Settings;
  readonly #policy: CommandPolicy;
  readonly #jail: Jail;
  readonly #processes = new ProcessTable();
  readonly #keeper = new CommandKeeper();
  #limiter: Limiter | undefined;
  #running = 0;

  constructor(settings: Settings, policy: CommandPolicy) {
    this.#settings = settings;
    this.#policy = policy;
    this.#jail = new Jail(settings);
  }

  async run(call: z.infer<typeof input>, context: Parameters<Tool['run']>[1]) {
    const { maxConcurrent, maxTimeoutMs, timeoutMs, maxOutputBytes } = this.#settings;
    if (process.platform === 'win32') {
      throw new SkeinError(`${NAME} runs on Linux and macOS only`, { code: 'unsupported' });
    }
    if (this.#running >= maxConcurrent) {
      throw new SkeinError(`${this.#running} commands run already, the most this node runs at once; try again`, {
        code: 'busy',
        retryAfterMs: RETRY_AFTER_MS,
      });
    }
    this.#running += 1;
    try {
      const cwd = await this.#folder(call.cwd ?? '.');
      const { name, file, args } = await this.#program(call, cwd);
      this.#limiter ??= await createLimiter(this.#settings.memoryBytes, this.#settings.path);
      return await runProcess({
        name,
        ...(await this.#limiter(file, args)),
        cwd,
        env: await this.#environment(),
        mark: await this.#mark(),
        timeoutMs: Math.min(call.timeoutMs ?? timeoutMs, maxTimeoutMs),
        maxOutputBytes,
        signal: context.signal,
        emit: (delta) => context.emit(delta),
        processes: this.#processes,
        keeper: this.#keeper,
        mayLeaveProcesses: !this.#policy.readsOnly || this.#settings.shell,
      });
    } finally {
      this.#running -= 1;
    }
  }

  #mark(): Promise<string> {
    const { owner, root } = this.#settings;
    if (owner !== undefined) noteCommand(owner);
    return createMark(owner ?? root);
  }

  async #folder(path: string): Promise<string> {
    const { real, exists } = await this.#jail.locate(path);
    if (exists && (await stat(real)).isDirectory()) return real;
    throw new SkeinError(`${JSON.stringify(path)} is no folder to run a command in`, { code: 'not-found' });
  }

  async #program(
    { command, argv }: z.infer<typeof input>,
    cwd: string,
  ): Promise<{ name: string; file: string; args: readonly string[] }> {
    if ((command === undefined) === (argv === undefined)) {
      throw new SkeinError(`${NAME} takes either command or argv, and one of them`, { code: 'invalid' });
    }
    if (this.#settings.shell && command !== undefined) {
      if (command.includes('\0')) throw hasNul();
      return { name: 'The shell command', file: '/bin/sh', args: ['-c', command] };
    }
    const words = argv ?? splitWords(command ?? '');
    if (words.some((word) => word.includes('\0'))) throw hasNul();
    const [name = '', ...given] = words;
    const args = this.#settings.shell ? given : await this.#policy.check(words, { jail: this.#jail, cwd });
    const file = await findProgram(name, this.#settings.path);
    if (file !== undefined) return { name, file, args };
    throw new SkeinError(`There is no program ${JSON.stringify(name)} on this machine in ${this.#settings.path.join(':')}`, {
      code: 'not-found',
    });
  }

  async #environment(): Promise<Record<string, string>> {
    return {
      PATH: this.#settings.path.join(':'),
      LANG: 'C.UTF-8',
      HOME: await this.#jail.root(),
      TZ: Intl.DateTimeFormat().resolvedOptions().timeZone,
    };
  }
}

function describe({ shell, allow, timeoutMs }: Settings, policy: CommandPolicy): string {
  const what = shell
    ? 'Runs a shell command (/bin/sh) and returns its output.'
    : `Runs one program without a shell (no pipes, redirections or patterns) and returns its output. Allowed: ${allow.join(', ')}.`;
  const files = policy.readsOnly && !shell ? ' Files are read inside the root folder only.' : '';
  return `${what}${files} It is stopped after ${timeoutMs} ms unless timeoutMs says otherwise.`.slice(0, 2_000);
}

function hasNul(): SkeinError {
  return new SkeinError('The command holds a NUL character, which no program can be given', { code: 'invalid' });
}
