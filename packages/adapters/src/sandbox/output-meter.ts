/** Counts bytes against a rate, of which a second's worth may come at once. */
export class OutputMeter {
  readonly #bytesPerSecond: number;
  readonly #monotonicMs: () => number;
  readonly #onFlood: () => void;
  #room: number;
  #atMs: number;

  constructor(parts: { readonly bytesPerSecond: number; readonly monotonicMs: () => number; readonly onFlood: () => void }) {
    this.#bytesPerSecond = parts.bytesPerSecond;
    this.#monotonicMs = parts.monotonicMs;
    this.#onFlood = parts.onFlood;
    this.#room = parts.bytesPerSecond;
    this.#atMs = parts.monotonicMs();
  }

  take(bytes: number): void {
    const nowMs = this.#monotonicMs();
    this.#room = Math.min(this.#bytesPerSecond, this.#room + ((nowMs - this.#atMs) / 1_000) * this.#bytesPerSecond) - bytes;
    this.#atMs = nowMs;
    if (this.#room < 0) this.#onFlood();
  }
}
