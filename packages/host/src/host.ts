import { randomBytes, randomUUID } from 'node:crypto';
import {
  Agent,
  createMemoryTools,
  MemoryStore,
  memoryMigrations,
  SessionStore,
  sessionMigrations,
  ToolSet,
} from '@skein/agent';
import { type Database, openDatabase } from '@skein/engine';
import type { GatewayBackend, NodeStatus } from '@skein/gateway';
import {
  AuditLog,
  authorize,
  createWebSocketTransport,
  ensureDirectory,
  Invites,
  KnownNodes,
  loadOrCreateIdentity,
  Mesh,
  type MeshEvent,
  Router,
  systemClock,
  TrustStore,
} from '@skein/mesh';
import { fingerprintWords, type Identity, type PeerId, SkeinError } from '@skein/protocol';
import type { Logger } from 'pino';
import { Authority, dialUrl } from './authority.ts';
import { type ChosenBrain, chooseBrain } from './choose-brain.ts';
import type { LoadedConfig, LoadOptions, NodeConfig } from './config/load-config.ts';
import { watchConfig } from './config/watch-config.ts';
import { type DataDir, dataDir } from './data-dir.ts';
import { Dialers } from './dialers.ts';
import type { HostEvent } from './events.ts';
import { KnownTools } from './features/known-tools.ts';
import { RemoteTools } from './features/remote-tools.ts';
import { ShareTools } from './features/share-tools.ts';
import { createLog } from './log.ts';
import { NodeBackend } from './node-backend.ts';
import { NodeServer } from './node-server.ts';
import { loadNodeTools } from './node-tools.ts';
import { assertNotRunning, claimRunning } from './running.ts';
import { VERSION } from './version.ts';

/** Requests of one peer being worked on at once. */
const CALLS_PER_PEER_MAX = 1_024;

/** A started node. */
export interface Ready {
  readonly name: string;
  readonly peerId: PeerId;
  /** 0 for a node that does not listen. */
  readonly port: number;
  /** Address of the page, without its token; null where none is served. */
  readonly page: string | null;
}

export interface HostOptions {
  readonly loaded: LoadedConfig;
  /** What `loaded` was loaded with; given, changes of the file are taken over. */
  readonly watch?: LoadOptions;
  /** False for a node that lives for one command: it dials, and nobody can dial it. */
  readonly listen?: boolean;
  readonly log?: Logger;
}

/** A node from its configuration. Nothing happens before `start`. */
export function createHost(options: HostOptions): Host {
  return new Host(options);
}

/** One running node: where mesh, agent and gateway meet. */
export class Host implements AsyncDisposable {
  readonly #options: HostOptions;
  readonly #log: Logger;
  readonly #dir: DataDir;
  readonly #closing = new AbortController();
  readonly #started = new AsyncDisposableStack();
  #config: NodeConfig;
  #parts: StartedParts | undefined;

  constructor(options: HostOptions) {
    this.#options = options;
    this.#config = options.loaded.config;
    this.#dir = dataDir(this.#config.dataDir);
    this.#log = options.log ?? createLog(this.#config.log);
  }

  /** This node for the page, the commands and whoever else asks. */
  get backend(): GatewayBackend {
    return this.#running.backend;
  }

  /** The bearer token of the page and the API. */
  get token(): string {
    return this.#running.server.token;
  }

