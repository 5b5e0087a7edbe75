import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { abortReason, SkeinError } from '@skein/protocol';
import type { CommandKeeper } from './command-keeper.ts';
import { type ProcessTable, startedNow } from './process-table.ts';
import { endProcessTree, groupIsAlive, type ProcessTree } from './process-tree.ts';
import { Stop } from './stop.ts';

export interface ProcessRequest {
  /** What to call it in messages. */
  readonly name: string;
  /** Absolute path of the program. */
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** The whole environment; `mark` is added. */
  readonly env: Readonly<Record<string, string>>;
  /** `NAME=value` that is this run's alone, by which its processes are found again. */
  readonly mark: string;
  readonly timeoutMs: number;
  /** Of both outputs together; more ends the command. */
  readonly maxOutputBytes: number;
  readonly signal: AbortSignal;
  /** Gets the standard output as it comes; nothing more is read until it resolves. */
  readonly emit: (delta: string) => Promise<void>;
  /** Whether what it leaves behind is looked for outside its process group too, once it has ended by itself. */
  readonly mayLeaveProcesses: boolean;
  /** Where its processes are looked up. */
  readonly processes: ProcessTable;
  /** Ends it should this process end first. */
  readonly keeper: CommandKeeper;
}

export interface ProcessResult {
  /** Null when a signal ended it. */
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Whether it was ended because it wrote more than allowed. */
  readonly truncated: boolean;
  readonly ms: number;
}

type StopReason = 'canceled' | 'timeout' | 'flood' | 'emit-failed';

/** Characters of one partial output. */
const DELTA_LENGTH = 16_384;
/** How much of the output so far a timeout's message shows. */
const SHOWN_LENGTH = 500;
/** A killed process the kernel does not let go of is given up after this long. */
const GIVE_UP_MS = 500;

/**
 * Runs one program to its end, without a shell, in a process group of its own that ends with it, and with this process.
 * @throws SkeinError `canceled` or the signal's reason, `deadline-exceeded` after `timeoutMs`, `unavailable` when it
 * cannot be started, and what `emit` raises. By then its processes have been ended.
 */
export async function runProcess(request: ProcessRequest): Promise<ProcessResult> {
  const { signal } = request;
  if (signal.aborted) throw abortReason(signal);
  const startedAt = performance.now();
  const { mark } = request;
  const [markName = '', markValue] = mark.split('=');
  const since = startedNow();
  const child = spawn(request.file, request.args, {
    cwd: request.cwd,
    env: { ...request.env, [markName]: markValue },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  // At once: should this process be killed now, nobody else would know of it.
  using _kept = child.pid === undefined ? undefined : request.keeper.keep(child.pid, mark);
  const exited = once(child, 'exit');
  try {
    await once(child, 'spawn');
  } catch (error) {
    exited.catch(() => undefined);
    throw new SkeinError(`${request.name} cannot be started`, { code: 'unavailable', cause: error });
  }
  // Proven: 'spawn' was emitted, so the pid is set.
  const tree: ProcessTree = { pid: child.pid as number, mark, since };

  const stop = new Stop<StopReason>();
  const output = new Output(request, stop);
  const onAbort = () => stop.because('canceled');
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  const timer = setTimeout(() => stop.because('timeout'), request.timeoutMs);
  try {
    const reading = Promise.all([output.read(child.stdout, 'stdout'), output.read(child.stderr, 'stderr')]);
    const ended = endWithLeader(request, tree, { exited, reading });
    await stop.first(ended);
    if (stop.reason !== undefined) {
      // Before its pipes are closed, which `finally` does: it would end of that first, as if by itself.
      await endProcessTree(tree, request.processes);
      await unlessStuck(ended);
    }
    return output.result(child.exitCode, child.signalCode, performance.now() - startedAt);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    child.stdout.destroy();
    child.stderr.destroy();
  }
}

/** Resolves when the command ended, what it left behind was ended too, and its output was read. */
async function endWithLeader(
  { mayLeaveProcesses, processes }: ProcessRequest,
  tree: ProcessTree,
  { exited, reading }: { readonly exited: Promise<unknown>; readonly reading: Promise<unknown> },
): Promise<void> {
  await exited;
  if (mayLeaveProcesses || groupIsAlive(tree.pid)) await endProcessTree(tree, processes);
  await reading;
}

async function unlessStuck(ended: Promise<void>): Promise<void> {
  const gaveUp = Promise.withResolvers<void>();
  const timer = setTimeout(gaveUp.resolve, GIVE_UP_MS);
  try {
    await Promise.race([ended, gaveUp.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** What a command wrote, up to the bound, passed on as it comes. */
class Output {
  readonly #text = { stdout: '', stderr: '' };
  readonly #request: ProcessRequest;
  readonly #stop: Stop<StopReason>;
  #room: number;
  #emitError: unknown;

  constructor(request: ProcessRequest, stop: Stop<StopReason>) {
    this.#request = request;
    this.#stop = stop;
    this.#room = request.maxOutputBytes;
  }

  /** Reads one stream to its end; keeps nothing that comes after the command was stopped. Never rejects. */
  async read(stream: Readable, name: 'stdout' | 'stderr'): Promise<void> {
    const decoder = new StringDecoder('utf8');
    try {
      for await (const chunk of stream) {
        // What still comes while the command is being ended is let go.
        if (this.#stop.reason !== undefined) continue;
        const bytes: Buffer = chunk;
        const taken = bytes.subarray(0, this.#room);
        this.#room -= taken.length;
        const flooded = taken.length < bytes.length;
        const text = decoder.write(taken) + (flooded ? this.#note() : '');
        this.#text[name] += text;
        if (name === 'stdout') await this.#emit(text);
        if (flooded) this.#stop.because('flood');
      }
      if (this.#stop.reason === undefined) this.#text[name] += decoder.end();
    } catch {
      // The stream was destroyed because the command was stopped; the reason is told by `result`.
    }
  }

  /** The outcome once all has ended. */
  result(exitCode: number | null, signalName: string | null, ms: number): ProcessResult {
    const { reason } = this.#stop;
    if (reason === 'emit-failed') throw SkeinError.from(this.#emitError);
    if (reason === 'canceled') throw abortReason(this.#request.signal);
    if (reason === 'timeout') throw this.#tookTooLong();
    return { exitCode, signal: signalName, ...this.#text, truncated: reason === 'flood', ms: Math.round(ms) };
  }

  async #emit(text: string): Promise<void> {
    for (let at = 0; at < text.length && this.#stop.reason === undefined; at += DELTA_LENGTH) {
      try {
        await this.#stop.first(this.#request.emit(text.slice(at, at + DELTA_LENGTH)));
      } catch (error) {
        this.#emitError = error;
        this.#stop.because('emit-failed');
      }
    }
  }

  #note(): string {
    return `\n[output cut at ${this.#request.maxOutputBytes} bytes; the command was stopped]\n`;
  }

  #tookTooLong(): SkeinError {
    const { name, timeoutMs } = this.#request;
    const written = (this.#text.stdout || this.#text.stderr).slice(-SHOWN_LENGTH).trim();
    const shown = written === '' ? 'it wrote nothing' : `it wrote at last: ${written}`;
    return new SkeinError(`${name} ran longer than ${timeoutMs} ms and was stopped; ${shown}`, { code: 'deadline-exceeded' });
  }
}
