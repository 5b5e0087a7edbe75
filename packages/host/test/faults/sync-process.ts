// A node with its stores in a file, that dials, takes all it can get and writes facts of its own all the while:
// `sync-process.ts '<settings as JSON>'`. Told how many operations there are elsewhere, it stops writing once it has them;
// told again, it ends.
import { createWebSocketTransport } from '@skein/mesh';
import { parseIdentity } from '@skein/protocol';
import { SyncNetwork, until } from '../sync-nodes.ts';

export interface SyncSettings {
  readonly path: string;
  readonly key: string;
  readonly url: string;
  readonly run: number;
}

export type SyncReport =
  | { readonly type: 'progress'; readonly operations: number }
  | { readonly type: 'wrote'; readonly text: string }
  /** It has what it was told of, and writes no more; so far its own chains go. */
  | { readonly type: 'done'; readonly facts: number; readonly messages: number };

// Proven: the test wrote it.
const { path, key, url, run } = JSON.parse(process.argv[2] ?? '') as SyncSettings;
const net = new SyncNetwork();
const node = net.add('child', { identity: parseIdentity(key), path, transport: createWebSocketTransport() });
const stopping = new AbortController();
let enough = false;
const { memoryLog, sessionLog } = node.stores;

const session = node.node.mesh.keep(url, { signal: stopping.signal });
const writing = write();
process.once('message', ({ total }: { readonly total: number }) => void finish(total));
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));

/** Operations of a log by this node, and by others. */
function count(log: typeof memoryLog): { readonly own: number; readonly others: number } {
  const sum = (own: boolean) =>
    log.heads().reduce((total, { author, seq }) => total + ((author === node.id) === own ? seq : 0), 0);
  return { own: sum(true), others: sum(false) };
}

async function write(): Promise<void> {
  for (let at = 0; !enough; at += 1) {
    const text = `child ${run}x${at}`;
    await node.remember(text);
    await node.stores.sessions.append('shared', [{ message: { role: 'user', text }, tainted: false }]);
    tell({ type: 'wrote', text });
    tell({ type: 'progress', operations: count(memoryLog).others });
    await new Promise(setImmediate);
  }
}

async function finish(total: number): Promise<void> {
  await until(() => count(memoryLog).others >= total, 'all operations', 60_000);
  enough = true;
  await writing;
  process.once('message', () => void end());
  tell({ type: 'done', facts: count(memoryLog).own, messages: count(sessionLog).own });
}

async function end(): Promise<void> {
  process.removeAllListeners('disconnect');
  stopping.abort();
  await session;
  await net[Symbol.asyncDispose]();
  process.disconnect();
}

function tell(report: SyncReport): void {
  process.send?.(report);
}
