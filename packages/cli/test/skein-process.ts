import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const WAIT_MS = 20_000;
const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
/** What makes a terminal out of pipes (util-linux). */
const SCRIPT = '/usr/bin/script';
const INSTALLED = fileURLToPath(new URL('../../../node_modules/.bin', import.meta.url));
const CACHE = fileURLToPath(new URL('../../../node_modules/.cache/skein', import.meta.url));

export type Line = Readonly<Record<string, unknown>>;

export interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The lines of the standard output that are JSON objects. */
  readonly lines: readonly Line[];
}

/** A folder of its own for a test. */
export class TempDir implements Disposable {
  readonly path = mkdtempSync(path.join(os.tmpdir(), 'skein-cli-'));

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** The `skein` command as a process. Disposing it kills it. */
export class SkeinProcess implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly #closed: Promise<number | null>;
  #stdout = '';
  #stderr = '';
  readonly #lines: Line[] = [];
  readonly #wakers = new Set<() => void>();

  constructor(
    args: readonly string[],
    {
      cwd,
      env = {},
      input,
      wrap = (command) => command,
    }: {
      cwd: string;
      env?: Record<string, string>;
      input?: 'open';
      /** The command line that runs this one. */
      wrap?: (command: readonly [string, ...string[]]) => readonly [string, ...string[]];
    },
  ) {
    const [program, ...rest] = wrap([process.execPath, '--conditions=skein-source', MAIN, ...args]);
    this.child = spawn(program, rest, {
      cwd,
      env: { ...cleanEnvironment(), ...env },
      stdio: [input === 'open' ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    });
    const { promise, resolve } = Promise.withResolvers<number | null>();
    this.#closed = promise;
    this.child.once('close', (code) => {
      resolve(code);
      this.#wake();
    });
    const { stdout, stderr } = this.child;
    if (stdout === null || stderr === null) throw new Error('spawned without pipes');
    stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
    });
    stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
      this.#wake();
    });
    createInterface({ input: stdout }).on('line', (line) => {
      const value = parse(line);
      if (value !== undefined) this.#lines.push(value);
      this.#wake();
    });
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** All that it has printed so far. */
  get shown(): string {
    return this.#stdout + this.#stderr;
  }

  /** Everything once it has ended. */
  async result(): Promise<Result> {
    const code = await this.#closed;
    return { code, stdout: this.#stdout, stderr: this.#stderr, lines: this.#lines };
  }

  /** The first JSON line that fits, past ones included. */
  async line(fits: (line: Line) => boolean): Promise<Line> {
    for (;;) {
      const found = this.#lines.find(fits);
      if (found !== undefined) return found;
      await this.#next(`no such line; there are ${JSON.stringify(this.#lines)}`);
    }
  }

  /** Resolves when the error stream has said this. */
  async said(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.#stdout + this.#stderr);
      if (found !== null) return found;
      await this.#next(`it did not say ${pattern}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGKILL');
    await this.#closed;
  }

  async #next(problem: string): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) {
      throw new Error(`It ended: ${problem}\n${this.#stdout}\n${this.#stderr}`);
    }
    // Shorter than a test may take, so that a test that fails still ends what it started.
    const late = AbortSignal.timeout(WAIT_MS);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const fail = () => reject(new Error(`After ${WAIT_MS / 1_000} s ${problem}\n${this.#stdout}\n${this.#stderr}`));
    late.addEventListener('abort', fail, { once: true });
    this.#wakers.add(resolve);
    await promise.finally(() => late.removeEventListener('abort', fail));
  }

  #wake(): void {
    for (const wake of this.#wakers) wake();
    this.#wakers.clear();
  }
}

/** Why there is no terminal for a test; null where there is one. */
export const noTerminal = existsSync(SCRIPT) ? null : 'no `script`: apt-get install -y bsdutils';

/** The `skein` command on a pseudo-terminal, as a person runs it: what is typed goes in, what is shown comes out. */
export class SkeinTerminal extends SkeinProcess {
  constructor(args: readonly string[], { cwd }: { readonly cwd: string }) {
    super(args, { cwd, env: { TERM: 'xterm' }, input: 'open', wrap: onTerminal });
  }

  /** Presses these keys. */
  type(keys: string): void {
    this.child.stdin?.write(keys);
  }
}

function onTerminal(command: readonly string[]): readonly [string, ...string[]] {
  const line = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  // Out of pipes it has no size, and every letter would have a line of its own.
  return [SCRIPT, '-qefc', `stty rows 40 cols 120; exec ${line}`, '/dev/null'];
}

/** Runs a command to its end. */
export async function skein(cwd: string, args: readonly string[], input?: string): Promise<Result> {
  await using process = new SkeinProcess(args, { cwd, ...(input === undefined ? {} : { input: 'open' }) });
  if (input !== undefined) process.child.stdin?.end(input);
  return await process.result();
}

/** Whether there is a process with this number. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Resolves when no process with this number is left. */
export async function untilGone(pid: number): Promise<void> {
  for (const startedMs = performance.now(); ; ) {
    if (performance.now() - startedMs > WAIT_MS) throw new Error(`Process ${pid} is still there after ${WAIT_MS / 1_000} s`);
    if (!isAlive(pid)) return;
    // Nothing tells the end of a process that is not a child.
    await once(AbortSignal.timeout(20), 'abort');
  }
}

/** Nothing of the machine that runs the tests decides what a node is or thinks with; `skein` is installed on it. */
function cleanEnvironment(): Record<string, string> {
  return { NODE_COMPILE_CACHE: CACHE, NO_COLOR: '1', PATH: `/usr/local/bin:/usr/bin:/bin:${INSTALLED}` };
}

function parse(line: string): Line | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
