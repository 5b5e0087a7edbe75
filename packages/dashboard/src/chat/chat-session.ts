import type { TurnEvent } from '@skein/gateway';
import type { Api, Heartbeat } from '../api/api.ts';
import { ApiError } from '../api/api-error.ts';
import { Store } from '../ui/store.ts';
import { advanceTurn, beginTurn, decide, endTurn, mergeTurns, placeTask, type Turn, textOf, turnsOf } from './conversation.ts';
import { keepChat, keptChat } from './kept-chat.ts';
import { newId } from './new-id.ts';

export interface ChatState {
  /** Null until the first turn of a new session begins. */
  readonly sessionId: string | null;
  readonly turns: readonly Turn[];
  readonly running: boolean;
  readonly loading: boolean;
  /** Why a past session could not be shown, or a turn not be stopped. */
  readonly problem: string | null;
  /** For screen readers: what just happened, in a sentence. */
  readonly announcement: string;
}

const EMPTY: ChatState = { sessionId: null, turns: [], running: false, loading: false, problem: null, announcement: '' };

/** Turns kept on the page; the oldest go, the node still has them. */
const MAX_TURNS = 200;

const NOT_TAKEN = 'This did not reach the node; ask again';

type Events = AsyncIterable<TurnEvent | Heartbeat>;

/** One conversation on the page. The work is the node's: the page reads it, and comes back to it. */
export class ChatSession {
  readonly store = new Store<ChatState>(EMPTY);
  readonly #api: Api;
  readonly #ended: () => void;
  /** Stands for what is shown; aborted, nothing more is read for it. */
  #view = new AbortController();
  /** A task that could not be read to its end: it is not tried again by itself. */
  #unread: string | null = null;
  /** The task that is read now, once it is known to be the node's. */
  #accepted: string | null = null;
  #count = 0;

  constructor(parts: { readonly api: Api; readonly ended: () => void }) {
    this.#api = parts.api;
    this.#ended = parts.ended;
  }

