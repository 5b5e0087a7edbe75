import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { formatTrustLine, freePorts, loadOrCreateIdentity, parseTrustLine } from '@skein/mesh';
import { formatKeyLine } from '@skein/protocol';
import { pause } from '../measure.ts';
import type { NodeSettings, NodeStatus } from './messages.ts';
import { type Lead, RunningNodes } from './running-nodes.ts';

/** How long nodes may take to meet and to agree on who leads; one that was held still 15 s looks for the others slowly. */
const AGREE_MS = 60_000;
const LOOK_MS = 50;

export interface NodeNetworkOptions {
  readonly count: number;
  /** Nodes in one process; one when not given. */
  readonly perProcess?: number;
  readonly net?: NodeSettings['net'];
  /** A file of tools that each node has. */
  readonly tools?: string;
  /** Whether each two nodes dial each other, and so find each other again whichever was away; else the later one dials. */
  readonly bothDial?: boolean;
}

/** Whole nodes in processes of their own on this machine; each trusts every other fully, and knows where it is. */
export class NodeNetwork implements AsyncDisposable {
  readonly count: number;
  readonly #root: string;
  /** What each process runs, by its place. */
  readonly #settings: readonly (readonly NodeSettings[])[];
  readonly #processes: RunningNodes[] = [];
  readonly #onLead = new Set<(lead: Lead) => void>();

  private constructor(root: string, settings: readonly NodeSettings[], perProcess: number) {
    this.#root = root;
    this.count = settings.length;
    this.#settings = Array.from({ length: Math.ceil(settings.length / perProcess) }, (_, place) =>
      settings.slice(place * perProcess, (place + 1) * perProcess),
    );
  }

  /** Resolves when all of them have met, and agree on who leads. */
  static async start(options: NodeNetworkOptions): Promise<NodeNetwork> {
    const root = await mkdtemp(path.join(tmpdir(), 'skein-bench-nodes-'));
    await using stack = new AsyncDisposableStack();
    const network = stack.use(new NodeNetwork(root, await writeNodes(root, options), options.perProcess ?? 1));
    for (const place of network.#settings.keys()) await network.restart(place);
    await network.agreed();
    stack.move();
    return network;
  }

  /** Every process, by its place. */
  get processes(): readonly RunningNodes[] {
    return this.#processes;
  }

  /** The process at a place. */
  at(place: number): RunningNodes {
    const process = this.#processes[place];
    if (process === undefined) throw new Error(`There are ${this.#processes.length} processes`);
    return process;
  }

  /** Starts the process at a place, for the first time or again. */
  async restart(place: number): Promise<void> {
    const onLead = (lead: Lead) => {
      for (const listener of this.#onLead) listener(lead);
    };
    this.#processes[place] = await RunningNodes.start(this.#settings[place] ?? [], { onLead });
  }

  /** The first time, from now on, that a node says it leads which is not this one. */
  async nextLead(than: string): Promise<Lead> {
    const { promise, resolve } = Promise.withResolvers<Lead>();
    const listener = (lead: Lead) => {
      if (lead.node !== than) resolve(lead);
    };
    this.#onLead.add(listener);
    try {
      return await promise;
    } finally {
      this.#onLead.delete(listener);
    }
  }

  /** Waits until all have met all and agree on who leads; its name. @throws Error when they do not within a minute. */
  async agreed(): Promise<string> {
    const sinceMs = performance.now();
    for (;;) {
      const all = (await Promise.all(this.#processes.map((process) => process.ask({ type: 'status' })))).flat();
      const leader = leaderOf(all);
      if (leader !== null) return leader;
      if (performance.now() - sinceMs > AGREE_MS) throw new Error(`Not one network: ${JSON.stringify(all)}`);
      await pause(LOOK_MS);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((process) => process[Symbol.asyncDispose]()));
    await rm(this.#root, { recursive: true });
  }
}

/** The name all agree on, when all are connected to all. */
function leaderOf(all: readonly NodeStatus[]): string | null {
  const leader = all[0]?.leader ?? null;
  const isOne = all.every((node) => node.connected === all.length - 1 && node.leader === leader);
  return isOne ? leader : null;
}

/** Keys, trust and tools of all of them. */
async function writeNodes(
  root: string,
  { count, net, tools, bothDial = false }: NodeNetworkOptions,
): Promise<readonly NodeSettings[]> {
  const nodes: { readonly line: string; readonly url: string; readonly settings: NodeSettings }[] = [];
  for (const [place, port] of (await freePorts(count)).entries()) {
    const name = `node-${place}`;
    const dataDir = path.join(root, name);
    await mkdir(path.join(dataDir, 'tools'), { recursive: true, mode: 0o700 });
    if (tools !== undefined) await writeFile(path.join(dataDir, 'tools', 'tools.ts'), tools);
    const line = formatKeyLine(loadOrCreateIdentity(path.join(dataDir, 'key')), name);
    nodes.push({ line, url: `ws://127.0.0.1:${port}`, settings: { name, dataDir, net: { ...net, port } } });
  }
  for (const [own, { settings }] of nodes.entries()) {
    const lines = nodes.flatMap(({ line, url }, place) => {
      if (place === own) return [];
      const known = { ...parseTrustLine(line), trust: 'full', voter: true } as const;
      return [`${formatTrustLine(bothDial || place < own ? { ...known, url } : known)}\n`];
    });
    await writeFile(path.join(settings.dataDir, 'authorized_peers'), lines.join(''), { mode: 0o600 });
  }
  return nodes.map(({ settings }) => settings);
}
