import { abortReason, HANDSHAKE_BYTES_MAX, SkeinError } from '@skein/protocol';
import type { Connection, ConnectionHandlers, Transport } from './transport.ts';

/** Records one end may have under way before it is told to wait. */
const HIGH_WATER_RECORDS = 64;
/** Records kept for an end that nobody has attached to. */
const WAITING_RECORDS_MAX = 1_024;

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
    if (signal.aborted) throw abortReason(signal);
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
  readonly transport = 'memory';
  readonly remoteAddress: string;
  arrived = 0;
  departed = 0;
  #other: MemoryEnd | undefined;
  #handlers: ConnectionHandlers | undefined;
  #waiting: Buffer[] = [];
  #underWay = 0;
  #blocked = false;
  #paused = false;
  #maxRecordBytes = HANDSHAKE_BYTES_MAX;
  #closedBecause: string | undefined;

  constructor(remoteAddress: string) {
    this.remoteAddress = remoteAddress;
  }

  join(other: MemoryEnd): void {
    this.#other = other;
  }

  attach(handlers: ConnectionHandlers): void {
    this.#handlers = handlers;
    if (this.#closedBecause === undefined) this.#takeWaiting();
    else handlers.closed(this.#closedBecause);
  }

  send(record: Uint8Array): boolean {
    if (this.#closedBecause !== undefined) return true;
    this.#underWay += 1;
    const copy = Buffer.from(record);
    setImmediate(() => this.#other?.deliver(copy));
    this.#blocked = this.#underWay >= HIGH_WATER_RECORDS;
    return !this.#blocked;
  }

  deliver(record: Buffer): void {
    if (this.#closedBecause !== undefined) return;
    this.arrived += record.length;
    if (this.#handlers !== undefined && !this.#paused) this.#take(record);
    else if (this.#waiting.length < WAITING_RECORDS_MAX) this.#waiting.push(record);
    else this.close(`more than ${WAITING_RECORDS_MAX} records came before anybody took them`);
  }

  admit(maxRecordBytes: number): void {
    this.#maxRecordBytes = maxRecordBytes;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#takeWaiting();
  }

  close(reason: string): void {
    if (this.#closedBecause !== undefined) return;
    this.#closedBecause = reason;
    this.#waiting = [];
    setImmediate(() => this.#other?.close('the other end closed'));
    this.#handlers?.closed(reason);
  }

  cut(reason: string): void {
    this.close(reason);
  }

  /** One record of this end was taken by the other. */
  departs(): void {
    this.#underWay -= 1;
    this.departed += 1;
    if (this.#closedBecause !== undefined || !this.#blocked || this.#underWay >= HIGH_WATER_RECORDS / 2) return;
    this.#blocked = false;
    this.#handlers?.drain();
  }

  #takeWaiting(): void {
    while (!this.#paused && this.#handlers !== undefined) {
      const record = this.#waiting.shift();
      if (record === undefined) return;
      this.#take(record);
    }
  }

  #take(record: Buffer): void {
    this.#other?.departs();
    if (this.#closedBecause !== undefined) return;
    if (record.length > this.#maxRecordBytes) this.close(`a record of ${record.length} bytes is over the bound`);
    else this.#handlers?.record(record);
  }
}
