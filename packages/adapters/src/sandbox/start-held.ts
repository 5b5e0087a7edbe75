import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import os from 'node:os';
import { pipeline, Readable, Transform, Writable } from 'node:stream';
import { SkeinError } from '@skein/protocol';
import type { EgressProxy } from './egress/egress-proxy.ts';
import { type BehindProxy, handOver } from './egress/hand-over.ts';
import { OutputMeter } from './output-meter.ts';
import type { Isolation, Refusals, SandboxEnd, SandboxEndReason, Sandboxed, SandboxLimits } from './sandbox.ts';
import type { TaskGroup } from './task-group.ts';
import { watchUsage } from './watch-usage.ts';

/** A command line that is complete, and what it is to be held to. */
export interface HeldStart {
  readonly name: string;
  readonly isolation: Isolation;
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly limits: SandboxLimits;
  /** Whether it may have processes of its own. */
  readonly tree: boolean;
  /** For a program that starts the one that counts: told what it asks for on its descriptor, it says who that is. */
  readonly inner?: InnerStart;
  /** For a program that runs behind a proxy, in whose place its forerunner is started. */
  readonly behind?: BehindProxy;
}

/** The descriptors by which bubblewrap tells which process it made, takes its filter, and is told to go on. */
interface InnerStart {
  readonly infoFd: number;
  readonly filterFd: number;
  readonly filter: Buffer;
  readonly goFd: number;
  /** Takes the process in before it goes on. */
  readonly group: TaskGroup | undefined;
}

/** Below what else runs here: a loop in foreign code must not slow this node down. */
const NICENESS = 10;
/** A holder whose program was killed ends by itself within this. */
const KILL_WAIT_MS = 1_000;
const MAX_INFO_BYTES = 4_096;

/** @throws SkeinError `unavailable` when it does not start. */
export async function startHeld(start: HeldStart): Promise<Sandboxed> {
  const { name, inner, behind } = start;
  const child = spawn(start.file, start.args, {
    cwd: start.cwd,
    env: start.env,
    detached: true,
    stdio: [
      ...Array.from({ length: inner === undefined ? 3 : 6 }, () => 'pipe' as const),
      ...(behind === undefined ? [] : ['ipc' as const]),
    ],
  });
  const exited = once(child, 'exit');
  try {
    await once(child, 'spawn');
  } catch (error) {
    exited.catch(() => undefined);
    throw new SkeinError(`${name} cannot be started`, { code: 'unavailable', cause: error });
  }
  const { pid, stdin, stdout, stderr } = child;
  if (pid === undefined || stdin === null || stdout === null || stderr === null) {
    throw new SkeinError(`${name} was started without its pipes`, { code: 'internal' });
  }
  lowerPriority(pid);
  if (behind !== undefined) handOver(child, behind);
  // A pipe nobody reads any more is told of by its end.
  stdin.on('error', () => undefined);
  const innerPid = inner === undefined ? pid : await admitInner(child, inner);
  return new HeldProcess({ start, child: { pid, stdin, stdout, stderr }, exited, innerPid });
}

interface Pipes {
  readonly pid: number;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
}

class HeldProcess implements Sandboxed {
  readonly isolation: Isolation;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly closed: Promise<SandboxEnd>;
  readonly #pid: number;
  /** The process with which all others end; undefined when it ended before it was known. */
  readonly #innerPid: number | undefined;
  readonly #watch: Disposable | undefined;
  readonly #proxy: EgressProxy | undefined;
  #reason: SandboxEndReason | undefined;
  #ended = false;
  #killTimer: NodeJS.Timeout | undefined;

  constructor(parts: {
    readonly start: HeldStart;
    readonly child: Pipes;
    readonly exited: Promise<unknown[]>;
    readonly innerPid: number | undefined;
  }) {
    const { start, child, exited, innerPid } = parts;
    const { limits, tree } = start;
    this.isolation = start.isolation;
    this.#pid = child.pid;
    this.#innerPid = innerPid;
    this.#proxy = start.behind?.proxy;
    const meter = new OutputMeter({
      bytesPerSecond: limits.outputBytesPerSecond,
      monotonicMs: () => performance.now(),
      onFlood: () => this.#end('flood'),
    });
    this.stdin = child.stdin;
    this.stdout = metered(child.stdout, meter);
    this.stderr = metered(child.stderr, meter);
    if (innerPid !== undefined) {
      this.#watch = watchUsage({ ...limits, pid: innerPid, tree, onExcess: (reason) => this.#end(reason) });
    }
    this.closed = exited.then(
      ([code, signal]) => this.#exited(code, signal),
      () => this.#exited(null, null),
    );
    void this.closed.then(() => start.inner?.group?.remove());
  }

  get refusals(): Refusals {
    return this.#proxy?.refusals ?? { count: 0, last: undefined };
  }

  kill(): void {
    this.#end('killed');
  }

  #end(reason: SandboxEndReason): void {
    if (this.#ended || this.#reason !== undefined) return;
    this.#reason = reason;
    if (this.#innerPid === undefined || this.#innerPid === this.#pid) {
      sendKill(-this.#pid);
      return;
    }
    // The inner one first: its end is that of all it started, and its holder ends after it.
    sendKill(this.#innerPid);
    this.#killTimer = setTimeout(() => sendKill(-this.#pid), KILL_WAIT_MS);
    this.#killTimer.unref();
  }

  #exited(code: unknown, signal: unknown): SandboxEnd {
    this.#ended = true;
    clearTimeout(this.#killTimer);
    this.#watch?.[Symbol.dispose]();
    this.#proxy?.[Symbol.dispose]();
    // Proven: these are what Node emits with 'exit'.
    return { code: code as number | null, signal: signal as NodeJS.Signals | null, reason: this.#reason ?? 'ended' };
  }
}

/** The same stream, counted. What is left of it when the program has been ended is still given. */
function metered(source: Readable, meter: OutputMeter): Readable {
  const counted = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      meter.take(chunk.length);
      done(null, chunk);
    },
  });
  // A reader that has enough destroys it, which is no failure.
  pipeline(source, counted, () => undefined);
  return counted;
}

/** Which process it is, once it may run; undefined where its holder failed, whose error stream says why. */
async function admitInner(child: ChildProcess, inner: InnerStart): Promise<number | undefined> {
  const [info, filter, go] = [child.stdio[inner.infoFd], child.stdio[inner.filterFd], child.stdio[inner.goFd]];
  if (!(info instanceof Readable && filter instanceof Writable && go instanceof Writable)) return undefined;
  for (const stream of [info, filter, go]) stream.on('error', () => undefined);
  filter.end(inner.filter);
  let text = '';
  for await (const chunk of info) {
    text += String(chunk);
    if (text.includes('}') || text.length > MAX_INFO_BYTES) break;
  }
  const pid = Number(/"child-pid":\s*(\d+)/.exec(text)?.[1] ?? Number.NaN);
  if (!Number.isSafeInteger(pid)) return undefined;
  try {
    await inner.group?.add(pid);
  } catch {
    // Not counted it does not go on; most likely it has ended already.
    child.kill('SIGKILL');
    return pid;
  }
  go.end('x');
  return pid;
}

function lowerPriority(pid: number): void {
  try {
    os.setPriority(pid, NICENESS);
  } catch {
    // It has ended already, or this system has no such thing.
  }
}

function sendKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Ended meanwhile.
  }
}
