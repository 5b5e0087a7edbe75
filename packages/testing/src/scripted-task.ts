import { type AgentEvent, untilAborted } from '@skein/agent';
import type { TurnEvent } from '@skein/gateway';

/** A turn of a script as a task: whoever reads it sees it from its beginning, and it goes on as it is read. */
export class ScriptedTask {
  readonly id: string;
  readonly sessionId: string;
  readonly #source: AsyncIterator<AgentEvent>;
  readonly #told: TurnEvent[];
  readonly #canceled = Promise.withResolvers<void>();
  #isCanceled = false;
  #next: Promise<void> | undefined;
  #isOver = false;

  constructor(parts: {
    readonly id: string;
    readonly sessionId: string;
    readonly text: string;
    readonly events: AsyncIterable<AgentEvent>;
  }) {
    const { id, sessionId, text } = parts;
    this.id = id;
    this.sessionId = sessionId;
    this.#source = parts.events[Symbol.asyncIterator]();
    this.#told = [{ type: 'task-accepted', id, sessionId, text }];
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Ends it for those who read. */
  cancel(): void {
    this.#isCanceled = true;
    this.#canceled.resolve();
  }

  /** What was told so far, then what comes. */
  async *read({ signal }: { readonly signal: AbortSignal }): AsyncGenerator<TurnEvent> {
    for (let at = 0; ; ) {
      const event = this.#told[at];
      if (event !== undefined) {
        yield event;
        at += 1;
      } else if (this.#isOver) {
        return;
      } else {
        this.#next ??= this.#pull();
        await untilAborted(this.#next, signal);
      }
    }
  }

  async #pull(): Promise<void> {
    try {
      const next = await Promise.race([this.#source.next(), this.#canceled.promise]);
      if (this.#isCanceled) this.#told.push({ type: 'error', code: 'canceled', message: 'The task was canceled' });
      else if (next !== undefined && next.done !== true) this.#told.push(next.value);
      const last = this.#told.at(-1);
      this.#isOver = next === undefined || next.done === true || last?.type === 'answer' || last?.type === 'error';
    } finally {
      this.#next = undefined;
    }
  }
}
