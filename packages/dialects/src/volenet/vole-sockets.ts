import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type Clock, StrangerBudget } from '@skein/mesh';
import { type PeerId, SkeinError } from '@skein/protocol';
import { type WebSocket, WebSocketServer } from 'ws';
import type { MessageDoor, VoleMessage } from './door.ts';
import type { VoleTrust } from './host.ts';
import type { KnownPeer } from './known-peer.ts';
import type { KnownPeers } from './known-peers.ts';
import { VOLE_MESSAGE_BYTES_MAX } from './limits.ts';
import type { Announcement } from './payloads.ts';
import { VoleSocket } from './vole-socket.ts';

export interface VoleSocketsParts {
  readonly clock: Clock;
  readonly door: MessageDoor;
  readonly known: KnownPeers;
  readonly proofTimeoutMs: number;
  readonly announcement: () => Announcement;
  readonly onRefused: (error: SkeinError, address: string, peer?: PeerId) => void;
}

/** All WebSockets, those that came and those that were dialled: what comes on one is heard from its owner alone. */
export class VoleSockets {
  readonly #parts: VoleSocketsParts;
  readonly #strangers: StrangerBudget;
  readonly #server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    // One message, then whatever else waits: checking signatures takes long, and one peer must not hold up the others.
    allowSynchronousEvents: false,
    maxPayload: VOLE_MESSAGE_BYTES_MAX,
  });
  readonly #sockets = new Set<VoleSocket>();
  #isClosed = false;

  constructor(parts: VoleSocketsParts) {
    this.#parts = parts;
    this.#strangers = new StrangerBudget(parts.clock);
  }

  /** Takes a WebSocket that somebody asks for. Whose it is says the first message on it that verifies. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const address = request.socket.remoteAddress ?? 'unknown';
    socket.on('error', () => socket.destroy());
    try {
      if (this.#isClosed) throw new SkeinError('This node is stopping', { code: 'unavailable' });
      if (request.headers.origin !== undefined) throw new SkeinError('A page asked for a connection', { code: 'denied' });
    } catch (error) {
      this.#parts.onRefused(SkeinError.from(error), address);
      socket.end('HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    this.#server.handleUpgrade(request, socket, head, (webSocket) => this.#accept(webSocket, address));
  }

  /** Takes a paused WebSocket that was dialled to this peer; resolves with the reason when it is closed. */
  attach(
    webSocket: WebSocket,
    known: KnownPeer,
    { address, signal }: { readonly address: string; readonly signal: AbortSignal },
  ): Promise<string> {
    return new Promise((resolve) => {
      const abort = () => socket.close('not wanted any more');
      const socket: VoleSocket = this.#open(webSocket, {
        direction: 'dialled',
        address,
        onMessage: (bytes) => {
          try {
            this.#receive(known, this.#read(socket, bytes), socket);
          } catch (error) {
            this.#parts.onRefused(SkeinError.from(error), address, known.link.id);
          }
        },
        onClosed: (reason) => {
          signal.removeEventListener('abort', abort);
          known.link.detach(socket, reason);
          resolve(reason);
        },
      });
      socket.owner = known.link.id;
      signal.addEventListener('abort', abort, { once: true });
      if (signal.aborted) abort();
      known.link.attach(socket);
      webSocket.resume();
    });
  }

  /** Ends all, and takes no more. */
  close(reason: string): void {
    this.#isClosed = true;
    for (const socket of [...this.#sockets]) socket.close(reason, 1001);
    this.#server.close();
  }

  #accept(webSocket: WebSocket, address: string): void {
    const { known: peers, onRefused } = this.#parts;
    let isTold = false;
    const socket: VoleSocket = this.#open(webSocket, {
      direction: 'accepted',
      address,
      onMessage: (bytes) => {
        try {
          const message = this.#read(socket, bytes);
          const known = peers.of(message.from);
          socket.owner = known.link.id;
          known.link.attach(socket);
          place.advance();
          this.#receive(known, message, socket);
        } catch (error) {
          // Said once for a socket of a stranger, who could go on for ever.
          if (socket.isProven || !isTold) onRefused(SkeinError.from(error), address, socket.owner);
          isTold = true;
        }
        if (socket.isProven) place.leave();
      },
      onClosed: (reason) => {
        place.leave();
        if (socket.owner !== undefined) peers.get(socket.owner)?.link.detach(socket, reason);
      },
    });
    const place = this.#strangers.enter(address, (reason) => {
      onRefused(new SkeinError(reason, { code: 'busy' }), address, socket.owner);
      socket.cut(reason);
    });
  }

  #open(
    webSocket: WebSocket,
    parts: {
      readonly direction: 'dialled' | 'accepted';
      readonly address: string;
      readonly onMessage: (bytes: Buffer) => void;
      readonly onClosed: (reason: string) => void;
    },
  ): VoleSocket {
    const { clock, proofTimeoutMs } = this.#parts;
    const socket: VoleSocket = new VoleSocket({
      ...parts,
      socket: webSocket,
      clock,
      onClosed: (reason) => {
        release();
        this.#sockets.delete(socket);
        parts.onClosed(reason);
      },
    });
    this.#sockets.add(socket);
    const release = clock.after(proofTimeoutMs, () => {
      if (!socket.isProven) socket.close('auth timeout', 1008);
    });
    return socket;
  }

  #read(socket: VoleSocket, bytes: Buffer): VoleMessage {
    return this.#parts.door.read(bytes, { admit: (sender) => assertOwner(socket, sender) });
  }

  #receive(known: KnownPeer, message: VoleMessage, socket: VoleSocket): void {
    known.receive(message, socket);
    if (message.body.type === 'discover') known.link.sendOn(socket, 'discover:response', this.#parts.announcement());
  }
}

/** A socket speaks for one peer only. */
function assertOwner(socket: VoleSocket, sender: VoleTrust): void {
  if (socket.owner !== undefined && socket.owner !== sender.identity.id) {
    throw new SkeinError('A message of another came on the connection of a peer', { code: 'unauthenticated' });
  }
}
