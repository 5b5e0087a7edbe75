import { randomUUID } from 'node:crypto';
import type { PluginCrash } from '@skein/adapters';
import { Agent, createMemoryTools, type Tool, ToolSet, untilAborted } from '@skein/agent';
import type { GatewayBackend, NetStatus, NodeStatus } from '@skein/gateway';
import { ensureDirectory, type Mesh, type MeshEvent, systemClock } from '@skein/mesh';
import { fingerprintWords, type Identity, type NodeState, type PeerId, SkeinError, shortPeerId } from '@skein/protocol';
import type { Logger } from 'pino';
import { endpointOf } from './addresses.ts';
import { dialUrl } from './authority.ts';
import { bringVole } from './bring-vole.ts';
import { type ChosenBrain, chooseBrain } from './choose-brain.ts';
import type { LoadedConfig, LoadOptions, NodeConfig } from './config/load-config.ts';
import { LIVE_NET_KEYS } from './config/schema.ts';
import { watchConfig } from './config/watch-config.ts';
import { type DataDir, dataDir } from './data-dir.ts';
import { Dialers } from './dialers.ts';
import type { HostEvent } from './events.ts';
import { openForeignTools } from './features/foreign-tools.ts';
import { VoleFeature } from './features/volenet/vole-feature.ts';
import { searchAll } from './features/volenet/vole-memory.ts';
import { createLog } from './log.ts';
import { NodeBackend } from './node-backend.ts';
import { NodeDuties } from './node-duties.ts';
import { type NodeFiles, openNodeFiles } from './node-files.ts';
import { loadOrCreateNodeKey } from './node-key.ts';
import { type NodeNetwork, openNodeNetwork } from './node-network.ts';
import { NodeServer } from './node-server.ts';
import { NodeSync } from './node-sync.ts';
import { NodeTasks } from './node-tasks.ts';
import { loadNodeTools, ownFiles } from './node-tools.ts';
import { assertNotRunning, claimRunning } from './running.ts';
import { Sparingly } from './sparingly.ts';
import { VERSION } from './version.ts';

