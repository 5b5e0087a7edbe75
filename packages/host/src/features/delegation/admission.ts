import type { TaskRunner } from '@skein/agent';
import { type PeerId, SkeinError } from '@skein/protocol';
import type { NodeConfig } from '../../config/load-config.ts';

/** When one for whom there is no room should come again. */
const RETRY_AFTER_MS = 1_000;

export interface TaskAdmissionParts {
  readonly self: PeerId;
  readonly hasBrain: boolean;
  readonly net: () => Pick<NodeConfig['net'], 'maxQueuedTasks' | 'taskOverflow' | 'brainSource' | 'brainMode'>;
  readonly runner: Pick<TaskRunner, 'load' | 'freeFor' | 'waitingOf'>;
  readonly hasRoomElsewhere: () => boolean;
}

/**
 * Whether one more task may wait here. Places are kept for others: what peers handed over never keeps this node's own
 * tasks out, and one peer may have no more waiting than it leaves free.
 */
export class TaskAdmission {
  readonly #parts: TaskAdmissionParts;
  /** Tasks that were admitted and are being written, by who handed them over; no more than may wait. */
  readonly #admitted = new Map<PeerId, number>();

  constructor(parts: TaskAdmissionParts) {
    this.#parts = parts;
  }

  /**
   * Holds a place for a task of this sender, until it is among those that wait: dispose it then.
   * @throws SkeinError `unsupported` where nobody could ever do it, `busy`.
   */
  admit(sender: PeerId): Disposable {
    const { hasBrain, net, self, runner, hasRoomElsewhere } = this.#parts;
    const { maxQueuedTasks, taskOverflow, brainSource, brainMode } = net();
    if (!hasBrain && brainSource === 'local' && brainMode === 'local') {
      throw new SkeinError(
        'This node has no brain (brain.provider is "none"); ask another node, give this one a brain, or let it use a peer\'s (net.brainSource)',
        { code: 'unsupported' },
      );
    }
    const waitingOf = (id: PeerId) => runner.waitingOf(id) + (this.#admitted.get(id) ?? 0);
    const all = [...this.#admitted.values()].reduce((sum, count) => sum + count, runner.load().queued);
    const queued = sender === self ? waitingOf(self) : all - waitingOf(self);
    // One that may begin at once does not wait.
    const room = maxQueuedTasks + Math.max(0, runner.freeFor(sender));
    const hasRoom = sender === self ? queued < room : queued < room && waitingOf(sender) < room - queued;
    if (hasRoom || (taskOverflow === 'forward' && hasRoomElsewhere())) return this.#reserve(sender);
    throw new SkeinError(`${queued} tasks wait here already, as many as may (net.maxQueuedTasks): try again later`, {
      code: 'busy',
      retryAfterMs: RETRY_AFTER_MS,
    });
  }

  #reserve(sender: PeerId): Disposable {
    const change = (by: 1 | -1) => {
      const count = (this.#admitted.get(sender) ?? 0) + by;
      if (count > 0) this.#admitted.set(sender, count);
      else this.#admitted.delete(sender);
    };
    change(1);
    return { [Symbol.dispose]: () => change(-1) };
  }
}
