import { createHash } from 'node:crypto';
import type { Tool, ToolSet } from '@skein/agent';
import type { Peer, Router } from '@skein/mesh';
import { type Json, type PeerId, SkeinError, type ToolDescriptor, toolsCall, toolsChanged, toolsList } from '@skein/protocol';
import type { HostEvent } from '../events.ts';
import type { KnownTools } from './known-tools.ts';

/** How long a peer may take to list its tools. */
const LIST_TIMEOUT_MS = 10_000;
/** How long a remote tool may run when its caller's signal says nothing shorter. */
const CALL_TIMEOUT_MS = 600_000;

export interface RemoteToolsParts {
  readonly tools: ToolSet;
  readonly router: Router;
  /** The session with a peer now, if there is one. */
  readonly peerOf: (id: PeerId) => Peer | undefined;
  readonly known: KnownTools;
  readonly onEvent: (event: HostEvent) => void;
}

/** The tools of every connected peer, in the agent's tool set under `peer/tool`. */
export class RemoteTools {
  readonly #parts: RemoteToolsParts;
  /** Listings under way, so that one peer has at most one; `again` when it changed meanwhile. */
  readonly #listing = new Map<PeerId, { again: boolean }>();

  constructor(parts: RemoteToolsParts) {
    this.#parts = parts;
    parts.router.serve(toolsChanged, (_params, { peer }) => {
      const session = parts.peerOf(peer.id);
      if (session !== undefined) this.joined(session);
      return {};
    });
  }

  /** Asks a peer for its tools and offers them. */
  joined(peer: Peer): void {
    const running = this.#listing.get(peer.id);
    if (running !== undefined) {
      running.again = true;
      return;
    }
    const state = { again: false };
    this.#listing.set(peer.id, state);
    this.#list(peer)
      .catch((error: unknown) => this.#failed(peer, SkeinError.from(error)))
      .finally(() => {
        this.#listing.delete(peer.id);
        const session = this.#parts.peerOf(peer.id);
        if (session !== undefined && (state.again || session !== peer)) this.joined(session);
      });
  }

  /** Takes a peer's tools away. */
  left(id: PeerId): void {
    this.#parts.tools.replacePeer(id, []);
  }

  async #list(peer: Peer): Promise<void> {
    const { tools: descriptors } = await peer.call(toolsList, {}, { timeoutMs: LIST_TIMEOUT_MS });
    if (this.#parts.peerOf(peer.id) !== peer) return;
    this.#parts.tools.replacePeer(
      peer.id,
      descriptors.map((descriptor) => remoteTool(peer, descriptor)),
    );
    const digests = new Map(descriptors.map((descriptor) => [descriptor.name, digestOf(descriptor)]));
    const change = this.#parts.known.update(peer.id, digests);
    if (change.added.length + change.removed.length + change.redefined.length === 0) return;
    this.#parts.onEvent({ type: 'tools-changed', id: peer.id, name: peer.name, ...change });
  }

  #failed(peer: Peer, error: SkeinError): void {
    this.left(peer.id);
    // Not to share is a choice, not a problem.
    if (error.code === 'denied' || this.#parts.peerOf(peer.id) !== peer) return;
    this.#parts.onEvent({
      type: 'peer-problem',
      id: peer.id,
      name: peer.name,
      problem: `its tools cannot be listed: ${error.message}`,
    });
  }
}

function remoteTool(peer: Peer, descriptor: ToolDescriptor): Tool {
  return {
    descriptor,
    peer: { name: peer.name, id: peer.id },
    untrusted: true,
    async run(input, context): Promise<Json> {
      if (!isRecord(input)) throw new SkeinError(`${descriptor.name} takes an object`, { code: 'invalid' });
      const { output } = await peer.call(
        toolsCall,
        { tool: descriptor.name, input },
        { signal: context.signal, timeoutMs: CALL_TIMEOUT_MS, onPart: ({ delta }) => context.emit(delta) },
      );
      // Proven: it came out of JSON.parse.
      return (output ?? null) as Json;
    },
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What a definition is, in 32 bytes: all that a model or a person would decide by. */
function digestOf({ name, description, input, effect }: ToolDescriptor): string {
  return createHash('sha256')
    .update(JSON.stringify([name, description, input, effect]))
    .digest('base64');
}