/** Refused strangers that are told and recorded: anybody can come and be refused, and the disk is not theirs to fill. */
const STRANGERS_TOLD_PER_MINUTE = 120;
/** How long a node of one command waits for the tools of servers. */
const FOREIGN_TOOLS_MS = 5_000;

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
  /** Tools that the program which embeds this node brings itself; they run in its process. */
  readonly tools?: readonly Tool[];
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
    const memoryTools = createMemoryTools({
      memory: files.memory,
      searchPeers: (query, options) => {
        const { sync, vole } = this.#running;
        return searchAll(sync.search, ...(vole === undefined ? [] : [vole.search]))(query, options);
      },
      onWritten: (fact) => this.#running.vole?.factWritten(fact),
      authorLabel: (id) => {
        const record = files.trust.list().find(({ identity }) => identity.id === id);
        return record === undefined ? undefined : { name: record.name, revoked: record.revoked };
      },
    });
    const tools = await this.#openTools(memoryTools, listen);
    const network = this.#openNetwork(files, tools, new Set(memoryTools.map((tool) => tool.descriptor.name)));
    const brain = await chosen;
    const agent = this.#openAgent(brain, files, tools);
    const tasks = this.#openTasks(files, network, agent);
    const duties = this.#started.use(
      new NodeDuties({
        self: files.identity.id,
        config: this.#config,
        mesh: network.mesh,
        router: network.router,
        trust: files.trust,
        records: () => network.authority.records(),
        audit: files.audit,
        database: files.database,
        tasks,
        electionPath: this.#dir.election,
        log: this.#log,
        onEvent: (event) => this.#tell(event),
      }),
    );
    const sync = new NodeSync({
      files,
      mesh: network.mesh,
      router: network.router,
      net: () => this.#config.net,
      isAllowed: (peer, grant) => network.authority.decide(peer, grant).allowed,
      audit: files.audit,
      nameOf: (id) => files.trust.get(id)?.name ?? shortPeerId(id),
      onEvent: (event) => this.#tell(event),
    });
    this.#started.defer(() => sync.close());
    const vole = listen && this.#meetsVoles(files) ? this.#openVole(files, network, tools) : undefined;
    const backend = new NodeBackend({
      status: () => this.#status(files.identity, brain),
      net: () => this.#netStatus(),
      tasks,
      presence: network.presence,
      volePeers: () => vole?.peers ?? [],
      tools,
      sessions: files.sessions,
      records: () => network.authority.records(),
      mesh: network.mesh,
      now: systemClock.now,
    });
    const server = this.#openServer(backend, network.mesh, { listen, vole });
    const dialers = new Dialers({ mesh: network.mesh, signal: this.#closing.signal });
    this.#parts = { ...files, ...network, chosen: brain, agent, tasks, duties, sync, vole, backend, server, dialers };
    await tasks.start();
    if (listen && this.#config.net.enabled) await duties.start();
    await vole?.start();

    this.#port = await server.start();
    if (listen) this.#claim();
    files.trust.onChange(({ type, id, record }) => this.#trustChanged(type, id, record.name));
    this.#dialAll();
    if (watch !== undefined) this.#watch(watch);
    return { name: this.#config.name, peerId: files.identity.id, port: this.#port, page: server.page };
  }

  #loadTools(): Promise<Tool[]> {
    const loaded = { ...this.#options.loaded, config: this.#config };
    const onPluginCrash = ({ file, problem, lastWords }: PluginCrash) => {
      this.#log.warn({ file, problem }, 'plug-in failed');
      // It may hold anything, so it is written only where somebody looks for what is wrong.
      this.#log.debug({ file, lastWords }, 'plug-in wrote at last');
    };
    return loadNodeTools({ loaded, dir: this.#dir, onPluginCrash }, this.#started);
  }

  /** Its own tools, and those of databases and servers, which come and go while it runs. */
  async #openTools(memoryTools: readonly Tool[], listen: boolean): Promise<ToolSet> {
    const { loaded } = this.#options;
    const fixed = [...(await this.#loadTools()), ...(this.#options.tools ?? []), ...memoryTools];
    const tools = new ToolSet({
      local: fixed,
      ownName: this.#config.name,
      routing: () => this.#config.net.routing,
      loadOf: (id) => this.#busynessOf(id),
    });
    const offer = () => {
      try {
        tools.replaceLocal([...fixed, ...foreign.tools]);
      } catch (error) {
        this.#tell(problem(null, 'tools', SkeinError.from(error).message));
      }
    };
    const foreign = this.#started.use(
      await openForeignTools({
        config: this.#config.tools,
        env: loaded.env,
        hidden: ownFiles(this.#config, this.#dir, loaded),
        taken: fixed.map((tool) => tool.descriptor.name),
        knownPath: this.#dir.knownMcpTools,
        onTools: () => setImmediate(offer),
        onEvent: (event) => this.#tell(event),
      }),
    );
    // A node of one command has no second chance to offer what comes later.
    if (!listen) await untilAborted(foreign.firstTry, AbortSignal.timeout(FOREIGN_TOOLS_MS)).catch(() => undefined);
    offer();
    return tools;
  }

  async #openFiles(): Promise<NodeFiles> {
    const { vole } = this.#options.loaded;
    const parts = {
      dir: this.#dir,
      key: loadOrCreateNodeKey({ ...this.#options.loaded, config: this.#config }),
      onAuditError: (error: SkeinError) => this.#log.error({ error: error.message }, 'audit failed'),
      onTrustError: (error: SkeinError) => this.#tell(problem(null, 'authorized_peers', error.message)),
    };
    const files = await openNodeFiles(parts, this.#started);
    if (vole !== undefined) bringVole({ vole, files, dir: this.#dir, log: this.#log });
    return files;
  }

  #openNetwork(files: NodeFiles, tools: ToolSet, keptBack: ReadonlySet<string>): NodeNetwork {
    const { identity, trust, audit } = files;
    const parts = {
      name: this.#config.name,
      files,
      identity,
      dir: this.#dir,
      net: () => this.#config.net,
      trust,
      audit,
      log: this.#log,
      tools,
      keptBack,
      stateFor: (peer: PeerId, calls: number) => this.#stateFor(peer, calls),
      onPeerState: () => this.#parts?.tasks.wake(),
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
      new Agent({
        brain,
        tools,
        sessions,
        memory,
        peers: () => this.#knownPeers(),
        now: systemClock.now,
        randomId: randomUUID,
        options,
      }),
    );
  }

  #openTasks({ identity, database, sessions, trust }: NodeFiles, network: NodeNetwork, agent: Agent | undefined): NodeTasks {
    const { router, presence, mesh, authority } = network;
    return this.#started.use(
      new NodeTasks({
        self: identity.id,
        config: this.#config,
        net: () => this.#config.net,
        database,
        sessions,
        agent,
        router,
        presence,
        peers: () => mesh.peers,
        volePeers: () => this.#parts?.vole?.peers ?? [],
        nameOf: (id) => trust.get(id)?.name,
        grants: {
          self: identity.id,
          isAllowed: (peer, grant, tool) => authority.decide(peer, grant, tool).allowed,
          isForeign: (peer) => [...mesh.peers.keys()].every((id) => id !== peer),
        },
        log: this.#log,
        onLoad: () => presence.changed(),
        onEnded: ({ id, state, title }) => this.#tell({ type: 'task-ended', id, state, title }),
        onTurn: (turn) => this.#parts?.vole?.turnEnded(turn),
        isStopping: () => this.#closing.signal.aborted,
      }),
    );
  }

  #knownPeers(): readonly { readonly name: string; readonly hasBrain: boolean }[] {
    const { mesh, presence } = this.#running;
    return [...mesh.peers.values()].map(({ id, name }) => ({
      name,
      hasBrain: (presence.stateOf(id)?.brain ?? null) !== null,
    }));
  }

  /** What this node says of itself to a peer: its brain only to one that may use it. */
  #stateFor(peer: PeerId, calls: number): NodeState {
    const { tasks, chosen, authority } = this.#running;
    const mayThink = chosen !== undefined && authority.decide(peer, 'brain').allowed;
    return {
      load: tasks.load(),
      calls,
      brain: mayThink ? chosen.brain.name.slice(0, 120) : null,
      role: this.#config.net.role,
    };
  }

  /** For the choice among peers with the same tool: the calls they run, and those this node has them run. */
  #busynessOf(id: string): number {
    const { presence, mesh, vole } = this.#running;
    const peer = [...mesh.peers.values()].find((one) => one.id === id);
    const foreign = vole?.peers.find((one) => one.id === id);
    if (foreign !== undefined) return foreign.pending;
    return peer === undefined ? Number.POSITIVE_INFINITY : (presence.stateOf(peer.id)?.calls ?? 0) + peer.load;
  }

  #netStatus(): NetStatus {
    const { tasks, duties } = this.#running;
    return { load: tasks.load(), leader: duties.leader(), schedules: duties.schedules() };
  }

  /** Whether anybody may speak VoleNet here: its keys are not made for nothing. */
  #meetsVoles({ trust }: NodeFiles): boolean {
    const { volenet, peers } = this.#config.net;
    const isDialled = trust.list().some(({ kind, url, revoked }) => kind === 'vole' && url !== undefined && !revoked);
    return volenet || isDialled || peers.some(({ dialect }) => dialect !== 'skein');
  }

  /** OpenVole nodes as peers: where they are let in on the port, or one is dialled. */
  #openVole(files: NodeFiles, network: NodeNetwork, tools: ToolSet): VoleFeature {
    const { identity, trust, audit, sessions, memory } = files;
    const { authority, mesh, remote, share } = network;
    return this.#started.use(
      new VoleFeature({
        name: this.#config.name,
        identity,
        net: () => this.#config.net,
        directory: this.#dir.volenet,
        trust,
        authority,
        audit,
        mesh,
        tools,
        remote,
        share,
        sessions,
        memory,
        tasks: () => this.#running.tasks,
        isLeading: () => this.#running.duties.leader()?.isMe ?? false,
        endpoint: () => endpointOf(this.#config.net, this.#port),
        log: this.#log,
        onEvent: (event) => this.#tell(event),
        onDialect: () => this.#dialAll(),
      }),
    );
  }

  #openServer(
    backend: GatewayBackend,
    mesh: Mesh,
    { listen, vole }: { readonly listen: boolean; readonly vole: VoleFeature | undefined },
  ): NodeServer {
    const dialects = vole === undefined || !this.#config.net.volenet ? [] : [vole.door];
    const parts = { config: this.#config, dir: this.#dir, backend, listen, log: this.#log, dialects };
    return this.#started.use(new NodeServer({ ...parts, onConnection: (connection) => mesh.accept(connection) }));
  }

  #claim(): void {
    this.#started.defer(claimRunning(this.#dir, { pid: process.pid, port: this.#port, startedAtMs: this.#startedAtMs }));
  }

  #meshEvent(event: MeshEvent): void {
    const { remote, presence, tasks, duties, sync, vole, trusting, audit, trust, authority } = this.#running;
    switch (event.type) {
      case 'peer-joined':
        audit.append({ event: 'peer-joined', peer: event.peer.id, name: event.peer.name });
        this.#tell({ type: 'peer-joined', id: event.peer.id, name: event.peer.name });
        presence.joined(event.peer);
        duties.joined(event.peer);
        sync.joined(event.peer);
        remote.joined(event.peer);
        trusting.joined(event.peer);
        break;
      case 'peer-left':
        audit.append({ event: 'peer-left', peer: event.peer.id, name: event.peer.name, reason: event.reason });
        remote.left(event.peer.id);
        vole?.sessionLeft(event.peer.id);
        presence.left(event.peer.id);
        duties.left(event.peer.id);
        sync.left(event.peer.id);
        tasks.left(event.peer.id);
        trusting.left(event.peer.id);
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
    const { mesh, authority, audit, share, presence, duties, sync, vole } = this.#running;
    authority.changed();
    duties.trustChanged();
    sync.changed();
    vole?.trustChanged();
    audit.append({ event: `trust-${type}`, peer: id, name });
    if (type === 'revoked' || type === 'removed') mesh.drop(id, 'its trust was taken back');
    else share.announce();
    // What it may have think for it is part of what it is told.
    presence.changed();
    this.#dialAll();
  }

  /** Dials the addresses of the configuration and of the trust file, and no others any more. */
  #dialAll(): void {
    const { trust, dialers, vole } = this.#running;
    const { enabled, peers } = this.#config.net;
    const recorded = trust.list().flatMap(({ url, revoked, kind }) => {
      if (url === undefined || revoked) return [];
      return [{ url, dialect: kind === 'vole' ? ('auto' as const) : ('skein' as const) }];
    });
    const targets = enabled ? [...peers, ...recorded].map(({ url, dialect }) => ({ url: dialUrl(url), dialect })) : [];
    // One that takes part for a single command, or met no OpenVole node when it started, speaks our own protocol alone.
    const spoken = targets.map(({ url, dialect }) => ({
      url,
      dialect: vole === undefined ? 'skein' : vole.spoken(url, dialect),
    }));
    const speaking = (wanted: 'skein' | 'volenet') => spoken.flatMap(({ url, dialect }) => (dialect === wanted ? [url] : []));
    for (const { url, dialect } of vole === undefined ? targets : []) {
      if (dialect === 'volenet')
        this.#tell(problem(null, url, 'it speaks VoleNet, which this node takes up at its next start'));
    }
    dialers.set(speaking('skein'));
    vole?.setPeers(speaking('volenet'), new Set(targets.map(({ url }) => url)));
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
    const { agent, authority, share, presence, sync, duties, vole } = this.#running;
    this.#config = {
      ...this.#config,
      agent: config.agent,
      log: config.log,
      net: { ...this.#config.net, ...Object.fromEntries(LIVE_NET_KEYS.map((key) => [key, config.net[key]])) },
    };
    this.#log.level = config.log.level;
    agent?.configure(agentOptions(this.#config));
    authority.changed();
    duties.trustChanged();
    share.announce();
    presence.changed();
    sync.changed();
    vole?.trustChanged();
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
    // What people say to each other is in no log.
    const { text: _said, ...logged } = event.type === 'chat-message' ? event : { ...event, text: undefined };
    if (event.type !== 'tool-served') this.#log.info(logged, 'node event');
    this.#parts?.backend.tell(event);
  }
}

interface StartedParts extends NodeFiles, NodeNetwork {
  readonly chosen: ChosenBrain | undefined;
  readonly tasks: NodeTasks;
  readonly duties: NodeDuties;
  readonly sync: NodeSync;
  readonly vole: VoleFeature | undefined;
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
