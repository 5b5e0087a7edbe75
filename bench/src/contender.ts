import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import type { Payload } from './payload.ts';

/** Plain facts one part of a contender tells the next: addresses, keys, ports. */
export type Facts = Readonly<Record<string, string>>;

/** Something started, and how to stop it. */
export interface Running extends AsyncDisposable {
  /** Told to whatever starts after it. */
  readonly facts: Facts;
}

/** The calling side; it waits in a process of its own. */
export interface Caller extends AsyncDisposable {
  call(argument: Payload): Promise<Payload>;
}

/** One way to call something in another process and get the argument back. */
export interface Contender {
  /** As given to `--only`. */
  readonly name: string;
  readonly title: string;
  /** Why it cannot run here, or null. */
  missing(): string | null;
  /** In the main process, before both sides: what they share. */
  prepare?(): Promise<Running>;
  /** In the server's process. */
  serve(facts: Facts): Promise<Running>;
  /** In the caller's process; resolves when calls can be made. */
  connect(facts: Facts): Promise<Caller>;
}

/** A fact that must be there. */
export function fact(facts: Facts, name: string): string {
  const value = facts[name];
  if (value === undefined) throw new Error(`The other side did not tell its ${name}`);
  return value;
}

/** Below those that systems give to who dials, so that none of the connections of a run takes one that is free now. */
const LASTING_PORTS = { from: 12_000, to: 32_000 } as const;

/** Free ports that stay free while others dial, all different, to be listened on again and again. */
export async function lastingPorts(count: number): Promise<readonly number[]> {
  const { from, to } = LASTING_PORTS;
  const first = randomInt(from, to - 2 * count);
  const ports: number[] = [];
  for (let port = first; ports.length < count; port += 1) {
    if (port >= to) throw new Error(`There are no ${count} free ports from ${first} to ${to}`);
    try {
      ports.push(await freePort(port));
    } catch {
      // Somebody listens there: the next one.
    }
  }
  return ports;
}

/** A port that was free a moment ago, for what cannot be told to choose one itself. */
export async function freePort(wanted = 0): Promise<number> {
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject).listen(wanted, '127.0.0.1', resolve);
  await promise;
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('The system gave no port');
  return address.port;
}
