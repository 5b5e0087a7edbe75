// Whole nodes in a process of their own: `node-process.ts '<settings as JSON>'`, asked the rest over its channel.
import { createHost, type Host, loadConfig } from '@skein/host';
import { SkeinError } from '@skein/protocol';
import { pause } from '../measure.ts';
import { machineMs, type NodeReport, type NodeRequest, type NodeSettings, type NodeStatus, type SeenFact } from './messages.ts';
import { countTraffic } from './traffic.ts';

/** Between two looks for what has come. */
const LOOK_MS = 2;
/** The latest facts that one look shows: more than are written while a busy machine comes to look again. */
const LOOK_FACTS = 50;
/** How long facts may take to come. */
const LOOK_FOR_MS = 30_000;

// Proven: node-network.ts wrote it.
const settings = JSON.parse(process.argv[2] ?? '[]') as readonly NodeSettings[];
const traffic = countTraffic();
const stopping = new AbortController();
const hosts = new Map<string, Host>();
for (const one of settings) {
  const host = open(one);
  hosts.set(one.name, host);
  await host.start();
  watch(one.name, host).catch(fail);
}
tell({ type: 'ready' });

process.on('message', ({ id, ...request }: NodeRequest & { readonly id: number }) => {
  answer(request).then(
    (result) => tell({ type: 'answer', id, result }),
    (error: unknown) => tell({ type: 'failed', id, message: String(error) }),
  );
});

// The main process left, or wants no more: the loop empties by itself.
process.on('disconnect', () => {
  stopping.abort();
  Promise.all([...hosts.values()].map((host) => host[Symbol.asyncDispose]())).catch(fail);
});

function open({ name, dataDir, net }: NodeSettings): Host {
  const overrides = {
    name,
    dataDir,
    net: { host: '127.0.0.1', ...net },
    brain: { provider: 'none' },
    page: { enabled: false },
    log: { level: 'silent' },
  } as const;
  return createHost({ loaded: loadConfig({ cwd: dataDir, env: {}, overrides }) });
}

/** Tells when a node says that it leads. */
async function watch(name: string, host: Host): Promise<void> {
  const { peerId } = host.backend.status();
  for await (const event of host.backend.events({ signal: stopping.signal })) {
    if (event.type === 'leader-changed' && event.leader?.id === peerId) tell({ type: 'leads', node: name, atMs: machineMs() });
  }
}

async function answer(request: NodeRequest): Promise<unknown> {
  switch (request.type) {
    case 'status':
      return [...hosts].map(([name, host]) => statusOf(name, host));
    case 'usage': {
      const { user, system } = process.cpuUsage();
      return { cpuMs: (user + system) / 1_000, ...traffic() };
    }
    case 'call':
      return call(hostOf(request.node), request.tool);
    case 'remember':
      return remember(hostOf(request.node), request);
    case 'look':
      return look(hostOf(request.node), request.count);
  }
}

function statusOf(name: string, { backend }: Host): NodeStatus {
  const connected = backend.peers().filter(({ state }) => state === 'connected').length;
  return { name, leader: backend.net().leader?.leader?.name ?? null, connected };
}

async function call({ backend }: Host, tool: string): Promise<{ readonly failedAs: string | null; readonly atMs: number }> {
  try {
    await backend.callTool({ name: tool, input: {} }, { signal: stopping.signal });
    return { failedAs: null, atMs: machineMs() };
  } catch (error) {
    return { failedAs: SkeinError.from(error).code, atMs: machineMs() };
  }
}

async function remember(
  { backend }: Host,
  { count, everyMs }: { readonly count: number; readonly everyMs: number },
): Promise<readonly SeenFact[]> {
  const written: SeenFact[] = [];
  while (written.length < count) {
    const fact = { text: `Fact ${written.length} of a benchmark`, atMs: machineMs() };
    written.push(fact);
    await backend.callTool({ name: 'memory_write', input: { text: fact.text } }, { signal: stopping.signal });
    await pause(everyMs);
  }
  return written;
}

async function look({ backend }: Host, count: number): Promise<readonly SeenFact[]> {
  const seen = new Map<string, number>();
  const untilMs = machineMs() + LOOK_FOR_MS;
  while (seen.size < count) {
    if (machineMs() > untilMs) throw new Error(`Of ${count} facts, ${seen.size} were seen`);
    await pause(LOOK_MS);
    // An empty query gives the latest, and asks no peer.
    const output = await backend.callTool(
      { name: 'memory_search', input: { query: '', limit: LOOK_FACTS } },
      { signal: stopping.signal },
    );
    const atMs = machineMs();
    for (const [text] of JSON.stringify(output).matchAll(/Fact \d+ of a benchmark/g)) if (!seen.has(text)) seen.set(text, atMs);
  }
  return [...seen].map(([text, atMs]) => ({ text, atMs }));
}

function hostOf(name: string): Host {
  const host = hosts.get(name);
  if (host === undefined) throw new Error(`There is no node ${name} here`);
  return host;
}

function fail(error: unknown): never {
  throw error;
}

function tell(report: NodeReport): void {
  // Told while the main process hangs up, it has nobody to hear it: that is no error of this one.
  if (process.connected) process.send?.(report, () => {});
}