  /** Asks; resolves when the turn is over, however it ended, or another conversation is shown. */
  async send(text: string): Promise<void> {
    const state = this.store.get();
    if (state.running) return;
    const view = this.#begin();
    const sessionId = state.sessionId ?? newId();
    const id = newId();
    const key = this.#newKey('turn');
    const turns = [...state.turns, beginTurn(key, text, id)].slice(-MAX_TURNS);
    keepChat(sessionId);
    this.store.set({ sessionId, turns, running: true, loading: false, problem: null, announcement: 'Working' });
    await this.#read(this.#api.ask({ id, text, sessionId }, view.signal), { id, view });
    // Its past had not come yet.
    if (state.loading && this.#view === view) await this.follow();
  }

  /** Has the node end the work, and every tool it runs. */
  async stop(): Promise<void> {
    const view = this.#view;
    const turn = this.store.get().turns.at(-1);
    if (!this.store.get().running || turn === undefined || turn.task === null) return;
    try {
      await this.#api.cancelTask(turn.task);
    } catch (thrown) {
      const { code, message } = ApiError.from(thrown);
      if (this.#view !== view) return;
      if (code !== 'not-found') {
        this.store.set({ problem: `Not stopped: ${message}`, announcement: `Not stopped: ${message}` });
        return;
      }
      // It was not accepted yet, and one that hangs up before that has not asked.
      this.#begin();
      this.#change(turn.task, (one) => endTurn(one, { state: 'stopped', error: null }));
      this.store.set({ running: false, announcement: 'Stopped' });
    }
  }

  startNew(): void {
    this.#begin();
    keepChat(null);
    this.store.set({ ...EMPTY, announcement: 'New chat' });
  }

  /** Shows the conversation this tab was in before it was loaded anew. */
  async restore(): Promise<void> {
    const sessionId = keptChat();
    if (sessionId !== null) await this.open(sessionId);
  }

  /** Shows a past session, and goes on showing what is worked on in it; the next turn continues it. */
  async open(sessionId: string): Promise<void> {
    const view = this.#begin();
    keepChat(sessionId);
    this.store.set({ ...EMPTY, sessionId, loading: true });
    try {
      const { messages, tasks } = await this.#api.history(sessionId, view.signal);
      if (this.#view !== view) return;
      const turns = turnsOf(messages).slice(-MAX_TURNS);
      this.store.set({ turns, loading: false, announcement: 'Chat opened' });
      await this.#watchFirst(tasks, view);
    } catch (thrown) {
      if (this.#view === view) this.store.set({ loading: false, problem: ApiError.from(thrown).message });
    }
  }

  /** Takes over what was said in this conversation elsewhere: on another device, or in another window. */
  async follow(): Promise<void> {
    const { sessionId, running, loading } = this.store.get();
    const view = this.#view;
    if (sessionId === null || running || loading) return;
    try {
      const { messages, tasks } = await this.#api.history(sessionId, view.signal);
      const now = this.store.get();
      // Whoever asks or opens another meanwhile sees that instead.
      if (this.#view !== view || now.running || now.sessionId !== sessionId) return;
      if (now.problem !== null) this.store.set({ problem: null });
      const turns = mergeTurns(now.turns, turnsOf(messages, this.#newKey('past'))).slice(-MAX_TURNS);
      const isNew = turns.length !== now.turns.length || turns.some((turn, i) => wordsOf(turn) !== wordsOf(now.turns[i]));
      if (isNew) this.store.set({ turns, announcement: 'This chat went on elsewhere' });
      await this.#watchFirst(tasks, view);
    } catch {} // What is shown stays; the event stream judges whether the node is gone.
  }

  /**
   * Nobody looks: lets go of what is read, which holds one of the few connections that all tabs of a browser share.
   * `resume` takes it up from its beginning.
   */
  pause(): void {
    const id = this.#accepted;
    if (id === null || !this.store.get().running) return;
    this.#begin();
    this.#unread = id;
    this.store.set({ running: false });
  }

  /** The node is there again, or somebody looks: goes on reading what it was cut off from. */
  async resume(): Promise<void> {
    const turn = this.store.get().turns.at(-1);
    const id = this.#unread;
    this.#unread = null;
    if (this.store.get().running || id === null) return;
    if (turn?.task === id) await this.#watch(id, this.#view);
    else await this.follow();
  }

  async confirm(id: string, approve: boolean): Promise<void> {
    const task = this.store.get().turns.at(-1)?.task ?? null;
    if (task === null) return;
    this.#change(task, (turn) => decide(turn, id, approve ? 'approved' : 'refused'));
    try {
      await this.#api.confirm(id, approve);
    } catch (thrown) {
      const { code } = ApiError.from(thrown);
      this.#change(task, (turn) => decide(turn, id, code === 'not-found' ? 'expired' : 'open'));
    }
  }

  /** Work goes on in a conversation one after the other: the oldest is what runs. */
  async #watchFirst(tasks: readonly string[], view: AbortController): Promise<void> {
    const [id] = tasks;
    if (id === undefined || id === this.#unread || this.#view !== view || this.store.get().running) return;
    this.store.set({ running: true, announcement: 'Working' });
    await this.#watch(id, view);
  }

  #watch(id: string, view: AbortController): Promise<void> {
    this.store.set({ running: true });
    return this.#read(this.#api.watchTask(id, view.signal), { id, view });
  }

  /** Shows a task as it is told, to its end. */
  async #read(events: Events, { id, view }: { readonly id: string; readonly view: AbortController }): Promise<void> {
    try {
      await this.#show(events, { id, view });
    } catch (thrown) {
      if (this.#view !== view) return;
      const { code, message } = ApiError.from(thrown);
      // Its work may go on, and is read again when the node is there again.
      if (code !== 'not-found') this.#unread = id;
      const error = { code, message: code === 'not-found' ? NOT_TAKEN : message };
      this.#change(id, (turn) => endTurn(turn, { state: 'failed', error }));
    }
    if (this.#view !== view) return;
    const turn = this.store.get().turns.at(-1);
    this.store.set({ running: false, announcement: turn === undefined ? '' : endWords(turn) });
    this.#ended();
  }

  async #show(events: Events, { id, view }: { readonly id: string; readonly view: AbortController }): Promise<void> {
    for await (const event of events) {
      if (this.#view !== view) return;
      if (event.type === 'heartbeat') continue;
      if (event.type === 'task-accepted') {
        this.#accepted = event.id;
        const turns = placeTask(this.store.get().turns, event, this.#newKey('task'));
        this.store.set({ turns: turns.slice(-MAX_TURNS) });
      } else {
        this.#change(id, (turn) => advanceTurn(turn, event, Date.now()));
      }
      if (event.type === 'tool-call') this.store.set({ announcement: `Running ${event.name}` });
      if (event.type === 'confirm-request') this.store.set({ announcement: `${event.name} needs your word` });
      // What the node says as it stops; a task that failed for that is told the same once more.
      if (event.type === 'error' && event.code === 'unavailable') this.#unread = id;
      if (event.type === 'answer' || event.type === 'error') return;
    }
    throw new ApiError('unavailable', 'The node went away; its work goes on, and shows here when it is back');
  }

  /** Ends what is read and stands for what begins. */
  #begin(): AbortController {
    this.#view.abort();
    this.#view = new AbortController();
    this.#unread = null;
    this.#accepted = null;
    return this.#view;
  }

  #newKey(what: string): string {
    this.#count += 1;
    return `${what}-${this.#count}`;
  }

  #change(task: string, change: (turn: Turn) => Turn): void {
    const { turns } = this.store.get();
    this.store.set({ turns: turns.map((turn) => (turn.task === task ? change(turn) : turn)) });
  }
}

function wordsOf(turn: Turn | undefined): string {
  return turn === undefined ? '' : `${turn.question}\n${textOf(turn)}`;
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