  /**
   * Opens the node's files, binds its port and begins to dial its peers.
   * @throws SkeinError `conflict` for a port or data directory in use, `corrupt` for damaged files, `invalid`, `denied`.
   */
  async start(): Promise<Ready> {
    try {
      return await this.#start();
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#started.disposeAsync();
  }

  get #running(): StartedParts {
    if (this.#parts === undefined) throw new SkeinError('The node has not started', { code: 'unavailable' });
    return this.#parts;
  }

  async #start(): Promise<Ready> {
    const { loaded, listen = true } = this.#options;
    const config = this.#config;
    const dir = this.#dir;
    const stack = this.#started;
    ensureDirectory(dir.root);
    assertNotRunning(dir);
    const identity = loadOrCreateIdentity(config.net.keyPath);
    const brainChoice = chooseBrain(config, loaded.env);
    brainChoice.catch(() => {}); // Awaited below; a failure before that must not count as unhandled.

    const audit = new AuditLog({
      path: dir.audit,
      clock: systemClock,
      onError: (error) => this.#log.error({ error: error.message }, 'audit failed'),
    });
    audit.start();
    stack.defer(() => audit.close());
    const trust = new TrustStore({
      path: dir.authorizedPeers,
      onError: (error) => this.#tell(problem(null, 'authorized_peers', error.message)),
    });
    stack.use(trust);
    await trust.start();

    const database = openDatabase({ path: dir.database, migrations: [...sessionMigrations, ...memoryMigrations] });
    stack.use(database);
    const stores = createStores(database);
    const tools = new ToolSet({ local: await loadNodeTools(config, dir, loaded.watchedFile) });
    const memoryTools = createMemoryTools(stores);
    for (const tool of memoryTools) tools.add(tool);

    const authority = new Authority({
      trust,
      invites: new Invites({ directory: dir.invites, now: systemClock.now }),
      known: new KnownNodes({ path: dir.knownNodes }),
      net: () => this.#config.net,
      onPaired: (record) => {
        audit.append({ event: 'paired', peer: record.identity.id, name: record.name });
        this.#log.info({ peer: record.identity.id, name: record.name, trust: record.trust }, 'peer joined by invitation');
      },
    });
    const router = new Router([
      authorize({
        decide: (peer, grant) => authority.decide(peer, grant),
        onRefused: (peer, method, reason) => audit.append({ event: 'refused', peer: peer.id, name: peer.name, method, reason }),
      }),
    ]);
    const mesh = this.#createMesh(identity, authority, router);
    const share = new ShareTools({
      tools,
      keptBack: new Set(memoryTools.map((tool) => tool.descriptor.name)),
      router,
      mesh: () => mesh,
      maySee: (peer, tool) => authority.decide(peer, 'tools', tool).allowed,
      monotonicMs: systemClock.monotonicMs,
      onEvent: (event) => this.#tell(event),
      onServed: (call) => audit.append({ event: 'tool-served', ...call }),
    });
    const remote = new RemoteTools({
      tools,
      router,
      peerOf: (id) => mesh.peers.get(id),
      known: new KnownTools(dir.knownTools),
      onEvent: (event) => this.#tell(event),
    });
    stack.use(mesh);
    stack.defer(() => share.close());

    const chosen = await brainChoice;
    const agent = chosen && createAgent(chosen, { tools, stores, config });
    if (agent !== undefined) stack.use(agent);
    const backend = new NodeBackend({
      status: () => this.#status(identity, chosen),
      agent: () => agent,
      tools,
      sessions: stores.sessions,
      trust,
      mesh,
      now: systemClock.now,
    });
    const server = new NodeServer({
      config,
      dir,
      backend,
      listen,
      log: this.#log,
      onConnection: (connection) => mesh.accept(connection),
    });
    stack.use(server);
    const dialers = new Dialers({ mesh, signal: this.#closing.signal });
    this.#parts = { identity, trust, authority, mesh, remote, share, backend, server, dialers, agent, audit, port: 0 };

    const port = await server.start();
    this.#parts = { ...this.#parts, port };
    if (listen) stack.defer(claimRunning(dir, { pid: process.pid, port, startedAtMs: systemClock.now() }));
    trust.onChange(({ type, id, record }) => this.#trustChanged(type, id, record.name));
    this.#dialAll();
    if (this.#options.watch !== undefined) this.#watch(this.#options.watch);
    return { name: config.name, peerId: identity.id, port, page: server.page };
  }

  #createMesh(identity: Identity, authority: Authority, router: Router): Mesh {
    const { name, net } = this.#config;
    return new Mesh({
      identity,
      name,
      boot: randomBytes(16).toString('hex'),
      gatekeeper: authority,
      transports: [createWebSocketTransport()],
      router,
      limits: { maxConcurrentCalls: CALLS_PER_PEER_MAX, maxMessagesPerSecond: net.maxMessagesPerSecond },
      clock: systemClock,
      random: Math.random,
      onEvent: (event) => this.#meshEvent(event),
      onInternalError: (error, method) =>
        this.#log.error({ method, error: error.message, cause: error.cause }, 'a handler failed'),
    });
  }

  #meshEvent(event: MeshEvent): void {
    const { remote, audit, trust, authority } = this.#running;
    switch (event.type) {
      case 'peer-joined':
        audit.append({ event: 'peer-joined', peer: event.peer.id, name: event.peer.name });
        this.#tell({ type: 'peer-joined', id: event.peer.id, name: event.peer.name });
        remote.joined(event.peer);
        break;
      case 'peer-left':
        audit.append({ event: 'peer-left', peer: event.peer.id, name: event.peer.name, reason: event.reason });
        remote.left(event.peer.id);
        this.#tell({ type: 'peer-left', id: event.peer.id, name: event.peer.name, reason: event.reason });
        break;
      case 'dial-failed': {
        const id = authority.expectedAt(event.url);
        const record = id === undefined ? undefined : trust.get(id);
        this.#tell(problem(id ?? null, record?.name ?? event.url, event.error.message));
        break;
      }
      case 'refused':
        audit.append({ event: 'stranger-refused', name: event.address, reason: event.error.message });
        this.#tell(problem(null, event.address, event.error.message));
        break;
    }
  }

  #trustChanged(type: 'added' | 'changed' | 'revoked' | 'removed', id: PeerId, name: string): void {
    const { mesh, authority, audit, share } = this.#running;
    authority.changed();
    audit.append({ event: `trust-${type}`, peer: id, name });
    if (type === 'revoked' || type === 'removed') mesh.drop(id, 'its trust was taken back');
    else share.announce();
    this.#dialAll();
  }

  /** Dials the addresses of the configuration and of the trust file, and no others any more. */
  #dialAll(): void {
    const { trust, dialers } = this.#running;
    const recorded = trust.list().flatMap(({ url, revoked }) => (url === undefined || revoked ? [] : [url]));
    const configured = this.#config.net.peers.map(({ url }) => url);
    dialers.set(this.#config.net.enabled ? [...configured, ...recorded].map(dialUrl) : []);
  }

  #watch(options: LoadOptions): void {
    const follow = async () => {
      for await (const change of watchConfig(this.#options.loaded, { ...options, signal: this.#closing.signal })) {
        if (change.type === 'config-reloaded') this.#reconfigure(change.config);
        const { config: _config, ...event } = { config: undefined, ...change };
        this.#tell(event);
      }
    };
    follow().catch((error: unknown) =>
      this.#log.error({ error: SkeinError.from(error).message }, 'the config file is not watched any more'),
    );
  }

  #reconfigure(config: NodeConfig): void {
    const { agent, authority, share } = this.#running;
    this.#config = {
      ...this.#config,
      agent: config.agent,
      log: config.log,
      net: { ...this.#config.net, peers: config.net.peers, share: config.net.share },
    };
    this.#log.level = config.log.level;
    agent?.configure(agentOptions(this.#config));
    authority.changed();
    share.announce();
    this.#dialAll();
  }

  #status(identity: Identity, chosen: ChosenBrain | undefined): NodeStatus {
    return {
      name: this.#config.name,
      peerId: identity.id,
      fingerprint: fingerprintWords(identity.id),
      version: VERSION,
      port: this.#running.port,
      startedAtMs: STARTED_AT_MS,
      brain: chosen === undefined ? null : { name: chosen.brain.name, hint: chosen.hint },
    };
  }

  #tell(event: HostEvent): void {
    // Served calls come by the thousand; the feed and, where something may have changed, the audit have them.
    if (event.type !== 'tool-served') this.#log.info(event, 'node event');
    this.#parts?.backend.tell(event);
  }
}

