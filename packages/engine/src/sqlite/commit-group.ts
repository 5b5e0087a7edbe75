import type { DatabaseSync } from 'node:sqlite';
import { SkeinError } from '@skein/protocol';

/** One caller's write and where its outcome goes. */
export interface PendingWrite {
  /** Runs the caller's function, keeps its value, and returns what settles the caller after the commit. */
  run(): () => void;
  fail(thrown: unknown): void;
}

export interface CommitGroupParts {
  readonly connection: DatabaseSync;
  /** Runs inside each transaction, last: the commit counter. */
  readonly beforeCommit: () => void;
  /** Runs once the transaction is on the disk, before any caller is told. */
  readonly afterCommit: () => void;
  /** Turns what SQLite raised into what callers see. */
  readonly convert: (thrown: unknown) => unknown;
}

/**
 * Runs the writes in one transaction with one sync to the disk, each inside its own savepoint, and settles every caller
 * after the commit. A write that throws fails alone. When the group as a whole fails (the disk is full), each write is
 * tried once more by itself, so one that is too big does not take the small ones with it.
 */
export function commitGroup(writes: readonly PendingWrite[], parts: CommitGroupParts): void {
  const { connection } = parts;
  const settle: (() => void)[] = [];
  try {
    connection.exec('BEGIN IMMEDIATE');
    for (const write of writes) settle.push(runInSavepoint(write, parts));
    parts.beforeCommit();
    connection.exec('COMMIT');
  } catch (thrown) {
    rollBack(connection);
    for (const write of writes) {
      if (writes.length > 1) commitGroup([write], parts);
      else write.fail(parts.convert(thrown));
    }
    return;
  }
  parts.afterCommit();
  for (const done of settle) done();
}

function runInSavepoint(write: PendingWrite, parts: CommitGroupParts): () => void {
  const { connection } = parts;
  connection.exec('SAVEPOINT one_write');
  try {
    const done = write.run();
    connection.exec('RELEASE one_write');
    return done;
  } catch (thrown) {
    // A full disk or a failing one ends the whole transaction inside SQLite: then it is the group that failed.
    if (!connection.isTransaction) throw thrown;
    connection.exec('ROLLBACK TO one_write');
    connection.exec('RELEASE one_write');
    return () => write.fail(parts.convert(thrown));
  }
}

function rollBack(connection: DatabaseSync): void {
  if (connection.isTransaction) connection.exec('ROLLBACK');
}

/** A write as the group takes it, and the promise its caller waits for. */
export function pendingWrite<T>(work: () => T): { readonly write: PendingWrite; readonly promise: Promise<T> } {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const write: PendingWrite = {
    run() {
      const value = work();
      if (value instanceof Promise) {
        throw new SkeinError('A write must be done when its function returns; it may not be async', { code: 'internal' });
      }
      return () => resolve(value);
    },
    fail: reject,
  };
  return { write, promise };
}
