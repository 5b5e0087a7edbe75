import { randomBytes } from 'node:crypto';
import type { ToolSet } from '@skein/agent';
import { authorize, createWebTransport, Invites, KnownNodes, Mesh, type MeshEvent, Router, systemClock } from '@skein/mesh';
import type { NodeState, PeerId } from '@skein/protocol';
import type { Logger } from 'pino';
import { Authority } from './authority.ts';
import type { NodeConfig } from './config/load-config.ts';
import type { DataDir } from './data-dir.ts';
import { type HostEvent, problemEvent } from './events.ts';
import { KnownTools } from './features/known-tools.ts';
import { Presence } from './features/presence.ts';
import { RemoteTools } from './features/remote-tools.ts';
import { ShareTools } from './features/share-tools.ts';
import { openTrustFeatures, type TrustFeatures, tellShownKey } from './features/trust-features.ts';
import { MemoryWatermark, watermarkBytes } from './memory-watermark.ts';
import type { NodeFiles } from './node-files.ts';
import { peerLabel } from './peer-label.ts';
import { Sparingly } from './sparingly.ts';

/** Requests of one peer being worked on at once. */
const CALLS_PER_PEER_MAX = 1_024;
/** Refused requests that are recorded: a peer that asks for what it may not have must not fill the disk. */
const REFUSALS_PER_MINUTE = 1_200;

/** A node's place among its peers: who may do what, the sessions, and the features that live on them. */
export interface NodeNetwork {
  readonly authority: Authority;
  readonly mesh: Mesh;
  readonly share: ShareTools;
  readonly remote: RemoteTools;
  readonly presence: Presence;
  readonly router: Router;
  readonly trusting: TrustFeatures;
}

export interface NodeNetworkParts {
  readonly name: string;
  readonly files: NodeFiles;
  readonly dir: DataDir;
  /** The `net` section as it is now: it may be reloaded. */
  readonly net: () => NodeConfig['net'];
  readonly log: Logger;
  readonly tools: ToolSet;
  /** Names of local tools that are for this node's own agent alone. */
  readonly keptBack: ReadonlySet<string>;
  /** The longest one call of a tool may take: `agent.toolTimeoutMs`. */
  readonly toolTimeoutMs: () => number;
  /** What this node says of itself to a peer. */
  readonly stateFor: (peer: PeerId, calls: number) => NodeState;
  /** A peer said something new of itself. */
  readonly onPeerState: () => void;
  readonly onMeshEvent: (event: MeshEvent) => void;
  readonly onEvent: (event: HostEvent) => void;
}

/** Puts mesh and features together and gives them to the stack to close. Nothing is dialled yet. */
export function openNodeNetwork(parts: NodeNetworkParts, stack: AsyncDisposableStack): NodeNetwork {
  const { tools, onEvent, files } = parts;
  const { audit } = files;
  const authority = createAuthority(parts);
  const refusals = new Sparingly({ maxPerMinute: REFUSALS_PER_MINUTE, monotonicMs: systemClock.monotonicMs });
  const router = new Router([
    authorize({
      decide: (peer, grant) => authority.decide(peer, grant),
      onRefused: (peer, method, reason) => {
        const left = refusals.admit();
        if (left === undefined) return;
        const more = left === 0 ? {} : { count: left };
        audit.append({ event: 'refused', peer: peer.id, name: peer.name, method, reason, ...more });
      },
    }),
  ]);
  const mesh = stack.use(createMesh(parts, authority, router));
  const share = new ShareTools({
    self: files.identity.id,
    tools,
    keptBack: parts.keptBack,
    router,
    mesh,
    maySee: (peer, tool) => authority.decide(peer, 'tools', tool).allowed,
    nameOf: (peer) => peerLabel(files.trust.list(), peer),
    clock: systemClock,
    toolTimeoutMs: parts.toolTimeoutMs,
    onEvent,
    onServed: (call) => audit.append({ event: 'tool-served', ...call }),
    onLeftOut: (names) =>
      parts.log.warn({ tools: names }, 'tools not listed for peers, since the list would be over what one message holds'),
    onRunning: () => presence.changed(),
  });
  stack.defer(() => share.close());
  const known = new KnownTools({
    path: parts.dir.knownTools,
    onError: (error) => parts.log.error({ error: error.message, cause: error.cause }, 'known tools not kept'),
  });
  const remote = new RemoteTools({
    tools,
    router,
    peerOf: (id) => mesh.peers.get(id),
    known,
    clock: systemClock,
    onEvent,
  });
  stack.defer(() => remote.close());
  const presence = new Presence({
    router,
    mesh,
    clock: systemClock,
    stateFor: (peer) => parts.stateFor(peer, share.running),
    onChange: parts.onPeerState,
  });
  stack.defer(() => presence.close());
  const shared = { files, authority, router, peers: () => mesh.peers, log: parts.log, onEvent };
  return { authority, mesh, share, remote, presence, router, trusting: openTrustFeatures(shared, stack) };
}

function createAuthority({ dir, files, net, log, onEvent }: NodeNetworkParts): Authority {
  const { trust, audit } = files;
  return new Authority({
    trust,
    invites: new Invites({ directory: dir.invites, now: systemClock.now }),
    known: new KnownNodes({ path: dir.knownNodes }),
    net,
    onRotation: (shown, name) => tellShownKey(shown, { name, audit, onEvent }),
    onPaired: (record, calledItself) => {
      const { id } = record.identity;
      const isTaken = record.name !== calledItself;
      const reason = isTaken ? `it calls itself ${calledItself}, which is another's name here` : undefined;
      audit.append({ event: 'paired', peer: id, name: record.name, ...(reason === undefined ? {} : { reason }) });
      if (reason !== undefined) onEvent(problemEvent(null, record.name, `${reason}: it is called ${record.name}`));
      log.info({ peer: id, name: record.name, trust: record.trust }, 'peer joined by invitation');
    },
  });
}

function createMesh({ files, name, net, log, onMeshEvent }: NodeNetworkParts, authority: Authority, router: Router): Mesh {
  const memory = new MemoryWatermark({
    bytes: watermarkBytes(),
    residentBytes: process.memoryUsage.rss,
    monotonicMs: systemClock.monotonicMs,
  });
  return new Mesh({
    identity: files.identity,
    name,
    rotations: files.rotations,
    roots: files.roots,
    boot: randomBytes(16).toString('hex'),
    gatekeeper: authority,
    transports: [createWebTransport()],
    router,
    limits: {
      maxConcurrentCalls: CALLS_PER_PEER_MAX,
      maxMessagesPerSecond: net().maxMessagesPerSecond,
      isShortOfMemory: () => memory.isShort(),
    },
    authTimeoutMs: net().authTimeoutMs,
    clock: systemClock,
    random: Math.random,
    onEvent: onMeshEvent,
    onInternalError: (error, method) => log.error({ method, error: error.message, cause: error.cause }, 'a handler failed'),
  });
}
