import { openDatabase } from '@skein/engine';
import {
  createIdentity,
  type Identity,
  type OperationFields,
  type OperationLogName,
  type PeerId,
  sealOperation,
  type WireOperation,
} from '@skein/protocol';
import { memoryMigrations } from '../src/memory/memory-migrations.ts';
import { MemoryStore } from '../src/memory/memory-store.ts';
import { sessionMigrations } from '../src/session/session-migrations.ts';
import { SessionStore } from '../src/session/session-store.ts';
import { wireOperationOf } from '../src/sync/incoming-operations.ts';
import { OperationLog, type OperationLogParts } from '../src/sync/operation-log.ts';
import { syncMigrations } from '../src/sync/sync-migrations.ts';

export const migrations = [...sessionMigrations, ...memoryMigrations, ...syncMigrations];
export const everybody = { mayWrite: () => true };
export const nobody = { mayWrite: () => false };

export interface TestLogsOptions {
  readonly path?: string;
  readonly identity?: Identity;
  readonly limits?: OperationLogParts['limits'];
  readonly memoryLimits?: ConstructorParameters<typeof MemoryStore>[0]['limits'];
}

let replicas = 0;

/** The memory and the conversations of one node on a database, with their logs and a clock that is set by hand. */
export function createTestLogs(options: TestLogsOptions = {}) {
  const identity = options.identity ?? createIdentity();
  const database = openDatabase({ path: options.path ?? ':memory:', migrations });
  const clock = { nowMs: 1_700_000_000_000 };
  const now = () => clock.nowMs++;
  const log = (name: OperationLogName) =>
    new OperationLog({
      database,
      log: name,
      identity,
      now,
      randomReplica: () => (++replicas).toString(16).padStart(16, '0'),
      ...(options.limits === undefined ? {} : { limits: options.limits }),
    });
  const [memoryLog, sessionLog] = [log('memory'), log('sessions')];
  let ids = 0;
  const randomId = () => `${identity.id.slice(0, 6)}-${++ids}`;
  const memory = new MemoryStore({
    database,
    now,
    randomId,
    log: memoryLog,
    ...(options.memoryLimits === undefined ? {} : { limits: options.memoryLimits }),
  });
  const sessions = new SessionStore({ database, now, log: sessionLog });
  return {
    id: identity.id,
    identity,
    database,
    clock,
    memory,
    sessions,
    memoryLog,
    sessionLog,
    remember: async (text: string, more: { readonly replaces?: string } = {}) =>
      (await memory.write({ text, author: 'me', source: 'test', trusted: true }, more)).fact,
    texts: () =>
      memory
        .latest({ limit: 100 })
        .map((fact) => fact.text)
        .sort(),
    [Symbol.dispose]: () => database.close(),
  };
}
export type TestLogs = ReturnType<typeof createTestLogs>;

/** Every operation of a log, whole. */
export function operationsIn(log: OperationLog, of?: PeerId): WireOperation[] {
  return log
    .heads()
    .filter(({ author }) => of === undefined || author === of)
    .flatMap(({ author, replica, seq }) =>
      Array.from({ length: seq }, (_, index) => log.read([{ author, replica, from: index + 1, to: index + 1 }])).flat(),
    );
}

/** Brings one log all that another has. */
export async function bring(from: OperationLog, to: OperationLog): Promise<void> {
  await to.accept(operationsIn(from), everybody);
}

/** An operation as an author that keeps to no rule may sign it. */
export function sign(identity: Identity, fields: Partial<OperationFields> & Pick<OperationFields, 'time'>) {
  const body = fields.body ?? JSON.stringify({ type: 'fact', fact: 'f', text: 'x', tags: [], source: '', trusted: true });
  const head = sealOperation(identity, {
    log: 'memory',
    replica: 'ab'.repeat(8),
    seq: 1,
    previous: Buffer.alloc(32),
    ...fields,
    body,
  });
  return { head, wire: wireOperationOf(head.bytes, body) };
}
