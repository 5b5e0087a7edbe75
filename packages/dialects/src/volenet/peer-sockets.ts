import type { VoleSocket } from './vole-socket.ts';

/** Sockets of one peer at once; one more closes the oldest that is not proven, or itself. */
const SOCKETS_MAX = 4;

/** The sockets of one peer, in the order they came. */
export class PeerSockets {
  readonly #sockets = new Set<VoleSocket>();

  get size(): number {
    return this.#sockets.size;
  }

  [Symbol.iterator](): Iterator<VoleSocket> {
    return this.#sockets.values();
  }

  /** False when it is in already, or closed because there are too many. */
  add(socket: VoleSocket): boolean {
    if (this.#sockets.has(socket)) return false;
    if (this.#sockets.size >= SOCKETS_MAX) {
      // A proven one stays: whoever holds back a message of the peer could otherwise push it out.
      const unproven = [...this.#sockets].find(({ isProven }) => !isProven);
      (unproven ?? socket).close('too many connections', 1013);
      if (unproven === undefined) return false;
      this.#sockets.delete(unproven);
    }
    this.#sockets.add(socket);
    return true;
  }

  /** False when it was not in. */
  delete(socket: VoleSocket): boolean {
    return this.#sockets.delete(socket);
  }

  /** One that is the peer's: rather one it dialled, where nothing is cut off. */
  route(): VoleSocket | undefined {
    let proven: VoleSocket | undefined;
    for (const socket of this.#sockets) {
      if (!socket.isProven || !socket.isOpen) continue;
      if (!socket.isLimited) return socket;
      proven = socket;
    }
    return proven;
  }

  /** The far end is known to take as many messages as we do. */
  lift(): void {
    for (const socket of this.#sockets) socket.lift();
  }

  /** Where the peer came by itself, those dialled to it are closed. */
  closeDialled(reason: string): void {
    const proven = [...this.#sockets].filter(({ isProven }) => isProven);
    if (!proven.some(({ direction }) => direction === 'accepted')) return;
    for (const socket of proven) if (socket.direction === 'dialled') socket.close(reason);
  }

  /** Closes all. */
  close(reason: string): void {
    const all = [...this.#sockets];
    this.#sockets.clear();
    for (const socket of all) socket.close(reason, 1008);
  }
}
