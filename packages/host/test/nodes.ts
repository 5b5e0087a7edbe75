import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { AgentEvent } from '@skein/agent';
import type { NodeEvent } from '@skein/gateway';
import { formatTrustLine, loadOrCreateIdentity, parseTrustLine, type TrustOptions, type TrustRecord } from '@skein/mesh';
import { formatKeyLine } from '@skein/protocol';
import type { ConfigInput } from '../src/config/schema.ts';
import { createHost, type Host, loadConfig, type Ready } from '../src/index.ts';

/** Real nodes in this process, each with a directory and port of its own. */
export class Nodes implements AsyncDisposable {
  readonly root = mkdtempSync(path.join(tmpdir(), 'skein-nodes-'));
  readonly #hosts: Host[] = [];

  /** A node that is not started yet; its files may still be written. */
  make(name: string, config: ConfigInput = {}, env: Readonly<Record<string, string>> = {}): TestHost {
    const cwd = path.join(this.root, name);
    mkdirSync(path.join(cwd, '.skein'), { recursive: true, mode: 0o700 });
    const node = new TestHost(name, cwd, config, env);
    return node;
  }

  /** The same node, not started yet, with its files and another configuration. */
  restart(node: TestHost, config: ConfigInput): TestHost {
    return new TestHost(node.name, node.cwd, config, {});
  }

  async start(node: TestHost): Promise<Ready> {
    const ready = await node.start();
    this.#hosts.push(node.host);
    return ready;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const host of this.#hosts.reverse()) await host[Symbol.asyncDispose]();
    rmSync(this.root, { recursive: true, force: true });
  }
}

export class TestHost {
  readonly name: string;
  readonly cwd: string;
  readonly #config: ConfigInput;
  readonly #env: Readonly<Record<string, string>>;
  #host: Host | undefined;
  #port = 0;

  constructor(name: string, cwd: string, config: ConfigInput, env: Readonly<Record<string, string>>) {
    this.name = name;
    this.cwd = cwd;
    this.#config = config;
    this.#env = env;
  }

  get host(): Host {
    if (this.#host === undefined) throw new Error(`${this.name} has not started`);
    return this.#host;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.#port}`;
  }

  get keyLine(): string {
    return formatKeyLine(loadOrCreateIdentity(this.file('key')), this.name);
  }

  /** A place in its data directory. */
  file(...names: readonly string[]): string {
    return path.join(this.cwd, '.skein', ...names);
  }

  /** Puts these into its trust file, in place of what is there. */
  trusts(...others: readonly (readonly [TestHost, Partial<TrustOptions>])[]): void {
    const lines = others.map(([other, options]) => formatTrustLine(trusted(other.keyLine, options)));
    writeFileSync(this.file('authorized_peers'), `${lines.join('\n')}\n`, { mode: 0o600 });
  }

  async start(): Promise<Ready> {
    const { net, ...rest } = this.#config;
    const overrides = {
      name: this.name,
      log: { level: 'silent' as const },
      brain: { provider: 'intents' as const },
      ...rest,
      net: { host: '127.0.0.1', port: 0, ...net },
    };
    const loaded = loadConfig({ cwd: this.cwd, env: this.#env, overrides });
    this.#host = createHost({ loaded, watch: { cwd: this.cwd, env: this.#env, overrides } });
    const ready = await this.#host.start();
    this.#port = ready.port;
    return ready;
  }

  /** Runs a tool by its full name. */
  call(name: string, input: unknown, signal = new AbortController().signal, onDelta?: (delta: string) => void) {
    return this.host.backend.callTool({ name, input }, { signal, ...(onDelta === undefined ? {} : { onDelta }) });
  }

  /** The events of a whole turn. */
  async ask(text: string, sessionId = 'test'): Promise<AgentEvent[]> {
    const request = { text, sessionId, interactive: false };
    const events: AgentEvent[] = [];
    for await (const event of this.host.backend.ask(request, { signal: new AbortController().signal })) {
      if (event.type !== 'task-accepted') events.push(event);
    }
    return events;
  }

  /** Begins to watch now; resolves with the first event of the type that `wanted` accepts. */
  async event<T extends NodeEvent['type']>(
    type: T,
    wanted: (event: Extract<NodeEvent, { type: T }>) => boolean = () => true,
  ): Promise<Extract<NodeEvent, { type: T }>> {
    const watching = new AbortController();
    try {
      for await (const event of this.host.backend.events({ signal: watching.signal })) {
        // Proven: the type is compared first.
        if (event.type === type && wanted(event as Extract<NodeEvent, { type: T }>))
          return event as Extract<NodeEvent, { type: T }>;
      }
    } finally {
      watching.abort();
    }
    throw new Error(`${this.name} closed before a ${type}`);
  }
}

/** The record of a key with these options; a level among them is stated, as by `skein net trust --level`. */
function trusted(keyLine: string, options: Partial<TrustOptions>): TrustRecord {
  return { ...parseTrustLine(keyLine), assumed: options.trust === undefined, ...options };
}

/** A started worker that shares its tools, and a started node that has them. */
export async function startPair(
  nodes: Nodes,
  options: {
    readonly worker?: ConfigInput;
    readonly boss?: ConfigInput;
    readonly trust?: Partial<TrustOptions>;
    readonly env?: Readonly<Record<string, string>>;
    readonly prepare?: (worker: TestHost) => void;
  } = {},
): Promise<{ readonly worker: TestHost; readonly boss: TestHost }> {
  const worker = nodes.make('worker', { ...options.worker, net: { share: { tools: true }, ...options.worker?.net } });
  const boss = nodes.make('boss', options.boss, options.env);
  worker.trusts([boss, { trust: 'tool', ...options.trust }]);
  options.prepare?.(worker);
  await nodes.start(worker);
  boss.trusts([worker, { url: worker.url }]);
  await nodes.start(boss);
  await boss.event('tools-changed');
  return { worker, boss };
}
