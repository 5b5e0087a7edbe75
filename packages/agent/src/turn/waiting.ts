import { abortReason, SkeinError } from '@skein/protocol';
import type { TimeLimit } from '../tool/tool.ts';

/** The promise's outcome, or the signal's reason as soon as it fires; what the promise does later is not waited for. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: outcome, resolve, reject } = Promise.withResolvers<T>();
  const onAbort = () => reject(abortReason(signal));
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  return outcome;
}

/** What is said of a call that took longer than it may. */
export function tookTooLong({ what, timeoutMs, setting }: TimeLimit): SkeinError {
  const by = setting === undefined ? '' : ` (${setting})`;
  return new SkeinError(`${what} took longer than ${timeoutMs} ms${by}`, { code: 'deadline-exceeded' });
}

export interface ScopeParts extends Omit<TimeLimit, 'timeoutMs'> {
  readonly parent?: AbortSignal;
  readonly timeoutMs?: number;
}

/** A signal of one's own that ends with its parent, after a time, or by hand. Dispose it to let go of the parent. */
export class Scope {
  readonly #controller = new AbortController();
  readonly #parent: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #onParentAbort: () => void;

  constructor(parts: ScopeParts) {
    const { parent, timeoutMs } = parts;
    this.#parent = parent;
    this.#onParentAbort = () => {
      if (parent !== undefined) this.abort(abortReason(parent));
    };
    if (parent?.aborted === true) this.#onParentAbort();
    parent?.addEventListener('abort', this.#onParentAbort, { once: true });
    if (timeoutMs === undefined) return;
    this.#timer = setTimeout(() => this.abort(tookTooLong({ ...parts, timeoutMs })), timeoutMs);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason: SkeinError): void {
    this.#controller.abort(reason);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#parent?.removeEventListener('abort', this.#onParentAbort);
  }
}

/** What an iterable yields until the signal fires; one that does not answer then is left behind. */
export async function* iterateUntilAborted<T>(iterable: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T, void> {
  const iterator = iterable[Symbol.asyncIterator]();
  let finished = false;
  try {
    for (;;) {
      const result = await untilAborted(iterator.next(), signal);
      if (result.done === true) {
        finished = true;
        return;
      }
      yield result.value;
    }
  } finally {
    // Not awaited: a generator that hangs answers `return` never. Its own failure has nobody left to hear it.
    if (!finished) iterator.return?.().then(ignore, ignore);
  }
}

function ignore(): void {}