interface StartedParts {
  readonly identity: Identity;
  readonly trust: TrustStore;
  readonly authority: Authority;
  readonly mesh: Mesh;
  readonly remote: RemoteTools;
  readonly share: ShareTools;
  readonly backend: NodeBackend;
  readonly server: NodeServer;
  readonly dialers: Dialers;
  readonly agent: Agent | undefined;
  readonly audit: AuditLog;
  readonly port: number;
}

interface Stores {
  readonly sessions: SessionStore;
  readonly memory: MemoryStore;
}

const STARTED_AT_MS = Date.now();

function createStores(database: Database): Stores {
  const { now } = systemClock;
  return { sessions: new SessionStore({ database, now }), memory: new MemoryStore({ database, now, randomId: randomUUID }) };
}

function createAgent(
  { brain }: ChosenBrain,
  { tools, stores, config }: { readonly tools: ToolSet; readonly stores: Stores; readonly config: NodeConfig },
): Agent {
  return new Agent({ brain, tools, ...stores, now: systemClock.now, randomId: randomUUID, options: agentOptions(config) });
}

function agentOptions({ name, agent }: NodeConfig) {
  const { maxIterations, ...options } = agent;
  return { ...options, name, maxSteps: maxIterations };
}

function problem(id: PeerId | null, name: string, text: string): HostEvent {
  return { type: 'peer-problem', id, name, problem: text };
}
