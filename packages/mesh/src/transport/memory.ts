import { SkeinError } from '@skein/protocol';
import type { Connection, ConnectionHandlers, Transport } from './transport.ts';

/** Records one end may have under way before it is told to wait. */
const HIGH_WATER_RECORDS = 64;

/** Pipes inside one process: what a socket does, without one. Each record arrives in a later turn of the event loop. */
export class MemoryNetwork implements Transport {
  readonly schemes = ['memory'];
  readonly #listeners = new Map<string, (connection: Connection) => void>();

  /** Accepts connections to `memory://<name>` until the returned function is called. */
  listen(name: string, accept: (connection: Connection) => void): () => void {
    this.#listeners.set(name, accept);
    return () => {
      if (this.#listeners.get(name) === accept) this.#listeners.delete(name);
    };
  }

  async dial(url: string, { signal }: { readonly signal: AbortSignal }): Promise<Connection> {
    signal.throwIfAborted();
    const accept = this.#listeners.get(new URL(url).host);
    if (accept === undefined) throw new SkeinError(`Nobody listens at ${url}`, { code: 'unavailable' });
    const [near, far] = createPipe(url);
    accept(far);
    return near;
  }
}

/** Two connected ends. */
export function createPipe(address = 'memory'): readonly [Connection, Connection] {
  const near = new MemoryEnd(address);
  const far = new MemoryEnd(address);
  near.join(far);
  far.join(near);
  return [near, far];
}

class MemoryEnd implements Connection {
  readonly remoteAddress: string;
  #other: MemoryEnd | undefined;
  #handlers: ConnectionHandlers | undefined;
  #waiting: Buffer[] = [];
  #underWay = 0;
  #blocked = false;
  #maxRecordBytes = 8 * 1024;
  #closedBecause: string | undefined;

  constructor(remoteAddress: string) {
    this.remoteAddress = remoteAddress;
  }

  join(other: MemoryEnd): void {
    this.#other = other;
  }

  attach(handlers: ConnectionHandlers): void {
    this.#handlers = handlers;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const record of waiting) handlers.record(record);
    if (this.#closedBecause !== undefined) handlers.closed(this.#closedBecause);
  }

  send(record: Uint8Array): boolean {
    if (this.#closedBecause !== undefined) return true;
    this.#underWay += 1;
    const copy = Buffer.from(record);
    setImmediate(() => {
      this.#other?.deliver(copy);
      this.#underWay -= 1;
      if (this.#blocked && this.#underWay < HIGH_WATER_RECORDS / 2) {
        this.#blocked = false;
        this.#handlers?.drain();
      }
    });
    this.#blocked = this.#underWay >= HIGH_WATER_RECORDS;
    return !this.#blocked;
  }

  deliver(record: Buffer): void {
    if (this.#closedBecause !== undefined) return;
    if (record.length > this.#maxRecordBytes) this.close(`a record of ${record.length} bytes is over the bound`);
    else if (this.#handlers === undefined) this.#waiting.push(record);
    else this.#handlers.record(record);
  }

  admit(maxRecordBytes: number): void {
    this.#maxRecordBytes = maxRecordBytes;
  }

  close(reason: string): void {
    if (this.#closedBecause !== undefined) return;
    this.#closedBecause = reason;
    setImmediate(() => this.#other?.close('the other end closed'));
    this.#handlers?.closed(reason);
  }
}
