import { BODY_BYTES_MAX, type OutgoingMessage, PRIORITY, type Priority, SkeinError } from '@skein/protocol';

/** Bytes of bodies that may wait for one peer. */
const QUEUE_BYTES_MAX = 8 * 1024 * 1024;
/** Messages that may wait for one peer. */
const QUEUE_MESSAGES_MAX = 16_384;
const RETRY_AFTER_MS = 100;

/** What waits to leave for one peer: three lanes, emptied in order of priority. */
export class SendQueue {
  readonly #lanes: readonly Lane[] = [new Lane(), new Lane(), new Lane()];
  #bytes = 0;
  count = 0;

  /**
   * @throws SkeinError `too-large` for a body above the bound, `busy` when too much waits.
   */
  push(message: OutgoingMessage): void {
    if (message.bodyBytes > BODY_BYTES_MAX) {
      throw new SkeinError(
        `A message of ${message.bodyBytes} bytes is above the bound of ${BODY_BYTES_MAX}; stream it in parts`,
        {
          code: 'too-large',
        },
      );
    }
    this.assertRoom(message.priority);
    this.#lanes[PRIORITY[message.priority]]?.push(message);
    this.#bytes += message.bodyBytes;
    this.count += 1;
  }

  /**
   * Throws when nothing of this priority can be taken now, whatever its size: a body that would be refused need not be
   * made first.
   * @throws SkeinError `busy`.
   */
  assertRoom(priority: Priority): void {
    // Twice the room for control: what makes room must be able to pass.
    const share = priority === 'control' ? 2 : 1;
    // The largest body still fits below the bound.
    if (this.#bytes <= share * QUEUE_BYTES_MAX - BODY_BYTES_MAX && this.count < share * QUEUE_MESSAGES_MAX) return;
    throw new SkeinError(`${this.count} messages (${this.#bytes} bytes) wait for this peer already; try again later`, {
      code: 'busy',
      retryAfterMs: RETRY_AFTER_MS,
    });
  }

  /** The next messages in order: at least one when any waits, then up to these bounds. */
  take(maxMessages: number, maxBytes: number): OutgoingMessage[] {
    const taken: OutgoingMessage[] = [];
    let bytes = 0;
    lanes: for (const lane of this.#lanes) {
      for (let next = lane.first(); next !== undefined; next = lane.first()) {
        // What does not fit waits for the next frame, and what comes behind it with it.
        if (taken.length >= maxMessages || (taken.length > 0 && bytes + next.bodyBytes > maxBytes)) break lanes;
        lane.drop();
        bytes += next.bodyBytes;
        taken.push(next);
      }
    }
    this.#bytes -= bytes;
    this.count -= taken.length;
    return taken;
  }

  clear(): void {
    for (const lane of this.#lanes) lane.clear();
    this.#bytes = 0;
    this.count = 0;
  }
}

/** A first-in first-out list that does not move its elements at each removal. */
class Lane {
  #items: OutgoingMessage[] = [];
  #head = 0;

  push(item: OutgoingMessage): void {
    this.#items.push(item);
  }

  first(): OutgoingMessage | undefined {
    return this.#items[this.#head];
  }

  drop(): void {
    this.#head += 1;
    if (this.#head === this.#items.length) this.clear();
    else if (this.#head >= 1024) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }

  clear(): void {
    this.#items = [];
    this.#head = 0;
  }
}
