import type { Clock, Decision } from '@skein/mesh';
import type { Grant, Identity, Json, PeerId, PublicIdentity, SkeinError, ToolDescriptor } from '@skein/protocol';
import type {
  VoleMemoryEntry,
  VoleMemoryHit,
  VoleMemoryQuery,
  VolePayload,
  VoleSessionEntry,
  VoleTask,
  VoleTaskEnd,
} from './payloads.ts';
import type { VoleId } from './vole-id.ts';
import type { VolePeer } from './vole-peer.ts';

/** A key that is trusted here, as the dialect needs it. */
export interface VoleTrust {
  readonly identity: PublicIdentity;
  /** A label, never an identity. */
  readonly name: string;
  /** base64 SubjectPublicKeyInfo of its ML-DSA-65 key, when one is known: then every message must bear that signature. */
  readonly mlDsa?: string | undefined;
}

/** What happens between this node and VoleNet peers. */
export type VoleEvent =
  | { readonly type: 'peer-joined'; readonly peer: VolePeer }
  | { readonly type: 'peer-left'; readonly peer: VolePeer; readonly reason: string }
  | { readonly type: 'tools-changed'; readonly peer: VolePeer }
  /** A message, a socket or a request was refused. Whoever reaches the port can cause it: write down sparingly. */
  | { readonly type: 'refused'; readonly address: string; readonly peer: PeerId | undefined; readonly error: SkeinError }
  /** A configured peer cannot be reached, or something of ours failed. `claimed`: whose key it says to have; not proven. */
  | {
      readonly type: 'problem';
      readonly url: string | undefined;
      readonly claimed: PeerId | undefined;
      readonly error: SkeinError;
    };

/**
 * What the dialect asks of the node it runs in. Whatever takes a peer is called only with one whose signature on that
 * very request was verified and whom `decide` allowed the grant named there.
 */
export interface VoleHost {
  readonly identity: Identity;
  readonly name: string;
  /** Of this program. */
  readonly version: string;
  readonly clock: Clock;
  /** 0 to 1. */
  readonly random: () => number;
  role(): 'coordinator' | 'worker' | 'peer';
  /** Where peers may dial this node, as it is announced; empty for nowhere. */
  endpoint(): string;

  /** The trusted key with this id; none for one that is unknown or revoked. */
  find(id: VoleId): VoleTrust | undefined;
  decide(peer: PeerId, grant: Grant, tool?: string): Decision;
  /** A trusted peer has proven that it also holds this ML-DSA-65 key: to be kept with its key. */
  pinMlDsa(peer: PeerId, mlDsa: string): void;
  /**
   * A trusted peer answered at a configured address, by which the host may know who is to answer there from now on.
   * @throws SkeinError to refuse it: nothing is sent there.
   */
  answeredAt?(url: string, peer: PeerId): void;
  /** Whether this node also meets the peer in a better way: then nothing that goes to all peers goes to it by this one. */
  hasBetter?(peer: PeerId): boolean;

  /** Grant `tools`, for each tool by its name. */
  listTools(peer: PeerId): readonly ToolDescriptor[];
  /** Grant `tools`. @throws SkeinError; its public text is what the peer gets. */
  callTool(peer: PeerId, name: string, input: unknown, options: { readonly signal: AbortSignal }): Promise<Json>;
  /** Grant `brain`. */
  runTask(peer: PeerId, task: VoleTask, options: { readonly signal: AbortSignal }): Promise<Omit<VoleTaskEnd, 'taskId'>>;
  /** Grant `memory-write`. The author is the peer. */
  memoryWritten(peer: PeerId, entry: VoleMemoryEntry): void | Promise<void>;
  /** Grant `memory-read`. */
  searchMemory(
    peer: PeerId,
    query: VoleMemoryQuery,
    options: { readonly signal: AbortSignal },
  ): Promise<readonly VoleMemoryHit[]>;
  /** Grant `sessions`. */
  sessionWritten(peer: PeerId, entry: VoleSessionEntry): void | Promise<void>;
  /** Grant `chat`. */
  chatReceived(peer: PeerId, chat: VolePayload<'chat:message'>): void | Promise<void>;
  /** The peer says that it leads. A claim; a voter or not is for the host to say. */
  leaderSeen(peer: PeerId): void;
  /** The peer wants to lead; true acknowledges that. */
  leaderClaimed(peer: PeerId): boolean;

  onEvent(event: VoleEvent): void;
}
