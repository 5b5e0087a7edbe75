import { createHash } from 'node:crypto';
import { type Tool, type ToolSet, tookTooLong } from '@skein/agent';
import type { Clock, Peer, Router } from '@skein/mesh';
import { type Json, type PeerId, SkeinError, type ToolDescriptor, toolsCall, toolsChanged, toolsList } from '@skein/protocol';
import type { HostEvent } from '../events.ts';
import type { KnownTools } from './known-tools.ts';

/** Between two listings of one peer, which could say without end that its tools have changed. */
const LIST_PAUSE_MS = 200;
/** When a peer that could not list its tools is asked again. */
const LIST_AGAIN_MS = 10_000;
/** How long a peer may take to list its tools. */
const LIST_TIMEOUT_MS = 10_000;
/** How long a tool may run when its caller says nothing else. */
const CALL_TIMEOUT_MS = 600_000;

export interface RemoteToolsParts {
  readonly tools: ToolSet;
  readonly router: Router;
  /** The session with a peer now, if there is one. */
  readonly peerOf: (id: PeerId) => Peer | undefined;
  readonly known: KnownTools;
  readonly clock: Clock;
  readonly onEvent: (event: HostEvent) => void;
}

interface Listing {
  readonly session: Peer;
  again: boolean;
  /** It failed, and may go well later. */
  isFailed: boolean;
  /** It is over, and only waits to be tried again. */
  isWaiting: boolean;
  /** What was told of it, or of those of the same session before it. */
  problem: string | undefined;
  /** Ends the pause after it. */
  release: () => void;
}

/** The tools of every connected peer, in the agent's tool set under `peer/tool`. */
export class RemoteTools {
  readonly #parts: RemoteToolsParts;
  /** Listings under way, just over or to be tried again, so that one peer has at most one; `again` when it changed meanwhile. */
  readonly #listing = new Map<PeerId, Listing>();

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
    const before = this.#listing.get(peer.id);
    if (before !== undefined && !before.isWaiting) {
      before.again = true;
      return;
    }
    before?.release();
    const listing: Listing = {
      session: peer,
      again: false,
      isFailed: false,
      isWaiting: false,
      problem: before?.session === peer ? before.problem : undefined,
      release: () => undefined,
    };
    this.#listing.set(peer.id, listing);
    this.#list(peer)
      .catch((error: unknown) => this.#failed(peer, listing, SkeinError.from(error)))
      .finally(() => {
        if (this.#listing.get(peer.id) !== listing) return; // Closed meanwhile.
        listing.release = this.#parts.clock.after(LIST_PAUSE_MS, () => this.#listed(peer, listing));
      });
  }

  close(): void {
    for (const { release } of this.#listing.values()) release();
    this.#listing.clear();
  }

  #listed(peer: Peer, listing: Listing): void {
    const { again, isFailed } = listing;
    const session = this.#parts.peerOf(peer.id);
    if (session === peer && isFailed && !again) {
      listing.isWaiting = true;
      listing.release = this.#parts.clock.after(LIST_AGAIN_MS, () => {
        const now = this.#parts.peerOf(peer.id);
        if (now === undefined) this.#listing.delete(peer.id);
        else this.joined(now);
      });
      return;
    }
    this.#listing.delete(peer.id);
    if (session !== undefined && (again || session !== peer)) this.joined(session);
  }

  /**
   * Puts what a peer shows, by whatever protocol, in place of what it showed before, and tells how that differs.
   * @throws SkeinError as `ToolSet.replacePeer`.
   */
  offer(peer: { readonly id: PeerId; readonly name: string }, tools: readonly Tool[]): void {
    this.#parts.tools.replacePeer(peer.id, tools);
    const digests = new Map(tools.map(({ descriptor }) => [descriptor.name, digestOf(descriptor)]));
    const change = this.#parts.known.update(peer.id, digests);
    if (change.added.length + change.removed.length + change.redefined.length === 0) return;
    this.#parts.onEvent({ type: 'tools-changed', id: peer.id, name: peer.name, ...change });
  }

  /** Takes a peer's tools away. */
  left(id: PeerId): void {
    this.#parts.tools.replacePeer(id, []);
  }

  async #list(peer: Peer): Promise<void> {
    const { tools: descriptors } = await peer.call(toolsList, {}, { timeoutMs: LIST_TIMEOUT_MS });
    if (this.#parts.peerOf(peer.id) !== peer) return;
    this.offer(
      peer,
      descriptors.map((descriptor) => remoteTool(peer, descriptor)),
    );
  }

  #failed(peer: Peer, listing: Listing, error: SkeinError): void {
    this.left(peer.id);
    listing.isFailed = error.mayPass;
    // Not to share is a choice, not a problem; one that only joins has not even the method.
    if (error.code === 'denied' || error.code === 'not-found' || this.#parts.peerOf(peer.id) !== peer) return;
    const problem = `its tools cannot be listed: ${error.message}`;
    if (problem === listing.problem) return;
    listing.problem = problem;
    this.#parts.onEvent({ type: 'peer-problem', id: peer.id, name: peer.name, problem });
  }
}

function remoteTool(peer: Peer, descriptor: ToolDescriptor): Tool {
  return {
    descriptor,
    peer: { name: peer.name, id: peer.id },
    untrusted: true,
    keepsLimit: true,
    async run(input, context): Promise<Json> {
      const { limit } = context;
      if (!isRecord(input)) throw new SkeinError(`${descriptor.name} takes an object`, { code: 'invalid' });
      const { output } = await peer.call(
        toolsCall,
        {
          tool: descriptor.name,
          input,
          ...(context.key === undefined ? {} : { key: context.key }),
          ...(context.onBehalfOf === undefined ? {} : { onBehalfOf: context.onBehalfOf }),
        },
        {
          signal: context.signal,
          timeoutMs: limit?.timeoutMs ?? CALL_TIMEOUT_MS,
          ...(limit === undefined ? {} : { late: () => tookTooLong(limit) }),
          onPart: ({ delta }) => context.emit(delta),
        },
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
export function digestOf({ name, description, input, effect, openWorld }: ToolDescriptor): string {
  return createHash('sha256')
    .update(JSON.stringify([name, description, input, effect, ...(openWorld === true ? ['open world'] : [])]))
    .digest('base64');
}
