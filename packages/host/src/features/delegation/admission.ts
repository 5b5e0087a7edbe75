import type { TaskRunner } from '@skein/agent';
import { type PeerId, SkeinError } from '@skein/protocol';
import type { NodeConfig } from '../../config/load-config.ts';

/** When one for whom there is no room should come again. */
const RETRY_AFTER_MS = 1_000;

export interface TaskAdmissionParts {
  readonly self: PeerId;
  readonly hasBrain: boolean;
  readonly net: () => Pick<NodeConfig['net'], 'maxQueuedTasks' | 'taskOverflow' | 'brainSource' | 'brainMode'>;
  readonly runner: Pick<TaskRunner, 'load' | 'freeFor' | 'waitingOf' | 'openOf'>;
  /** How many more tasks of this sender other nodes would take now. */
  readonly roomElsewhere: (sender: PeerId) => number;
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
    const { hasBrain, net, runner, roomElsewhere } = this.#parts;
    const { maxQueuedTasks, taskOverflow, brainSource, brainMode } = net();
    if (!hasBrain && brainSource === 'local' && brainMode === 'local') {
      throw new SkeinError(
        'This node has no brain (brain.provider is "none"); ask another node, give this one a brain, or let it use a peer\'s (net.brainSource)',
        { code: 'unsupported' },
      );
    }
    if (this.#roomFor(sender) > 0) return this.#reserve(sender);
    const isForwarded = taskOverflow === 'forward';
    // What is over here already goes to the same places elsewhere.
    const over = Math.max(0, this.#waiting() - maxQueuedTasks - Math.max(0, runner.freeFor(sender)));
    if (isForwarded && over < roomElsewhere(sender)) return this.#reserve(sender);
    const nobody = isForwarded ? ', and no peer that would do one has room for it' : '';
    throw new SkeinError(
      `${this.#waiting()} tasks wait here already, as many as may (net.maxQueuedTasks)${nobody}: try again in ${RETRY_AFTER_MS / 1_000} s`,
      { code: 'busy', retryAfterMs: RETRY_AFTER_MS },
    );
  }

  /** How many tasks of a sender may be here at once, those counted that are: what others hand over meanwhile makes it less. */
  placesFor(sender: PeerId): number {
    return this.#parts.runner.openOf(sender) + this.#roomFor(sender);
  }

  /** How many more tasks of a sender may be taken in now. */
  #roomFor(sender: PeerId): number {
    const { self, net, runner } = this.#parts;
    const ofSelf = this.#waitingOf(self);
    // One that may begin at once does not wait.
    const room = net().maxQueuedTasks + Math.max(0, runner.freeFor(sender));
    if (sender === self) return Math.max(0, room - ofSelf);
    const left = room - (this.#waiting() - ofSelf);
    return Math.max(0, Math.min(left, Math.ceil((left - this.#waitingOf(sender)) / 2)));
  }

  #waiting(): number {
    return [...this.#admitted.values()].reduce((sum, count) => sum + count, this.#parts.runner.load().queued);
  }

  #waitingOf(sender: PeerId): number {
    return this.#parts.runner.waitingOf(sender) + (this.#admitted.get(sender) ?? 0);
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
