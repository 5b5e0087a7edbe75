import { randomBytes, randomUUID } from 'node:crypto';
import {
  adoptTasks,
  MemoryStore,
  memoryMigrations,
  OperationLog,
  SessionStore,
  scheduleMigrations,
  sessionMigrations,
  syncMigrations,
  taskMigrations,
} from '@skein/agent';
import { type Database, openDatabase } from '@skein/engine';
import { AuditLog, CheckpointFile, type KeyFile, RevocationLists, shownHistory, systemClock, TrustStore } from '@skein/mesh';
import {
  type AuditCheckpoint,
  type Identity,
  openAuditCheckpoint,
  type PeerId,
  readRotation,
  type SkeinError,
} from '@skein/protocol';
import type { DataDir } from './data-dir.ts';
import { chatMigrations } from './features/peer-chat/chat-migrations.ts';

/** All tables of a node's database. */
export const NODE_MIGRATIONS = [
  ...sessionMigrations,
  ...memoryMigrations,
  ...syncMigrations,
  ...taskMigrations,
  ...scheduleMigrations,
  ...chatMigrations,
];

/** What a node keeps on its disk, opened. */
export interface NodeFiles {
  readonly identity: Identity;
  /** The rotations that led to this key, for peers that know it by a former one. */
  readonly rotations: readonly string[];
  /** The statements of roots that peers are shown with them. */
  readonly roots: readonly string[];
  readonly formerIds: readonly PeerId[];
  readonly revocationLists: RevocationLists;
  /** The checkpoints of peers' audit logs that are kept for them. */
  readonly heldCheckpoints: CheckpointFile;
  /** The checkpoints of this node's audit log that peers keep for it. */
  readonly auditWitnesses: CheckpointFile;
  readonly audit: AuditLog;
  readonly trust: TrustStore;
  /** Sessions, memory and tasks, in one. */
  readonly database: Database;
  readonly sessions: SessionStore;
  readonly memory: MemoryStore;
  /** What was said in each, signed, for peers that share it. */
  readonly sessionLog: OperationLog;
  readonly memoryLog: OperationLog;
}

export interface NodeFilesParts {
  readonly dir: DataDir;
  /** This node's key, read or made. */
  readonly key: KeyFile;
  /** What this node is called: no peer is called the same here. */
  readonly name: string;
  /** Told, while the node runs, when the audit cannot be written. */
  readonly onAuditError: (error: SkeinError) => void;
  /** Told, while the node runs, when the trust file was changed into something that does not read. */
  readonly onTrustError: (error: SkeinError) => void;
}

/**
 * Opens a node's files and gives them to the stack to close. Makes those that are not there; what is damaged is named and
 * left as it is. @throws SkeinError `corrupt`, `denied`, `unavailable`.
 */
export async function openNodeFiles(parts: NodeFilesParts, stack: AsyncDisposableStack): Promise<NodeFiles> {
  const { dir } = parts;
  const { identity, rotations } = parts.key;
  const { roots } = shownHistory(parts.key);
  const formerIds = rotations.map((rotation) => readRotation(rotation).from.id);
  const auditWitnesses = new CheckpointFile({ path: dir.auditWitnesses });
  auditWitnesses.start();
  const audit = new AuditLog({
    path: dir.audit,
    end: { path: dir.auditEnd, identity, formerIds },
    clock: systemClock,
    onError: parts.onAuditError,
  });
  audit.start(readWitnesses(auditWitnesses, [identity.id, ...formerIds]));
  stack.defer(() => audit.close());
  const heldCheckpoints = new CheckpointFile({ path: dir.heldCheckpoints });
  heldCheckpoints.start();
  const revocationLists = new RevocationLists({ directory: dir.revocations, now: systemClock.now });
  revocationLists.start();
  const isListed = (id: PeerId) => revocationLists.isListed(id);
  const trust = stack.use(
    new TrustStore({
      path: dir.authorizedPeers,
      ownName: parts.name,
      ownIds: [identity.id, ...formerIds],
      isListed,
      onError: parts.onTrustError,
    }),
  );
  await trust.start();
  const database = stack.use(
    openDatabase({
      path: dir.database,
      migrations: NODE_MIGRATIONS,
    }),
  );
  const { now } = systemClock;
  const log = (name: 'memory' | 'sessions') =>
    new OperationLog({ database, log: name, identity, now, randomReplica: () => randomBytes(8).toString('hex') });
  const memoryLog = log('memory');
  const sessionLog = log('sessions');
  const sessions = new SessionStore({ database, now, log: sessionLog });
  const memory = new MemoryStore({ database, now, randomId: randomUUID, log: memoryLog });
  await Promise.all([memory.adopt(), sessions.adopt(), adoptTasks(database, { from: formerIds, to: identity.id })]);
  const signed = { identity, rotations, roots, formerIds, revocationLists, heldCheckpoints, auditWitnesses };
  return { ...signed, audit, trust, database, sessions, sessionLog, memory, memoryLog };
}

/** What peers keep of this node's audit log: only what it signed itself counts. */
export function readWitnesses(witnesses: CheckpointFile, issuers: readonly PeerId[]): readonly AuditCheckpoint[] {
  return [...witnesses.entries()]
    .map(([, text]) => openAuditCheckpoint(text))
    .filter(({ issuer }) => issuers.includes(issuer.id));
}
