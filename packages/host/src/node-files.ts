import { randomUUID } from 'node:crypto';
import { MemoryStore, memoryMigrations, SessionStore, sessionMigrations } from '@skein/agent';
import { openDatabase } from '@skein/engine';
import { AuditLog, loadOrCreateIdentity, systemClock, TrustStore } from '@skein/mesh';
import type { Identity, SkeinError } from '@skein/protocol';
import type { DataDir } from './data-dir.ts';

/** What a node keeps on its disk, opened. */
export interface NodeFiles {
  readonly identity: Identity;
  readonly audit: AuditLog;
  readonly trust: TrustStore;
  readonly sessions: SessionStore;
  readonly memory: MemoryStore;
}

export interface NodeFilesParts {
  readonly dir: DataDir;
  readonly keyPath: string;
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
  const identity = loadOrCreateIdentity(parts.keyPath);
  const audit = new AuditLog({ path: dir.audit, endPath: dir.auditEnd, clock: systemClock, onError: parts.onAuditError });
  audit.start();
  stack.defer(() => audit.close());
  const trust = stack.use(new TrustStore({ path: dir.authorizedPeers, onError: parts.onTrustError }));
  await trust.start();
  const database = stack.use(openDatabase({ path: dir.database, migrations: [...sessionMigrations, ...memoryMigrations] }));
  const { now } = systemClock;
  const sessions = new SessionStore({ database, now });
  const memory = new MemoryStore({ database, now, randomId: randomUUID });
  return { identity, audit, trust, sessions, memory };
}
