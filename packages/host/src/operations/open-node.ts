import { setTimeout as wait } from 'node:timers/promises';
import type { GatewayClient, PeerStatus } from '@skein/gateway';
import { SkeinError } from '@skein/protocol';
import type { LoadedConfig } from '../config/load-config.ts';
import { dataDir } from '../data-dir.ts';
import { createHost } from '../host.ts';
import { createLog } from '../log.ts';
import { connectToRunning } from '../running.ts';
import { createInProcessClient } from './in-process-client.ts';

/** How long a command waits for the peers it has just begun to dial. */
const CONNECT_MS = 5_000;
/** How long a peer that is connected may take to list its tools; one that shares none lists none for ever. */
const LIST_MS = 500;
const LOOK_MS = 25;

/** A node to work with. */
export interface OpenNode extends AsyncDisposable {
  readonly client: GatewayClient;
  /** True when it is a process of its own, which goes on after this. */
  readonly running: boolean;
}

export interface OpenNodeOptions {
  readonly signal: AbortSignal;
  /** Told in words what is being waited for. */
  readonly onProgress?: (text: string) => void;
  /** Peers worth waiting for, by their label or id; all when it is absent; null for none, and nobody is dialled. */
  readonly peer?: string | null;
}

/**
 * The running node of this data directory; where none runs, one of this process that dials its peers and takes no calls,
 * and has tried each peer once.
 */
export async function openNode(loaded: LoadedConfig, options: OpenNodeOptions): Promise<OpenNode> {
  const client = connectToRunning(dataDir(loaded.config.dataDir));
  if (client !== undefined && !loaded.config.page.enabled) {
    throw new SkeinError('The node runs, but without its API: set page.enabled, or stop it first', { code: 'unsupported' });
  }
  if (client !== undefined) return { client, running: true, [Symbol.asyncDispose]: async () => {} };
  const { config } = loaded;
  const alone = { ...loaded, config: { ...config, net: { ...config.net, enabled: false } } };
  const log = createLog({ level: 'silent' });
  const host = createHost({ loaded: options.peer === null ? alone : loaded, listen: false, log });
  try {
    await host.start();
    const own = createInProcessClient(host.backend);
    if (options.peer !== null) await untilTried(own, options);
    return { client: own, running: false, [Symbol.asyncDispose]: () => host[Symbol.asyncDispose]() };
  } catch (error) {
    await host[Symbol.asyncDispose]();
    throw error;
  }
}

/** Looks again and again, since no event says that a peer has listed the tools it had before. */
async function untilTried(client: GatewayClient, { signal, onProgress, peer }: OpenNodeOptions): Promise<void> {
  const startedAtMs = performance.now();
  const connectedAtMs = new Map<string, number>();
  let told = false;
  for (;;) {
    const nowMs = performance.now();
    const wanted = (await client.peers()).filter(({ id, name }) => peer == null || [id, name].includes(peer));
    for (const { id, state } of wanted) if (state === 'connected' && !connectedAtMs.has(id)) connectedAtMs.set(id, nowMs);
    const open = wanted.filter((status) => isOpen(status, nowMs - (connectedAtMs.get(status.id) ?? nowMs)));
    if (open.length === 0 || nowMs - startedAtMs > CONNECT_MS) return;
    if (!told) onProgress?.(`No node runs here; connecting to ${open.map(({ name }) => name).join(', ')}`);
    told = true;
    await wait(LOOK_MS, undefined, { signal });
  }
}

function isOpen({ state, tools, problem }: PeerStatus, connectedForMs: number): boolean {
  if (state === 'connected') return tools.length === 0 && connectedForMs < LIST_MS;
  return state === 'connecting' && problem === null;
}
