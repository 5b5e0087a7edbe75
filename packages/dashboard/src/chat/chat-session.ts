import type { Api } from '../api/api.ts';
import { ApiError } from '../api/api-error.ts';
import { Store } from '../ui/store.ts';
import { advanceTurn, beginTurn, decide, endTurn, type Turn, textOf, turnsOf } from './conversation.ts';

export interface ChatState {
  /** Null until the first turn of a new session begins. */
  readonly sessionId: string | null;
  readonly turns: readonly Turn[];
  readonly running: boolean;
  readonly loading: boolean;
  /** Why a past session could not be shown. */
  readonly problem: string | null;
  /** For screen readers: what just happened, in a sentence. */
  readonly announcement: string;
}

const EMPTY: ChatState = { sessionId: null, turns: [], running: false, loading: false, problem: null, announcement: '' };

/** Turns kept on the page; the oldest go, the node still has them. */
const MAX_TURNS = 200;

/** One conversation on the page. */
export class ChatSession {
  readonly store = new Store<ChatState>(EMPTY);
  readonly #api: Api;
  readonly #ended: () => void;
  #work: AbortController | null = null;
  #count = 0;

  constructor(parts: { readonly api: Api; readonly ended: () => void }) {
    this.#api = parts.api;
    this.#ended = parts.ended;
  }

  /** Asks; resolves when the turn is over, however it ended. */
  async send(text: string): Promise<void> {
    if (this.store.get().running) return;
    this.#count += 1;
    const key = `turn-${this.#count}`;
    const work = this.#begin();
    const turns = [...this.store.get().turns, beginTurn(key, text)].slice(-MAX_TURNS);
    this.store.set({ turns, running: true, problem: null, announcement: 'Working' });
    try {
      await this.#run({ key, text, signal: work.signal });
    } catch (thrown) {
      const { code, message } = ApiError.from(thrown);
      this.#change(key, (turn) =>
        work.signal.aborted
          ? endTurn(turn, { state: 'stopped', error: null })
          : endTurn(turn, { state: 'failed', error: { code, message } }),
      );
    }
    if (this.#work === work) {
      const turn = this.store.get().turns.at(-1);
      this.store.set({ running: false, announcement: turn === undefined ? '' : endWords(turn) });
    }
    this.#ended();
  }

  /** Hangs up, which stops the turn on the node and every tool it runs. */
  stop(): void {
    this.#work?.abort();
  }

  startNew(): void {
    this.#begin();
    this.store.set({ ...EMPTY, announcement: 'New chat' });
  }

  /** Shows a past session; the next turn continues it. */
  async open(sessionId: string): Promise<void> {
    const work = this.#begin();
    this.store.set({ ...EMPTY, sessionId, loading: true });
    try {
      const turns = turnsOf(await this.#api.history(sessionId, work.signal));
      if (!work.signal.aborted) this.store.set({ turns: turns.slice(-MAX_TURNS), loading: false, announcement: 'Chat opened' });
    } catch (thrown) {
      if (!work.signal.aborted) this.store.set({ loading: false, problem: ApiError.from(thrown).message });
    }
  }

  async confirm(id: string, approve: boolean): Promise<void> {
    const key = this.store.get().turns.at(-1)?.key;
    if (key === undefined) return;
    this.#change(key, (turn) => decide(turn, id, approve ? 'approved' : 'refused'));
    try {
      await this.#api.confirm(id, approve);
    } catch (thrown) {
      const { code } = ApiError.from(thrown);
      this.#change(key, (turn) => decide(turn, id, code === 'not-found' ? 'expired' : 'open'));
    }
  }

  async #run({
    key,
    text,
    signal,
  }: {
    readonly key: string;
    readonly text: string;
    readonly signal: AbortSignal;
  }): Promise<void> {
    for await (const event of this.#api.ask(text, this.store.get().sessionId, signal)) {
      if (signal.aborted) throw new ApiError('canceled', 'Stopped');
      if (event.type === 'heartbeat') continue;
      this.#change(key, (turn) => advanceTurn(turn, event, Date.now()));
      if (event.type === 'turn-start') this.store.set({ sessionId: event.sessionId });
      if (event.type === 'tool-call') this.store.set({ announcement: `Running ${event.name}` });
      if (event.type === 'confirm-request') this.store.set({ announcement: `${event.name} needs your word` });
      if (event.type === 'answer' || event.type === 'error') return;
    }
    throw new ApiError('unavailable', 'The node went away before it was done');
  }

  /** Ends what is under way and stands for what begins. */
  #begin(): AbortController {
    this.stop();
    const work = new AbortController();
    this.#work = work;
    return work;
  }

  #change(key: string, change: (turn: Turn) => Turn): void {
    const { turns } = this.store.get();
    this.store.set({ turns: turns.map((turn) => (turn.key === key ? change(turn) : turn)) });
  }
}

function endWords(turn: Turn): string {
  switch (turn.state) {
    case 'running':
      return '';
    case 'done':
      return textOf(turn);
    case 'stopped':
      return 'Stopped';
    case 'failed':
      return `Failed: ${turn.error?.message ?? ''}`;
  }
}
