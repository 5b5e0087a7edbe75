import { randomBytes } from 'node:crypto';
import {
  type Clock,
  type Gatekeeper,
  type IncomingLimits,
  type Interceptor,
  MemoryNetwork,
  Mesh,
  type MeshEvent,
  type Peer,
  Router,
  systemClock,
  type Transport,
} from '@skein/mesh';
import { createIdentity, type Identity, type PeerId, SkeinError } from '@skein/protocol';

export interface TestNode {
  readonly name: string;
  readonly url: string;
  readonly identity: Identity;
  readonly mesh: Mesh;
  readonly router: Router;
  readonly events: readonly MeshEvent[];
  /** Faults of its own that the node was told of. */
  readonly internalErrors: readonly SkeinError[];
  /** Resolves with the first event, past or coming, that `wanted` accepts. */
  event<T extends MeshEvent['type']>(
    type: T,
    wanted?: (event: Extract<MeshEvent, { type: T }>) => boolean,
  ): Promise<Extract<MeshEvent, { type: T }>>;
  /** Drops the events so far, and the sessions they hold: for tests with more of them than memory has room for. */
  forget(): void;
  /** Dials another node once. */
  dial(other: TestNode): Promise<Peer>;
}

export interface TestNodeOptions {
  readonly interceptors?: readonly Interceptor[];
  readonly limits?: Partial<IncomingLimits>;
  /** Who may come in; everybody when not given. */
  readonly gatekeeper?: Partial<Gatekeeper>;
  readonly identity?: Identity;
  readonly boot?: string;
  /** A clock of its own; the network's when not given. */
  readonly clock?: Clock;
  /** Wraps the way out. */
  readonly through?: (transport: Transport) => Transport;
}

/** Nodes in this process, over in-memory pipes, that trust each other unless told otherwise. */
export class TestNetwork implements AsyncDisposable {
  readonly pipes = new MemoryNetwork();
  readonly #clock: Clock;
  readonly #nodes: { readonly mesh: Mesh; readonly stop: () => void }[] = [];

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  add(name: string, options: TestNodeOptions = {}): TestNode {
    const identity = options.identity ?? createIdentity();
    const router = new Router(options.interceptors ?? []);
    const events: MeshEvent[] = [];
    const internalErrors: SkeinError[] = [];
    const listeners = new Set<(event: MeshEvent) => void>();
    const mesh = new Mesh({
      identity,
      name,
      boot: options.boot ?? randomBytes(16).toString('hex'),
      gatekeeper: {
        admitCaller: () => ({ admitted: true }),
        admitAnswer: () => ({ admitted: true }),
        expectedAt: (): PeerId | undefined => undefined,
        ...options.gatekeeper,
      },
      transports: [options.through?.(this.pipes) ?? this.pipes],
      router,
      limits: { maxConcurrentCalls: 1_024, maxMessagesPerSecond: 100_000, ...options.limits },
      clock: options.clock ?? this.#clock,
      random: Math.random,
      onEvent: (event) => {
        events.push(event);
        for (const listener of listeners) listener(event);
      },
      onInternalError: (error) => internalErrors.push(error),
    });
    const url = `memory://${name}`;
    const stop = this.pipes.listen(name, (connection) => mesh.accept(connection));
    this.#nodes.push({ mesh, stop });
    return {
      name,
      url,
      identity,
      mesh,
      router,
      events,
      internalErrors,
      event(type, wanted = () => true) {
        return new Promise((resolve) => {
          const look = (event: MeshEvent) => {
            // Proven: the type is compared first.
            if (event.type !== type || !wanted(event as Extract<MeshEvent, { type: typeof type }>)) return;
            listeners.delete(look);
            resolve(event as Extract<MeshEvent, { type: typeof type }>);
          };
          listeners.add(look);
          for (const event of events) look(event);
        });
      },
      forget: () => {
        events.length = 0;
      },
      dial: (other) => mesh.dial(other.url, { signal: new AbortController().signal }),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { mesh, stop } of this.#nodes.reverse()) {
      stop();
      await mesh[Symbol.asyncDispose]();
    }
  }
}

/** The error a promise rejects with, for a test to look at. */
export async function rejection(promise: Promise<unknown>): Promise<SkeinError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof SkeinError) return error;
    throw new Error('It rejected with something that is not a SkeinError', { cause: error });
  }
  throw new Error('It did not reject');
}
