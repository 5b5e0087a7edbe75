import { randomUUID } from 'node:crypto';
import { Agent, createMemoryTools, ToolSet } from '@skein/agent';
import type { GatewayBackend, NodeStatus } from '@skein/gateway';
import { ensureDirectory, type Mesh, type MeshEvent, systemClock } from '@skein/mesh';
import { fingerprintWords, type Identity, type PeerId, SkeinError } from '@skein/protocol';
import type { Logger } from 'pino';
import { dialUrl } from './authority.ts';
import { type ChosenBrain, chooseBrain } from './choose-brain.ts';
import type { LoadedConfig, LoadOptions, NodeConfig } from './config/load-config.ts';
import { watchConfig } from './config/watch-config.ts';
import { type DataDir, dataDir } from './data-dir.ts';
import { Dialers } from './dialers.ts';
import type { HostEvent } from './events.ts';
import { createLog } from './log.ts';
import { NodeBackend } from './node-backend.ts';
import { type NodeFiles, openNodeFiles } from './node-files.ts';
import { type NodeNetwork, openNodeNetwork } from './node-network.ts';
import { NodeServer } from './node-server.ts';
import { loadNodeTools } from './node-tools.ts';
import { assertNotRunning, claimRunning } from './running.ts';
import { Sparingly } from './sparingly.ts';
import { VERSION } from './version.ts';

/** Refused strangers that are told and recorded: anybody can come and be refused, and the disk is not theirs to fill. */
const STRANGERS_TOLD_PER_MINUTE = 120;

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
  readonly #startedAtMs = systemClock.now();
  readonly #strangers = new Sparingly({
    maxPerMinute: STRANGERS_TOLD_PER_MINUTE,
    monotonicMs: systemClock.monotonicMs,
  });
  #config: NodeConfig;
  #parts: StartedParts | undefined;
  #port = 0;

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

  /** Its files first, then its place among peers and its mind, last the door: what starts last stops first. */
  async #start(): Promise<Ready> {
    const { loaded, listen = true, watch } = this.#options;
    ensureDirectory(this.#dir.root);
    assertNotRunning(this.#dir);
    // Asked for early, since looking for one may wait for the network; a failure counts where it is awaited.
    const chosen = chooseBrain(this.#config, loaded.env);
    chosen.catch(() => {});

    const files = await this.#openFiles();
    const memoryTools = createMemoryTools(files);
    const ownTools = await loadNodeTools(this.#config, this.#dir, loaded.watchedFile);
    const tools = new ToolSet({ local: [...ownTools, ...memoryTools] });
    const network = this.#openNetwork(files, tools, new Set(memoryTools.map((tool) => tool.descriptor.name)));
    const brain = await chosen;
    const agent = this.#openAgent(brain, files, tools);
    const backend = new NodeBackend({
      status: () => this.#status(files.identity, brain),
      agent,
      tools,
      sessions: files.sessions,
      trust: files.trust,
      mesh: network.mesh,
      now: systemClock.now,
    });
    const server = this.#openServer(backend, network.mesh, listen);
    const dialers = new Dialers({ mesh: network.mesh, signal: this.#closing.signal });
    this.#parts = { ...files, ...network, agent, backend, server, dialers };

    this.#port = await server.start();
    if (listen) this.#claim();
    files.trust.onChange(({ type, id, record }) => this.#trustChanged(type, id, record.name));
    this.#dialAll();
    if (watch !== undefined) this.#watch(watch);
    return { name: this.#config.name, peerId: files.identity.id, port: this.#port, page: server.page };
  }

  #openFiles(): Promise<NodeFiles> {
    const parts = {
      dir: this.#dir,
      keyPath: this.#config.net.keyPath,
      onAuditError: (error: SkeinError) => this.#log.error({ error: error.message }, 'audit failed'),
      onTrustError: (error: SkeinError) => this.#tell(problem(null, 'authorized_peers', error.message)),
    };
    return openNodeFiles(parts, this.#started);
  }

  #openNetwork({ identity, trust, audit }: NodeFiles, tools: ToolSet, keptBack: ReadonlySet<string>): NodeNetwork {
    const parts = {
      name: this.#config.name,
      identity,
      dir: this.#dir,
      net: () => this.#config.net,
      trust,
      audit,
      log: this.#log,
      tools,
      keptBack,
      onMeshEvent: (event: MeshEvent) => this.#meshEvent(event),
      onEvent: (event: HostEvent) => this.#tell(event),
    };
    return openNodeNetwork(parts, this.#started);
  }

  #openAgent(chosen: ChosenBrain | undefined, { sessions, memory }: NodeFiles, tools: ToolSet): Agent | undefined {
    if (chosen === undefined) return undefined;
    const { brain } = chosen;
    const options = agentOptions(this.#config);
    return this.#started.use(
      new Agent({ brain, tools, sessions, memory, now: systemClock.now, randomId: randomUUID, options }),
    );
  }

  #openServer(backend: GatewayBackend, mesh: Mesh, listen: boolean): NodeServer {
    const parts = { config: this.#config, dir: this.#dir, backend, listen, log: this.#log };
    return this.#started.use(new NodeServer({ ...parts, onConnection: (connection) => mesh.accept(connection) }));
  }

  #claim(): void {
    this.#started.defer(claimRunning(this.#dir, { pid: process.pid, port: this.#port, startedAtMs: this.#startedAtMs }));
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
      case 'refused': {
        const left = this.#strangers.admit();
        if (left === undefined) break;
        const more = left === 0 ? {} : { count: left };
        audit.append({ event: 'stranger-refused', name: event.address, reason: event.error.message, ...more });
        this.#tell(problem(null, event.address, event.error.message));
        break;
      }
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
        if (change.type === 'config-rejected') {
          this.#tell(change);
          continue;
        }
        const { type, config, applied, needRestart } = change;
        this.#reconfigure(config);
        this.#tell({ type, applied, needRestart });
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
      port: this.#port,
      startedAtMs: this.#startedAtMs,
      brain: chosen === undefined ? null : { name: chosen.brain.name, hint: chosen.hint },
    };
  }

  #tell(event: HostEvent): void {
    // Served calls come by the thousand; the feed and, where something may have changed, the audit have them.
    if (event.type !== 'tool-served') this.#log.info(event, 'node event');
    this.#parts?.backend.tell(event);
  }
}

interface StartedParts extends NodeFiles, NodeNetwork {
  readonly agent: Agent | undefined;
  readonly backend: NodeBackend;
  readonly server: NodeServer;
  readonly dialers: Dialers;
}

function agentOptions({ name, agent }: NodeConfig) {
  const { maxIterations, ...options } = agent;
  return { ...options, name, maxSteps: maxIterations };
}

function problem(id: PeerId | null, name: string, text: string): HostEvent {
  return { type: 'peer-problem', id, name, problem: text };
}
