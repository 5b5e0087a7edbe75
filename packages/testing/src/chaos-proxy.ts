import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** What happens to bytes on their way. Nothing given: they pass as they are. */
export interface Weather {
  /** Each piece arrives this much later, and up to `jitterMs` more; order is kept, as TCP keeps it. */
  readonly delayMs?: number;
  readonly jitterMs?: number;
  /** Pieces of 1 to this many bytes, each written by itself. */
  readonly sliceBytes?: number;
  readonly bytesPerSecond?: number;
  /** Swallows without a word what goes to the target, to the client, or both ways: nobody is told that it is lost. */
  readonly cut?: 'to-target' | 'to-client' | 'both';
  /**
   * Holds what goes to the target, to the client, or both ways, and lets it go on once it is held no more, as a line that
   * was down for a while: nothing is lost. The senders' buffers fill.
   */
  readonly held?: 'to-target' | 'to-client' | 'both';
}

type Direction = 'to-target' | 'to-client';

/** Bytes under way in one direction of one connection above which the sender waits. */
const UNDER_WAY_MAX = 1024 * 1024;

interface Pair {
  readonly client: Socket;
  readonly target: Socket;
}

/** A TCP proxy on loopback that treats what passes as bad lines do; the same seed gives the same weather. */
export class ChaosProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #random: () => number;
  readonly #pairs = new Set<Pair>();
  readonly #changed = new Set<() => void>();
  #weather: Weather = {};
  #accepted = 0;
  readonly port: number;

  private constructor(server: Server, port: number, seed: number) {
    this.#server = server;
    this.port = port;
    this.#random = seeded(seed);
  }

  /** Listens on a port the system chooses and passes everything to this port of loopback. */
  static async start(targetPort: number, options: { readonly seed?: number } = {}): Promise<ChaosProxy> {
    const server = createServer({ noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (typeof address !== 'object' || address === null) throw new Error('The proxy listens on no TCP port');
    const proxy = new ChaosProxy(server, address.port, options.seed ?? 1);
    server.on('connection', (client) => proxy.#join(client, targetPort));
    return proxy;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}`;
  }

  /** Connections that were opened so far. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Connections open now. */
  get open(): number {
    return this.#pairs.size;
  }

  /** Holds from now on, for connections that are open too. */
  set weather(weather: Weather) {
    this.#weather = weather;
    for (const changed of this.#changed) changed();
  }

  /** Breaks every connection with a reset, both ways. */
  reset(): void {
    for (const { client, target } of this.#pairs) {
      client.resetAndDestroy();
      target.resetAndDestroy();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const { client, target } of this.#pairs) {
      client.destroy();
      target.destroy();
    }
    await closed;
  }

  #join(client: Socket, targetPort: number): void {
    this.#accepted += 1;
    const target = connect({ port: targetPort, host: '127.0.0.1', noDelay: true });
    const pair = { client, target };
    this.#pairs.add(pair);
    for (const [socket, other, direction] of [
      [client, target, 'to-target'],
      [target, client, 'to-client'],
    ] as const) {
      // An end is news too, and lost or held with the rest.
      const end = (tell: () => void) => {
        if (isIn(this.#weather.held, direction)) void this.#untilUp(direction, other).then(tell);
        else if (!isIn(this.#weather.cut, direction)) tell();
      };
      socket.on('error', () => end(() => other.resetAndDestroy()));
      socket.on('close', () => {
        end(() => other.destroy());
        if (other.destroyed) this.#pairs.delete(pair);
      });
    }
    this.#pass(client, target, 'to-target');
    this.#pass(target, client, 'to-client');
  }

  /** Resolves once nothing is held that goes this way, at once when nothing is, or there is nobody to take it. */
  async #untilUp(direction: Direction, to: Socket): Promise<void> {
    while (isIn(this.#weather.held, direction) && !to.destroyed) {
      await new Promise<void>((resolve) => {
        const look = () => {
          this.#changed.delete(look);
          to.off('close', look);
          resolve();
        };
        this.#changed.add(look);
        to.once('close', look);
      });
    }
  }

  /** Carries one direction. */
  #pass(from: Socket, to: Socket, direction: Direction): void {
    const queue: { readonly bytes: Buffer; readonly dueMs: number }[] = [];
    let underWay = 0;
    let lastDueMs = 0;
    let isRunning = false;
    const readOrWait = () => {
      if (isIn(this.#weather.held, direction) || underWay > UNDER_WAY_MAX) from.pause();
      else from.resume();
    };
    const run = async () => {
      isRunning = true;
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        await until(next.dueMs);
        for (const piece of this.#slices(next.bytes)) {
          await this.#untilUp(direction, to);
          if (to.destroyed) return;
          const { bytesPerSecond } = this.#weather;
          const startedAtMs = performance.now();
          if (!to.write(piece)) await Promise.race([once(to, 'drain'), once(to, 'close')]).catch(() => {});
          if (bytesPerSecond !== undefined) await until(startedAtMs + (piece.length * 1_000) / bytesPerSecond);
          else if (this.#weather.sliceBytes !== undefined) await new Promise(setImmediate);
        }
        underWay -= next.bytes.length;
        readOrWait();
      }
      isRunning = false;
    };
    from.on('data', (bytes) => {
      const { cut, delayMs = 0, jitterMs = 0 } = this.#weather;
      if (isIn(cut, direction)) return;
      lastDueMs = Math.max(lastDueMs, performance.now() + delayMs + this.#random() * jitterMs);
      queue.push({ bytes, dueMs: lastDueMs });
      underWay += bytes.length;
      readOrWait();
      if (!isRunning) void run();
    });
    this.#changed.add(readOrWait);
    from.once('close', () => this.#changed.delete(readOrWait));
  }

  *#slices(bytes: Buffer): Generator<Buffer> {
    // A slow line carries small pieces, so that its rate is even.
    const most = this.#weather.sliceBytes ?? (this.#weather.bytesPerSecond === undefined ? bytes.length : 1_400);
    for (let at = 0; at < bytes.length; ) {
      const length = this.#weather.sliceBytes === undefined ? most : 1 + Math.floor(this.#random() * most);
      yield bytes.subarray(at, at + length);
      at += length;
    }
  }
}

/** Whether what goes this way is meant. */
function isIn(ways: Direction | 'both' | undefined, direction: Direction): boolean {
  return ways === 'both' || ways === direction;
}

/** Resolves at this time of `performance.now()`, at once when it has passed. */
async function until(atMs: number): Promise<void> {
  const waitMs = atMs - performance.now();
  if (waitMs <= 0) return;
  await new Promise((resolve) => setTimeout(resolve, waitMs));
}

/** Numbers from 0 to 1 that are the same for the same seed. */
function seeded(seed: number): () => number {
  let state = Math.max(1, seed % 2_147_483_647);
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}
