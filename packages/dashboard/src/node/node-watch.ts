import type { OfferedTool } from '@skein/agent';
import type { NodeEvent, NodeStatus, PeerStatus, SessionSummary } from '@skein/gateway';
import type { Api } from '../api/api.ts';
import { ApiError } from '../api/api-error.ts';
import { Store } from '../ui/store.ts';

/** How the page stands with its node. */
export type Link =
  | { readonly type: 'connecting' }
  | { readonly type: 'live' }
  | { readonly type: 'gone'; readonly retryAtMs: number; readonly problem: string }
  /** The token is wrong; trying again would only lock this address out. */
  | { readonly type: 'refused'; readonly problem: string };

export interface NodeState {
  readonly link: Link;
  readonly status: NodeStatus | null;
  readonly peers: readonly PeerStatus[];
  readonly tools: readonly OfferedTool[];
  readonly sessions: readonly SessionSummary[];
  /** Newest first. */
  readonly events: readonly NumberedEvent[];
}

export interface NumberedEvent {
  readonly number: number;
  readonly event: NodeEvent;
}

const MAX_EVENTS = 200;
const REFRESH_MS = 5_000;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 10_000;
/** The node tells a heartbeat every 15 s; one that misses two is gone. */
const SILENCE_MS = 40_000;

/** Follows a node: its event stream, and what it says of itself whenever something happened. */
export class NodeWatch {
  readonly store = new Store<NodeState>({
    link: { type: 'connecting' },
    status: null,
    peers: [],
    tools: [],
    sessions: [],
    events: [],
  });
  readonly #api: Api;
  #life: AbortController | null = null;
  #hurry: (() => void) | undefined;
  #count = 0;
  #refreshing = false;
  #again = false;

  constructor(parts: { readonly api: Api }) {
    this.#api = parts.api;
  }

  /** Follows until `stop`; failures show in the state. */
  start(): void {
    if (this.#life !== null) return;
    const life = new AbortController();
    this.#life = life;
    void this.#follow(life.signal);
    const timer = setInterval(() => {
      if (this.store.get().link.type === 'live' && document.visibilityState === 'visible') void this.refresh();
    }, REFRESH_MS);
    const hurry = () => this.#hurry?.();
    window.addEventListener('online', hurry);
    document.addEventListener('visibilitychange', hurry);
    life.signal.addEventListener('abort', () => {
      clearInterval(timer);
      window.removeEventListener('online', hurry);
      document.removeEventListener('visibilitychange', hurry);
    });
  }

  stop(): void {
    this.#life?.abort();
    this.#life = null;
  }

  /** Tries again now instead of when its time comes. */
  retry(): void {
    this.#hurry?.();
  }

  /** Asks the node for everything it shows; what comes meanwhile is asked for once more. */
  async refresh(): Promise<void> {
    const signal = this.#life?.signal;
    if (signal === undefined) return;
    if (this.#refreshing) {
      this.#again = true;
      return;
    }
    this.#refreshing = true;
    try {
      do {
        this.#again = false;
        const [status, peers, tools, sessions] = await Promise.all([
          this.#api.status(signal),
          this.#api.peers(signal),
          this.#api.tools(signal),
          this.#api.sessions(signal),
        ]);
        this.store.set({ status, peers, tools, sessions });
      } while (this.#again);
    } catch (thrown) {
      // The event stream judges whether the node is gone; only a refused token shows here first.
      this.#noteRefusal(ApiError.from(thrown));
    } finally {
      this.#refreshing = false;
    }
  }

  async #follow(life: AbortSignal): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    while (!life.aborted && this.store.get().link.type !== 'refused') {
      let problem = 'It may have stopped, or the network between is down';
      try {
        for await (const _first of this.#stream(life)) retryMs = FIRST_RETRY_MS;
      } catch (thrown) {
        const error = ApiError.from(thrown);
        if (this.#noteRefusal(error) || life.aborted) return;
        // Canceled is what fell silent.
        if (error.code !== 'unavailable' && error.code !== 'canceled') problem = error.message;
        retryMs = Math.max(retryMs, error.retryAfterMs ?? 0);
      }
      if (life.aborted) return;
      // Full jitter, so that many pages do not come back at the same moment.
      const waitMs = Math.max(FIRST_RETRY_MS / 2, Math.random() * retryMs);
      this.store.set({ link: { type: 'gone', retryAtMs: Date.now() + waitMs, problem } });
      await this.#wait(waitMs, life);
      retryMs = Math.min(LONGEST_RETRY_MS, retryMs * 2);
    }
  }

  /** One connection; yields once, when it stands. */
  async *#stream(life: AbortSignal): AsyncGenerator<true> {
    const connection = new AbortController();
    const end = () => connection.abort();
    life.addEventListener('abort', end);
    let silence = setTimeout(end, SILENCE_MS);
    try {
      let first = true;
      for await (const event of this.#api.events(connection.signal)) {
        clearTimeout(silence);
        silence = setTimeout(end, SILENCE_MS);
        if (first) {
          first = false;
          this.store.set({ link: { type: 'live' } });
          void this.refresh();
          yield true;
        }
        if (event.type !== 'heartbeat') this.#note(event);
      }
    } finally {
      clearTimeout(silence);
      life.removeEventListener('abort', end);
      connection.abort();
    }
  }

  #note(event: NodeEvent): void {
    this.#count += 1;
    const events = [{ number: this.#count, event }, ...this.store.get().events].slice(0, MAX_EVENTS);
    this.store.set({ events });
    void this.refresh();
  }

  #noteRefusal(error: ApiError): boolean {
    if (error.code !== 'unauthenticated') return false;
    this.store.set({ link: { type: 'refused', problem: error.message } });
    return true;
  }

  #wait(ms: number, life: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        life.removeEventListener('abort', done);
        this.#hurry = undefined;
        resolve();
      };
      const timer = setTimeout(done, ms);
      life.addEventListener('abort', done);
      this.#hurry = done;
    });
  }
}
