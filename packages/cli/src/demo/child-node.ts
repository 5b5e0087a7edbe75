import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { isErrorCode, SkeinError } from '@skein/protocol';

/** Wait before the first restart; it doubles from there. */
const RESTART_MS = 250;
const RESTART_MAX_MS = 10_000;
/** A node that ran this long was well: the next restart is quick again. */
const WELL_MS = 10_000;
/** How long a node has to stop by itself. */
const STOP_MS = 3_000;
const KEPT_CHARACTERS = 2_000;

/** What happens to a node's process. */
export type ChildEvent =
  | {
      readonly type: 'ready';
      readonly pid: number;
      readonly port: number;
      readonly page: string | null;
      readonly again: boolean;
    }
  | { readonly type: 'ended'; readonly how: string; readonly retryInMs: number };

export interface ChildNodeParts {
  readonly name: string;
  /** Arguments of this program that start the node; it must print its lines as JSON and stop when its input closes. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly onEvent: (event: ChildEvent) => void;
}

/** A node in a process of its own, started again when it ends without being asked to. */
export class ChildNode {
  readonly #parts: ChildNodeParts;
  readonly #stopping = new AbortController();
  #child: ChildProcess | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(parts: ChildNodeParts) {
    this.#parts = parts;
  }

  get name(): string {
    return this.#parts.name;
  }

  /** Resolves when it is ready for the first time. @throws SkeinError with what the node said when it cannot start. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#running = this.#supervise(resolve).then(() => reject(canceled()), reject);
    });
  }

  /** Ends the process, by force where it takes too long. Resolves when it is gone. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const child = this.#child;
    child?.kill('SIGTERM');
    const force = setTimeout(() => child?.kill('SIGKILL'), STOP_MS);
    await this.#running;
    clearTimeout(force);
  }

  async #supervise(onReady: () => void): Promise<void> {
    let wasReady = false;
    for (let failures = 0; !this.#stopping.signal.aborted; failures += 1) {
      const startedMs = performance.now();
      const run = await this.#run((ready) => {
        this.#parts.onEvent({ type: 'ready', ...ready, again: wasReady });
        wasReady = true;
        onReady();
      });
      if (this.#stopping.signal.aborted) return;
      if (!wasReady) throw new SkeinError(`${this.name} did not start: ${run.message}`, { code: run.code });
      if (performance.now() - startedMs > WELL_MS) failures = 0;
      const retryInMs = Math.min(RESTART_MS * 2 ** failures, RESTART_MAX_MS);
      this.#parts.onEvent({ type: 'ended', how: run.message, retryInMs });
      await wait(retryInMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
    }
  }

  /** One process from start to end; resolves with how it ended. */
  async #run(onReady: (ready: { pid: number; port: number; page: string | null }) => void): Promise<SkeinError> {
    const { args, env } = this.#parts;
    const program = process.argv[1] ?? '';
    const child = spawn(process.execPath, [...process.execArgv, program, ...args], { env, stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child = child;
    // Nothing is ever written to it: that it closes is what tells the node that we are gone.
    child.stdin.on('error', () => {});
    let failure: SkeinError | undefined;
    const lines = createInterface({ input: child.stdout });
    lines.on('line', (line) => {
      const value = parseLine(line);
      if (value?.type === 'ready') onReady({ pid: child.pid ?? 0, port: Number(value.port), page: textOf(value.page) });
      if (value?.type === 'error') failure = errorOf(value);
    });
    const complaints = lastOf(child.stderr);
    return new Promise((resolve) => {
      child.once('error', (cause) => resolve(new SkeinError(cause.message, { code: 'unavailable', cause })));
      child.once('close', (code, signal) => {
        const how = signal === null ? `it ended with code ${code}` : `it was ended by ${signal}`;
        resolve(
          failure ?? new SkeinError([how, complaints()].filter((text) => text !== '').join(': '), { code: 'unavailable' }),
        );
      });
    });
  }
}

function parseLine(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined; // Not one of the lines that matter here.
  }
}

function errorOf({ code, message }: Readonly<Record<string, unknown>>): SkeinError {
  return new SkeinError(textOf(message) ?? 'it did not say why', { code: isErrorCode(code) ? code : 'internal' });
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** The end of what a stream said. */
function lastOf(stream: Readable): () => string {
  let text = '';
  stream.setEncoding('utf8').on('data', (part: string) => {
    text = (text + part).slice(-KEPT_CHARACTERS);
  });
  return () => text.trim();
}

function canceled(): SkeinError {
  return new SkeinError('It was stopped before it was ready', { code: 'canceled' });
}
