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
  /** Takes nothing in: the senders' buffers fill. */
  readonly paused?: boolean;
}

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
      // An end is news too, and lost with the rest.
      const isHeard = () => this.#weather.cut !== 'both' && this.#weather.cut !== direction;
      socket.on('error', () => {
        if (isHeard()) other.resetAndDestroy();
      });
      socket.on('close', () => {
        if (isHeard()) other.destroy();
        if (other.destroyed) this.#pairs.delete(pair);
      });
    }
    this.#pass(client, target, 'to-target');
    this.#pass(target, client, 'to-client');
  }

  /** Carries one direction. */
  #pass(from: Socket, to: Socket, direction: 'to-target' | 'to-client'): void {
    const queue: { readonly bytes: Buffer; readonly dueMs: number }[] = [];
    let underWay = 0;
    let lastDueMs = 0;
    let isRunning = false;
    const readOrWait = () => {
      if (this.#weather.paused || underWay > UNDER_WAY_MAX) from.pause();
      else from.resume();
    };
    const run = async () => {
      isRunning = true;
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        await until(next.dueMs);
        for (const piece of this.#slices(next.bytes)) {
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
      if (cut === 'both' || cut === direction) return;
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
