import { SkeinError } from '@skein/protocol';

const WAITING_MAX = 64;
const WAITING_CHARS_MAX = 8_000_000;

/** Answers that wait until it is known which socket is the peer's; so many, and one more is refused. */
export class WaitingAnswers {
  readonly #texts: string[] = [];
  #chars = 0;

  /** @throws SkeinError `busy` at a bound. */
  add(text: string): void {
    if (this.#texts.length >= WAITING_MAX || this.#chars + text.length > WAITING_CHARS_MAX) {
      throw new SkeinError('Too much waits for the peer to be proven', { code: 'busy' });
    }
    this.#texts.push(text);
    this.#chars += text.length;
  }

  /** All of them, in their order; none waits any more. */
  take(): readonly string[] {
    this.#chars = 0;
    return this.#texts.splice(0);
  }
}
