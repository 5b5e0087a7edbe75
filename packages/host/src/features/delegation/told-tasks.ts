import { isFinal, lastEventOf, type TaskJournal, type TaskRef, type TaskRunner, ToldEvents } from '@skein/agent';
import type { TurnEvent } from '@skein/gateway';
import type { TaskRegister } from './task-register.ts';

export interface ToldTasksParts {
  readonly runner: TaskRunner;
  readonly journal: TaskJournal;
  readonly register: TaskRegister;
  /** The node stops, and with it its files. */
  readonly isStopping: () => boolean;
}

/** Tasks as they are told to people, who come and go, and the questions that they are asked by them. */
export class ToldTasks {
  readonly #parts: ToldTasksParts;
  /** Which open task asked what a person is to confirm, of those that somebody was told. */
  readonly #questions = new Map<string, TaskRef>();

  constructor(parts: ToldTasksParts) {
    this.#parts = parts;
  }

  /** A task from its beginning to its answer or error. The signal ends what is told, not the work. */
  async *tell(ref: TaskRef, { signal }: { readonly signal: AbortSignal }): AsyncGenerator<TurnEvent> {
    const { runner, journal, register, isStopping } = this.#parts;
    const { session: sessionId, text } = register.read(ref);
    yield { type: 'task-accepted', id: ref.id, sessionId, text };
    const told = new ToldEvents();
    const events = runner.watch(ref, { signal });
    try {
      for (;;) {
        const next = await events.next();
        if (next.done === true) {
          yield lastEventOf(next.value);
          return;
        }
        for (const event of told.take(next.value.event)) {
          if (event.type === 'confirm-request') this.#questions.set(event.id, ref);
          yield event;
        }
      }
    } finally {
      // One that is far behind may be told a question after the task has ended.
      if (!isStopping() && isFinal(journal.info(ref)?.state ?? 'done')) this.ended(ref);
    }
  }

  /** A person's answer; false when nothing with this id waits. */
  async confirm(id: string, approve: boolean): Promise<boolean> {
    const ref = this.#questions.get(id);
    return ref === undefined ? false : this.#parts.runner.confirm(ref, id, approve);
  }

  /** Forgets what it asked. */
  ended({ origin, id }: TaskRef): void {
    for (const [question, asked] of this.#questions) {
      if (asked.id === id && asked.origin === origin) this.#questions.delete(question);
    }
  }
}
