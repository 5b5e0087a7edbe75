import { type AuditLog, type FollowedRotation, type Peer, type Router, type ShownRoot, systemClock } from '@skein/mesh';
import { fingerprintWords, type PeerId } from '@skein/protocol';
import type { Logger } from 'pino';
import type { Authority } from '../authority.ts';
import type { HostEvent } from '../events.ts';
import type { NodeFiles } from '../node-files.ts';
import { AuditCheckpoints } from './audit-checkpoints.ts';
import { Revocations } from './revocations.ts';

export interface TrustFeaturesParts {
  readonly files: Pick<
    NodeFiles,
    'identity' | 'formerIds' | 'audit' | 'trust' | 'revocationLists' | 'heldCheckpoints' | 'auditWitnesses'
  >;
  readonly authority: Authority;
  readonly router: Router;
  /** The sessions now. */
  readonly peers: () => ReadonlyMap<PeerId, Peer>;
  readonly log: Logger;
  readonly onEvent: (event: HostEvent) => void;
}

/** What nodes do for each other's trust, of which the host tells them who comes and goes. */
export interface TrustFeatures {
  joined(peer: Peer): void;
  left(id: PeerId): void;
}

/** Why a rotation was not followed, in words. */
const ROTATION_REFUSED: Readonly<Record<Exclude<FollowedRotation['outcome'], 'moved' | 'known'>, string>> = {
  second: 'the old key has another successor already; one of the two nodes may have stolen it',
  'from-revoked': 'the old key was revoked',
  'to-revoked': 'the new key was revoked',
  unrooted: 'it lacks the signature of the root which the old key has; whoever has stolen that key can sign no more than this',
  forged: 'it is not signed by both keys, or by the new one and a root of the old one that is known here',
};

interface Telling {
  readonly name: string;
  readonly audit: AuditLog;
  readonly onEvent: (event: HostEvent) => void;
}

/** Tells of a rotation or a root that a peer showed: in the audit, and to people where it was refused. */
export function tellShownKey(shown: FollowedRotation | ShownRoot, telling: Telling): void {
  if (shown.type === 'root') tellRoot(shown, telling);
  else tellRotation(shown, telling);
}

function tellRoot({ id, root, outcome }: ShownRoot, { name, audit, onEvent }: Telling): void {
  if (outcome === 'pinned' || outcome === 'known') {
    audit.append({ event: 'root-pinned', peer: id, name, reason: `its root is ${root}` });
    return;
  }
  const why = outcome === 'second' ? 'it has another already; one of the two may be of a thief' : 'it is not signed by both';
  const problem = `the root "${fingerprintWords(root)}" is shown for its key ${id}, which is refused: ${why}`;
  audit.append({ event: 'root-refused', peer: id, name, reason: problem });
  onEvent({ type: 'peer-problem', id, name, problem });
}

function tellRotation({ from, to, outcome }: FollowedRotation, { name, audit, onEvent }: Telling): void {
  if (outcome === 'moved' || outcome === 'known') {
    audit.append({ event: 'key-rotated', peer: to, name, reason: `it took the place of ${from}` });
    return;
  }
  const problem = `it shows a rotation from the key ${from}, which is refused: ${ROTATION_REFUSED[outcome]}`;
  audit.append({ event: 'rotation-refused', peer: to, name, reason: problem });
  onEvent({ type: 'peer-problem', id: to, name, problem });
}

/** Shares revocations and audit checkpoints with peers, until the stack is closed. */
export function openTrustFeatures(parts: TrustFeaturesParts, stack: AsyncDisposableStack): TrustFeatures {
  const { files, authority, router, peers, log, onEvent } = parts;
  const { identity, trust, audit } = files;
  const revocations = new Revocations({
    identity,
    trust,
    lists: files.revocationLists,
    router,
    peers,
    isRevoker: (peer) => authority.isTrustedInFull(peer) && trust.get(peer)?.revoker === true,
    audit,
    clock: systemClock,
    onError: (error) => log.error({ error: error.message, cause: error.cause }, 'a revocation list is not kept, or not whole'),
  });
  stack.defer(() => revocations.close());
  revocations.start();
  const checkpoints = new AuditCheckpoints({
    ownIds: new Set([identity.id, ...files.formerIds]),
    trust,
    audit,
    held: files.heldCheckpoints,
    witnesses: files.auditWitnesses,
    router,
    peers,
    mayKeep: (peer) => authority.isTrustedInFull(peer),
    clock: systemClock,
    onEvent,
  });
  stack.defer(() => checkpoints.close());
  return {
    joined(peer) {
      revocations.joined(peer);
      checkpoints.joined(peer);
    },
    left: (id) => checkpoints.left(id),
  };
}
