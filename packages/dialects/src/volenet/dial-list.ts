import { SkeinError } from '@skein/protocol';
import type { VoleTarget } from './dialling.ts';
import { httpBase } from './http-posts.ts';

export interface DialListParts {
  /** Keeps one address connected until the signal fires; never rejects. */
  readonly dial: (target: VoleTarget, options: { readonly signal: AbortSignal }) => Promise<void>;
}

/** The configured addresses, each being dialled. */
export class DialList {
  readonly #parts: DialListParts;
  readonly #dialling = new Map<string, { readonly stop: AbortController; readonly done: Promise<void> }>();

  constructor(parts: DialListParts) {
    this.#parts = parts;
  }

  /** Dials these in place of those before; what is in both goes on. */
  set(targets: readonly VoleTarget[]): void {
    const wanted = new Map(targets.map((target) => [`${httpBase(target.url)} ${target.key ?? ''}`, target]));
    for (const [key, { stop }] of this.#dialling) {
      if (wanted.has(key)) continue;
      this.#dialling.delete(key);
      stop.abort(new SkeinError('The peer is not configured any more', { code: 'canceled' }));
    }
    for (const [key, target] of wanted) {
      if (this.#dialling.has(key)) continue;
      const stop = new AbortController();
      this.#dialling.set(key, { stop, done: this.#parts.dial(target, { signal: stop.signal }) });
    }
  }

  /** Stops all; the returned promise waits for their end. */
  async close(reason: unknown): Promise<void> {
    const dials = [...this.#dialling.values()];
    for (const { stop } of dials) stop.abort(reason);
    await Promise.all(dials.map(({ done }) => done));
  }
}
