import type { Mesh } from '@skein/mesh';

/** One dialer for each address this node is to keep connected. */
export class Dialers {
  readonly #mesh: Mesh;
  readonly #signal: AbortSignal;
  readonly #running = new Map<string, AbortController>();

  /** The signal ends them all. */
  constructor(parts: { readonly mesh: Mesh; readonly signal: AbortSignal }) {
    this.#mesh = parts.mesh;
    this.#signal = parts.signal;
    parts.signal.addEventListener('abort', () => this.set([]), { once: true });
  }

  /** Dials exactly these addresses from now on. A session that is up stays up when its address goes. */
  set(urls: readonly string[]): void {
    const wanted = this.#signal.aborted ? new Set<string>() : new Set(urls);
    for (const [url, controller] of this.#running) {
      if (wanted.has(url)) continue;
      controller.abort();
      this.#running.delete(url);
    }
    for (const url of wanted) {
      if (this.#running.has(url)) continue;
      const controller = new AbortController();
      this.#running.set(url, controller);
      // Never rejects: failures are events of the mesh, and it goes on.
      void this.#mesh.keep(url, { signal: controller.signal });
    }
  }
}
