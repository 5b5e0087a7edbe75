import { type Agent, createMemoryTools, type Tool, type ToolSet } from '@skein/agent';
import type { GatewayBackend } from '@skein/gateway';
import { ensureDirectory, type Mesh, type MeshEvent, systemClock } from '@skein/mesh';
import { type PeerId, SkeinError, shortPeerId } from '@skein/protocol';
import type { Logger } from 'pino';
import { endpointOf } from './addresses.ts';
import { bringVole } from './bring-vole.ts';
import { chooseBrain } from './choose-brain.ts';
import { LiveConfig } from './config/live-config.ts';
import type { LoadedConfig, LoadOptions } from './config/load-config.ts';
import { type DataDir, dataDir } from './data-dir.ts';
import { type HostEvent, problemEvent } from './events.ts';
import { openPeerChat } from './features/peer-chat/open-peer-chat.ts';
import type { PeerChat } from './features/peer-chat/peer-chat.ts';
import { VoleFeature } from './features/volenet/vole-feature.ts';
import { searchAll } from './features/volenet/vole-memory.ts';
import { keepCallsYoung } from './keep-calls-young.ts';
import { createLog } from './log.ts';
import { openNodeAgent } from './node-agent.ts';
import { NodeBackend } from './node-backend.ts';
import { NodeChanges } from './node-changes.ts';
import { NodeDialing } from './node-dialing.ts';
import { NodeDuties } from './node-duties.ts';
import { type NodeFiles, openNodeFiles } from './node-files.ts';
import { loadOrCreateNodeKey } from './node-key.ts';
import { type NodeNetwork, openNodeNetwork } from './node-network.ts';
import { NodeServer } from './node-server.ts';
import { busynessOf, knownPeersOf, netStatusOf, nodeStatusOf, stateFor } from './node-status.ts';
import { NodeSync } from './node-sync.ts';
import { NodeTasks } from './node-tasks.ts';
import { openNodeTools } from './node-tools.ts';
import { authorLabel } from './peer-label.ts';
import { assertNotRunning, claimRunning } from './running.ts';
import type { RunningNode } from './running-node.ts';

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
  /** Keeps its level; absent, the log is as the configuration says, and follows its level. */
  readonly log?: Logger;
}

/** A node from its configuration. Nothing happens before `start`, but that this process keeps calls young (`keepCallsYoung`). */
export function createHost(options: HostOptions): Host {
  keepCallsYoung();
  return new Host(options);
}

/** One running node: where mesh, agent and gateway meet. */
export class Host implements AsyncDisposable {
  readonly #options: HostOptions;
  readonly #config: LiveConfig;
  readonly #log: Logger;
  readonly #dir: DataDir;
  readonly #closing = new AbortController();
  /** All that was opened, to be closed in the opposite order. */
  readonly #started = new AsyncDisposableStack();
  readonly #startedAtMs = systemClock.now();
  #parts: StartedParts | undefined;
  #port = 0;

