import { failedOutcome, isFinal, type Task, type TaskInfo, type TaskJournal, type TaskRef } from '@skein/agent';
import type { NodeName, TaskDetail, TaskSummary } from '@skein/gateway';
import { type PeerId, SkeinError } from '@skein/protocol';

/** Tasks that are listed. */
const LISTED_MAX = 1_000;
const ID_CHARS_MIN = 4;
const NOT_KEPT = { code: 'not-found', message: 'How it ended is no longer kept' } as const;

export interface TaskRegisterParts {
  readonly self: PeerId;
  readonly journal: TaskJournal;
  readonly nameOf: (id: PeerId) => string | undefined;
}

/** A node's tasks as people see them, who name one by its id or the beginning of that. */
export class TaskRegister {
  readonly #parts: TaskRegisterParts;

  constructor(parts: TaskRegisterParts) {
    this.#parts = parts;
  }

  list(): readonly TaskSummary[] {
    return this.#parts.journal.list({ limit: LISTED_MAX }).map((task) => this.summary(task));
  }

  /** @throws SkeinError `not-found`, `invalid`. */
  get(id: string): TaskDetail {
    const { journal } = this.#parts;
    const ref = this.find(id);
    const task = this.read(ref);
    return {
      ...this.summary(task),
      steps: journal.steps(ref).map(({ atMs, attempt, event }) => ({ atMs, attempt, event })),
      outcome: task.outcome ?? (isFinal(task.state) ? failedOutcome('unknown', NOT_KEPT) : null),
    };
  }

  /** @throws SkeinError `not-found`. */
  read(ref: TaskRef): Task {
    const task = this.#parts.journal.get(ref);
    if (task === undefined) throw new SkeinError(`There is no task ${ref.id}`, { code: 'not-found' });
    return task;
  }

  /** @throws SkeinError `not-found`; `invalid` for what is not the beginning of one task's id. */
  find(id: string): TaskRef {
    if (!/^[0-9a-f-]+$/.test(id) || id.length < ID_CHARS_MIN) {
      throw new SkeinError(`"${id.slice(0, 60)}" is not the id of a task, nor ${ID_CHARS_MIN} or more characters of one`, {
        code: 'invalid',
      });
    }
    const [found, other] = this.#parts.journal.list({ id, limit: 2 });
    if (found === undefined) throw new SkeinError(`There is no task ${id}; skein tasks list shows them`, { code: 'not-found' });
    if (other !== undefined && other.id !== id) {
      throw new SkeinError(`Several tasks begin with ${id}: ${found.id}, ${other.id}`, { code: 'invalid' });
    }
    return found;
  }

  summary(task: TaskInfo): TaskSummary {
    const { id, state, attempt, title, session, priority, acceptedAtMs, updatedAtMs, deadlineAtMs, tokens } = task;
    return {
      id,
      origin: task.origin === this.#parts.self ? null : this.#label(task.origin),
      owner: task.owner === 'me' ? null : this.#label(task.owner),
      state,
      attempt,
      title,
      session,
      priority,
      acceptedAtMs,
      updatedAtMs,
      deadlineAtMs,
      tokens,
    };
  }

  #label(id: PeerId): NodeName {
    return { id, name: this.#parts.nameOf(id) ?? id.slice(0, 8) };
  }
}
