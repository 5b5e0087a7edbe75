import { join } from 'node:path';
import { TaskJournal } from '@skein/agent';
import { AuditLog, type Clock, Invites, loadOrCreateKeyFile } from '@skein/mesh';
import { openAuditCheckpoint, type SkeinError } from '@skein/protocol';
import { type DataDir, dataDir } from '../../src/data-dir.ts';
import { type NodeFiles, openNodeFiles } from '../../src/node-files.ts';

/** What a node keeps on its disk, opened as the node opens it. */
export interface OpenedNode extends AsyncDisposable {
  readonly dir: DataDir;
  readonly keyPath: string;
  readonly files: NodeFiles;
  readonly journal: TaskJournal;
  readonly invites: Invites;
  /** An audit log on a clock of its own, so that it fills files and is remembered often. */
  readonly audit: AuditLog;
  readonly errors: readonly SkeinError[];
}

/** Two folders deep: those above its own are made as well. */
export const dataDirIn = (root: string) => dataDir(join(root, 'home', '.skein'));
export const keyPathIn = (root: string) => join(dataDirIn(root).root, 'key');
export const auditPathIn = (root: string) => join(dataDirIn(root).root, 'fast-audit.jsonl');

/** `witnesses`: checkpoints of the fast audit log that somebody keeps. */
export async function openNode(root: string, clock: Clock, witnesses: readonly string[] = []): Promise<OpenedNode> {
  const dir = dataDirIn(root);
  const errors: SkeinError[] = [];
  const onError = (error: SkeinError) => errors.push(error);
  const stack = new AsyncDisposableStack();
  try {
    const key = loadOrCreateKeyFile(keyPathIn(root));
    const files = await openNodeFiles({ dir, key, name: 'node', onAuditError: onError, onTrustError: onError }, stack);
    const { identity, formerIds, database, sessions } = files;
    const end = { path: `${auditPathIn(root)}.end`, identity, formerIds };
    const audit = new AuditLog({ path: auditPathIn(root), end, fileBytes: 8_000, clock, onError });
    audit.start(witnesses.map((text) => openAuditCheckpoint(text)));
    stack.defer(() => audit.close());
    const journal = new TaskJournal({ database, self: identity.id, sessions, now: Date.now });
    const invites = new Invites({ directory: dir.invites, now: Date.now });
    return {
      ...{ dir, keyPath: keyPathIn(root), files, journal, invites, audit, errors },
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}