  constructor(options: HostOptions) {
    this.#options = options;
    const { loaded, log = createLog(loaded.config.log) } = options;
    this.#config = new LiveConfig(loaded);
    this.#dir = dataDir(loaded.config.dataDir);
    this.#log = log;
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

  /** Its files first, then its place among peers and its mind, last the door: what starts last stops first. */
  async #start(): Promise<Ready> {
    const { loaded, listen = true, watch } = this.#options;
    const { config } = loaded;
    ensureDirectory(this.#dir.root);
    assertNotRunning(this.#dir);
    // Asked for early, since looking for one may wait for the network; a failure counts where it is awaited.
    const brain = chooseBrain(loaded);
    brain.catch(() => {});

    const files = await this.#openFiles();
    const memoryTools = this.#createMemoryTools(files);
    const tools = await this.#openTools(memoryTools, listen);
    const network = this.#openNetwork(files, tools, memoryTools);
    const chosen = await brain;
    const agent = openNodeAgent({ chosen, config, files, tools, peers: () => knownPeersOf(this.#running) }, this.#started);
    const tasks = this.#openTasks(files, network, agent);
    const duties = this.#openDuties(files, network, tasks);
    const sync = this.#openSync(files, network);
    const chat = this.#openChat(files, network);
    const vole = listen && this.#meetsVoles(files) ? this.#openVole(files, network, { tools, chat }) : undefined;
    const dialing = this.#createDialing(files, network, vole);
    const minds = { config: this.#config, chosen, agent, tasks, duties, sync, chat, vole };
    const node: RunningNode = { ...files, ...network, ...minds, dialing };
    const backend = this.#createBackend(node, tools);
    const server = this.#openServer(backend, network.mesh, { listen, vole });
    const changes = new NodeChanges({
      node,
      tools,
      onEvent: (event) => this.#tell(event),
      onTrusted: (id) => backend.trusted(id),
    });
    this.#parts = { ...node, backend, server, changes };

    await tasks.start();
    await chat.start();
    if (listen && config.net.enabled) await duties.start();
    await vole?.start();
    this.#port = await server.start();
    if (listen) this.#claim();
    files.trust.onChange((change) => changes.trustChanged(change));
    changes.tellRenamed();
    dialing.refresh();
    if (watch !== undefined) this.#watch(watch);
    return { name: config.name, peerId: files.identity.id, port: this.#port, page: server.page };
  }

  get #running(): StartedParts {
    if (this.#parts === undefined) throw new SkeinError('The node has not started', { code: 'unavailable' });
    return this.#parts;
  }

  async #openFiles(): Promise<NodeFiles> {
    const { loaded } = this.#options;
    const parts = {
      dir: this.#dir,
      key: loadOrCreateNodeKey(loaded),
      name: loaded.config.name,
      onAuditError: (error: SkeinError) => this.#log.error({ error: error.message }, 'audit failed'),
      onTrustError: (error: SkeinError) => this.#tell(problemEvent(null, 'authorized_peers', error.message)),
    };
    const files = await openNodeFiles(parts, this.#started);
    const { vole } = loaded;
    if (vole !== undefined) bringVole({ vole, files, dir: this.#dir, log: this.#log });
    return files;
  }

  #createMemoryTools({ memory, trust }: NodeFiles): readonly Tool[] {
    return createMemoryTools({
      memory,
      searchPeers: (query, options) => {
        const { sync, vole } = this.#running;
        return searchAll(sync.search, ...(vole === undefined ? [] : [vole.search]))(query, options);
      },
      onWritten: (fact) => this.#running.vole?.factWritten(fact),
      authorLabel: authorLabel(trust),
    });
  }

  #openTools(memoryTools: readonly Tool[], listen: boolean): Promise<ToolSet> {
    const { loaded, tools = [] } = this.#options;
    const parts = {
      loaded,
      dir: this.#dir,
      more: [...tools, ...memoryTools],
      net: () => this.#config.current.net,
      loadOf: (id: string) => busynessOf(this.#running, id),
      isBrief: !listen,
      log: this.#log,
      onEvent: (event: HostEvent) => this.#tell(event),
    };
    return openNodeTools(parts, this.#started);
  }

  #openNetwork(files: NodeFiles, tools: ToolSet, memoryTools: readonly Tool[]): NodeNetwork {
    const parts = {
      name: this.#config.current.name,
      files,
      dir: this.#dir,
      net: () => this.#config.current.net,
      log: this.#log,
      tools,
      keptBack: new Set(memoryTools.map((tool) => tool.descriptor.name)),
      toolTimeoutMs: () => this.#config.current.agent.toolTimeoutMs,
      stateFor: (peer: PeerId, calls: number) => stateFor(this.#running, peer, { calls }),
      onPeerState: () => this.#parts?.tasks.wake(),
      onMeshEvent: (event: MeshEvent) => this.#running.changes.meshEvent(event),
      onEvent: (event: HostEvent) => this.#tell(event),
    };
    return openNodeNetwork(parts, this.#started);
  }

  #openTasks(files: NodeFiles, network: NodeNetwork, agent: Agent | undefined): NodeTasks {
    return this.#started.use(
      new NodeTasks({
        config: this.#config.current,
        net: () => this.#config.current.net,
        turnTimeoutMs: () => this.#config.current.agent.turnTimeoutMs,
        files,
        network,
        agent,
        volePeers: () => this.#parts?.vole?.peers ?? [],
        log: this.#log,
        onEnded: ({ id, state, title, session }) => this.#tell({ type: 'task-ended', id, state, title, session }),
        onTurn: (turn) => this.#parts?.vole?.turnEnded(turn),
        isStopping: () => this.#closing.signal.aborted,
      }),
    );
  }

  #openDuties(files: NodeFiles, network: NodeNetwork, tasks: NodeTasks): NodeDuties {
    return this.#started.use(
      new NodeDuties({
        config: this.#config.current,
        net: () => this.#config.current.net,
        files,
        network,
        tasks,
        electionPath: this.#dir.election,
        log: this.#log,
        onEvent: (event) => this.#tell(event),
      }),
    );
  }

  #openSync(files: NodeFiles, { mesh, router, authority }: NodeNetwork): NodeSync {
    const sync = new NodeSync({
      files,
      mesh,
      router,
      net: () => this.#config.current.net,
      isAllowed: (peer, grant) => authority.decide(peer, grant).allowed,
      audit: files.audit,
      nameOf: (id) => files.trust.get(id)?.name ?? shortPeerId(id),
      onEvent: (event) => this.#tell(event),
    });
    this.#started.defer(() => sync.close());
    return sync;
  }

  #openChat(files: NodeFiles, network: NodeNetwork): PeerChat {
    const volePeers = () => this.#parts?.vole?.peers ?? [];
    const onEvent = (event: HostEvent) => this.#tell(event);
    const parts = { config: this.#config.current, files, network, volePeers, log: this.#log, onEvent };
    return this.#started.use(openPeerChat(parts));
  }

  /** Whether anybody may speak VoleNet here: its keys are not made for nothing. */
  #meetsVoles({ trust }: NodeFiles): boolean {
    const { volenet, peers } = this.#config.current.net;
    const isDialled = trust.list().some(({ kind, url, revoked }) => kind === 'vole' && url !== undefined && !revoked);
    return volenet || isDialled || peers.some(({ dialect }) => dialect !== 'skein');
  }

  /** OpenVole nodes as peers: where they are let in on the port, or one is dialled. */
  #openVole(
    files: NodeFiles,
    network: NodeNetwork,
    { tools, chat }: { readonly tools: ToolSet; readonly chat: PeerChat },
  ): VoleFeature {
    const { identity, trust, audit, sessions, memory } = files;
    const { authority, mesh, remote, share } = network;
    return this.#started.use(
      new VoleFeature({
        name: this.#config.current.name,
        identity,
        net: () => this.#config.current.net,
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
        chat,
        tasks: () => this.#running.tasks,
        isLeading: () => this.#running.duties.leader()?.isMe ?? false,
        endpoint: () => endpointOf(this.#config.current.net, this.#port),
        log: this.#log,
        onEvent: (event) => this.#tell(event),
        onDialect: () => this.#running.dialing.refresh(),
      }),
    );
  }

  #createDialing({ trust }: NodeFiles, { mesh, authority }: NodeNetwork, vole: VoleFeature | undefined): NodeDialing {
    return new NodeDialing({
      mesh,
      net: () => this.#config.current.net,
      trust,
      vole,
      isBrief: this.#options.listen === false,
      onProblem: (url, problem) => {
        const id = authority.expectedAt(url);
        this.#tell(problemEvent(id ?? null, (id && trust.get(id)?.name) ?? url, problem));
      },
      signal: this.#closing.signal,
    });
  }

  #createBackend(node: RunningNode, tools: ToolSet): NodeBackend {
    const { tasks, chat, presence, sessions, authority, mesh, vole } = node;
    return new NodeBackend({
      status: () => nodeStatusOf(node, { port: this.#port, startedAtMs: this.#startedAtMs }),
      net: () => netStatusOf(node),
      tasks,
      chat,
      presence,
      volePeers: () => vole?.peers ?? [],
      tools,
      sessions,
      records: () => authority.records(),
      addressOf: (id) => authority.addressOf(id),
      openAddresses: () => authority.openAddresses(),
      mesh,
      now: systemClock.now,
      toolTimeoutMs: () => this.#config.current.agent.toolTimeoutMs,
    });
  }

  #openServer(
    backend: GatewayBackend,
    mesh: Mesh,
    { listen, vole }: { readonly listen: boolean; readonly vole: VoleFeature | undefined },
  ): NodeServer {
    const config = this.#config.current;
    const dialects = vole === undefined || !config.net.volenet ? [] : [vole.door];
    const parts = { config, dir: this.#dir, backend, listen, log: this.#log, dialects };
    return this.#started.use(new NodeServer({ ...parts, onConnection: (connection) => mesh.accept(connection) }));
  }

  #claim(): void {
    const { host } = this.#config.current.net;
    const running = { pid: process.pid, port: this.#port, host, startedAtMs: this.#startedAtMs };
    this.#started.defer(claimRunning(this.#dir, running));
  }

  #watch(options: LoadOptions): void {
    const following = this.#config.follow({ ...options, signal: this.#closing.signal }, (change) => {
      if (change.type === 'config-rejected') {
        this.#tell(change);
        return;
      }
      if (this.#options.log === undefined) this.#log.level = this.#config.current.log.level;
      this.#running.changes.configChanged();
      const { type, applied, needRestart } = change;
      this.#tell({ type, applied, needRestart });
    });
    following.catch((error: unknown) =>
      this.#log.error({ error: SkeinError.from(error).message }, 'the config file is not watched any more'),
    );
  }

  #tell(event: HostEvent): void {
    // Served calls come by the thousand; the feed and, where something may have changed, the audit have them.
    if (event.type !== 'tool-served') {
      this.#log.info(loggable(event), 'node event');
    }
    this.#parts?.backend.tell(event);
  }
}

/** What people say, to each other or to an agent, is in no log. */
function loggable(event: HostEvent): object {
  if (event.type === 'chat-message') return { ...event, text: undefined };
  return event.type === 'task-ended' ? { ...event, title: undefined } : event;
}

interface StartedParts extends RunningNode {
  readonly backend: NodeBackend;
  readonly server: NodeServer;
  /** Hears of peers, trust and configuration. */
  readonly changes: NodeChanges;
}
