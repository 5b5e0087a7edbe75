import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { ensureDirectory, freePorts, KnownNodes, loadOrCreateIdentity, TrustStore, writeFileAtomic } from '@skein/mesh';
import { formatKeyLine, type Identity, SkeinError } from '@skein/protocol';
import { z } from 'zod';
import { CONFIG_FILE, type NodeConfig } from '../config/load-config.ts';
import type { ConfigInput } from '../config/schema.ts';
import { type DataDir, dataDir } from '../data-dir.ts';
import { findRunning } from '../running.ts';

const HOST = '127.0.0.1';
const COORDINATOR = 'coordinator';
const WORKERS = ['us-monitor', 'eu-monitor'] as const;
/** How long the nodes of an earlier demo may take to end. */
const FREE_MS = 2_000;
const LOOK_MS = 25;
/** What the workers share. */
const SHARED_TOOLS = ['shell_exec', 'system_info', 'read_file', 'list_files'] as const;

/** One node of the demo network, ready to be started. */
export interface DemoNode {
  readonly name: string;
  readonly configFile: string;
  readonly dir: DataDir;
  readonly port: number;
  /** Names of the tools it shares. */
  readonly shares: readonly string[];
}

/** The demo network on disk: three nodes that trust each other as far as they need to. */
export interface DemoPlan {
  readonly coordinator: DemoNode;
  readonly workers: readonly DemoNode[];
}

const portsFile = z.record(z.string(), z.int().min(1).max(65_535));

/**
 * Writes, below `root`, each node's config, key and trust. Keys, conversations and ports stay from one time to the next;
 * a port that is taken meanwhile is replaced.
 * @throws SkeinError `conflict` when the network below `root` runs already.
 */
export async function planDemo(root: string, options: { readonly brain: NodeConfig['brain'] }): Promise<DemoPlan> {
  ensureDirectory(root);
  await untilFree(root);
  const ports = await choosePorts(root, [COORDINATOR, ...WORKERS]);
  const make = (name: string, shares: readonly string[]) => {
    const dir = dirOf(root, name);
    const node = { name, configFile: configOf(root, name), dir, port: ports.get(name) ?? 0, shares };
    return { node, identity: loadOrCreateIdentity(path.join(dir.root, 'key')) };
  };
  const coordinator = make(COORDINATOR, []);
  const workers = WORKERS.map((name) => make(name, SHARED_TOOLS));
  writeConfig(coordinator.node, { role: 'coordinator', ...(options.brain === undefined ? {} : { brain: options.brain }) });
  for (const worker of workers) {
    writeConfig(worker.node, { role: 'worker', brain: { provider: 'none' } });
    await trustEachOther(coordinator, worker);
  }
  return { coordinator: coordinator.node, workers: workers.map(({ node }) => node) };
}

/** Nodes of a demo that was killed end by themselves, a moment later; those of one that runs do not. */
async function untilFree(root: string): Promise<void> {
  const startedMs = performance.now();
  for (;;) {
    const name = [COORDINATOR, ...WORKERS].find((each) => findRunning(dirOf(root, each)) !== undefined);
    if (name === undefined) return;
    if (performance.now() - startedMs > FREE_MS) {
      throw new SkeinError(
        `The demo below ${root} runs already (${name} is process ${findRunning(dirOf(root, name))?.pid ?? 'unknown'}). Ask it: skein -C ${path.join(root, COORDINATOR)} ask "…"; or stop it, or choose another --data-dir`,
        { code: 'conflict' },
      );
    }
    await wait(LOOK_MS);
  }
}

function dirOf(root: string, name: string): DataDir {
  return dataDir(path.join(root, name, 'data'));
}

function configOf(root: string, name: string): string {
  return path.join(root, name, CONFIG_FILE);
}

interface Made {
  readonly node: DemoNode;
  readonly identity: Identity;
}

async function trustEachOther(coordinator: Made, worker: Made): Promise<void> {
  const url = `ws://${HOST}:${worker.node.port}/`;
  // A port may have gone from one worker to the other.
  const known = new KnownNodes({ path: coordinator.node.dir.knownNodes });
  const pinned = known.get(url);
  if (pinned !== undefined && pinned !== worker.identity.id) known.forget(url);
  await trust(coordinator.node.dir, worker, { trust: 'read', url });
  await trust(worker.node.dir, coordinator, { trust: 'tool' });
}

async function trust(
  dir: DataDir,
  other: Made,
  options: { readonly trust: 'read' | 'tool'; readonly url?: string },
): Promise<void> {
  await using store = new TrustStore({ path: dir.authorizedPeers });
  await store.start();
  const record = store.get(other.identity.id);
  const isSame = record?.trust === options.trust && record.url === options.url && !record.revoked;
  if (!isSame) store.trust(formatKeyLine(other.identity, other.node.name), options);
}

function writeConfig(
  { name, configFile, port, shares }: DemoNode,
  { role, brain }: { readonly role: 'coordinator' | 'worker'; readonly brain?: ConfigInput['brain'] },
): void {
  const folder = path.dirname(configFile);
  const files = path.join(folder, 'files');
  mkdirSync(files, { recursive: true });
  const note = path.join(files, 'about.txt');
  if (!existsSync(note)) writeFileSync(note, `This is the folder that the node ${name} of the demo network works in.\n`);
  const config: ConfigInput = {
    name,
    dataDir: 'data',
    ...(brain === undefined ? {} : { brain }),
    net: { host: HOST, port, role, share: { tools: shares.length > 0 } },
    tools: { enabled: [...shares], root: 'files' },
    page: { enabled: role === 'coordinator' },
    log: { level: 'warn', file: 'node.log' },
  };
  const text = `// Written anew at each start of the demo.\n${JSON.stringify(config, null, 2)}\n`;
  if (!existsSync(configFile) || readFileSync(configFile, 'utf8') !== text) writeFileAtomic(configFile, text);
}

/** A free port each: the one it had before, where that can be. */
async function choosePorts(root: string, names: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const file = path.join(root, 'ports.json');
  const before = readPorts(file);
  const free = await freePorts(
    names.length,
    names.map((name) => before[name]),
  );
  const ports = new Map(names.map((name, place) => [name, free[place] ?? 0]));
  writeFileSync(file, `${JSON.stringify(Object.fromEntries(ports))}\n`);
  return ports;
}

function readPorts(file: string): Readonly<Record<string, number>> {
  if (!existsSync(file)) return {};
  try {
    return portsFile.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return {}; // Ports are only a convenience: a damaged file means other ones.
  }
}

/** The bearer token of a node's page. @throws when the node never ran. */
export function readPageToken(dir: DataDir): string {
  return readFileSync(dir.token, 'utf8').trim();
}
