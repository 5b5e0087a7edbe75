import { randomBytes, randomUUID } from 'node:crypto';
import { MemoryStore, memoryMigrations, OperationLog, SessionStore, sessionMigrations, syncMigrations } from '@skein/agent';
import { type Database, openDatabase } from '@skein/engine';
import { authorize, type Clock, type Peer, systemClock, type Transport } from '@skein/mesh';
import { createIdentity, type Grant, type Identity, type PeerId } from '@skein/protocol';
import { TestNetwork, type TestNode } from '@skein/testing';
import type { SyncEvent } from '../src/features/log-exchange.ts';
import type { LogSync } from '../src/features/log-sync.ts';
import { MemorySync } from '../src/features/memory-sync.ts';
import { createSessionSync } from '../src/features/session-sync.ts';

const FULL: readonly Grant[] = ['presence', 'memory-read', 'memory-write', 'sessions'];

export interface SyncNodeOptions {
  readonly identity?: Identity;
  /** What each other node holds here; everything when not given. */
  readonly grants?: (peer: PeerId) => readonly Grant[];
  readonly isShared?: () => boolean;
  readonly path?: string;
  readonly clock?: Clock;
  readonly now?: () => number;
  readonly limits?: ConstructorParameters<typeof OperationLog>[0]['limits'];
  readonly searchTimeoutMs?: number;
  /** The way out; in-memory pipes when not given. */
  readonly transport?: Transport;
}

/** The stores of one node, with their logs. */
export function openStores(parts: {
  readonly identity: Identity;
  readonly path?: string;
  readonly now?: () => number;
  readonly limits?: SyncNodeOptions['limits'];
}) {
  const database = openDatabase({
    path: parts.path ?? ':memory:',
    migrations: [...sessionMigrations, ...memoryMigrations, ...syncMigrations],
  });
  return { database, ...storesOn(database, parts) };
}

function storesOn(database: Database, parts: Parameters<typeof openStores>[0]) {
  const now = parts.now ?? Date.now;
  const log = (name: 'memory' | 'sessions') =>
    new OperationLog({
      database,
      log: name,
      identity: parts.identity,
      now,
      randomReplica: () => randomBytes(8).toString('hex'),
      limits: parts.limits ?? {},
    });
  const memoryLog = log('memory');
  const sessionLog = log('sessions');
  const memory = new MemoryStore({ database, now, randomId: randomUUID, log: memoryLog });
  const sessions = new SessionStore({ database, now, log: sessionLog });
  return { memory, sessions, memoryLog, sessionLog };
}

/** A node that shares its memory and its conversations with whom it meets. */
export class SyncNode {
  readonly node: TestNode;
  readonly id: PeerId;
  readonly stores: ReturnType<typeof openStores>;
  readonly memorySync: MemorySync;
  readonly sessionSync: LogSync;
  readonly events: SyncEvent[] = [];
  /** Requests and publications of others that came here. */
  served = 0;
  #closed = false;

  constructor(net: TestNetwork, name: string, options: SyncNodeOptions = {}) {
    const identity = options.identity ?? createIdentity();
    const { clock = systemClock, now } = options;
    const grants = options.grants ?? (() => FULL);
    const may = (peer: PeerId, grant: Grant) => grants(peer).includes(grant);
    this.id = identity.id;
    const { transport } = options;
    this.node = net.add(name, {
      identity,
      ...(transport === undefined ? {} : { through: () => transport }),
      clock,
      interceptors: [
        (next) => (params, context) => {
          this.served += 1;
          return next(params, context);
        },
        authorize({
          decide: (peer, grant) => (may(peer, grant) ? { allowed: true } : { allowed: false, reason: `no ${grant}` }),
          onRefused: () => {},
        }),
      ],
    });
    this.stores = openStores({
      identity,
      ...(options.path === undefined ? {} : { path: options.path }),
      ...(now === undefined ? {} : { now }),
      limits: options.limits,
    });
    const { memory, memoryLog, sessionLog } = this.stores;
    const parts = {
      router: this.node.router,
      mesh: this.node.mesh,
      clock,
      isShared: options.isShared ?? (() => true),
      onEvent: (event: SyncEvent) => this.events.push(event),
    };
    this.memorySync = new MemorySync({
      ...parts,
      memory,
      log: memoryLog,
      mayRead: (peer) => may(peer, 'memory-read'),
      mayWrite: (author) => may(author, 'memory-write'),
      ...(options.searchTimeoutMs === undefined ? {} : { searchTimeoutMs: options.searchTimeoutMs }),
    });
    this.sessionSync = createSessionSync({
      ...parts,
      log: sessionLog,
      mayRead: (peer) => may(peer, 'sessions'),
      mayWrite: (author) => may(author, 'sessions'),
    });
    this.#follow('peer-joined', (peer) => {
      this.memorySync.joined(peer);
      this.sessionSync.joined(peer);
    });
    this.#follow('peer-left', (peer) => {
      if (this.node.mesh.peers.has(peer.id)) return;
      this.memorySync.left(peer.id);
      this.sessionSync.left(peer.id);
    });
  }

  /** Writes as this node's own person would. */
  async remember(text: string, more: { readonly replaces?: string } = {}) {
    const { fact } = await this.stores.memory.write({ text, author: 'me', source: 'test', trusted: true }, more);
    return fact;
  }

  /** What is remembered here, in one order. */
  texts(): string[] {
    return this.stores.memory
      .latest({ limit: 100 })
      .map((fact) => fact.text)
      .sort();
  }

  close(): void {
    this.#closed = true;
    this.memorySync.close();
    this.sessionSync.close();
    this.stores.database.close();
  }

  #follow(type: 'peer-joined' | 'peer-left', then: (peer: Peer) => void): void {
    const seen = new Set<unknown>();
    const next = async (): Promise<void> => {
      for (;;) {
        const event = await this.node.event(type, (one) => !seen.has(one));
        seen.add(event);
        if (this.#closed) return;
        then(event.peer);
      }
    };
    void next();
  }
}

/** Nodes on one network, closed together. */
export class SyncNetwork implements AsyncDisposable {
  readonly net: TestNetwork;
  readonly nodes: SyncNode[] = [];

  constructor(clock?: Clock) {
    this.net = new TestNetwork(clock);
  }

  add(name: string, options?: SyncNodeOptions): SyncNode {
    const node = new SyncNode(this.net, name, options);
    this.nodes.push(node);
    return node;
  }

  /** Lets every two of them meet. */
  async meet(nodes: readonly SyncNode[] = this.nodes): Promise<void> {
    for (const [index, one] of nodes.entries()) {
      for (const other of nodes.slice(index + 1)) await one.node.dial(other.node);
    }
  }

  /** Ends every session between these and the rest. */
  part(nodes: readonly SyncNode[]): void {
    for (const one of nodes) {
      for (const other of this.nodes) if (!nodes.includes(other)) one.node.mesh.drop(other.id, 'parted');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.nodes) node.close();
    await this.net[Symbol.asyncDispose]();
  }
}

/** Waits, turn by turn of the event loop, until something holds. */
export async function until(holds: () => boolean, what: string, timeoutMs = 20_000): Promise<void> {
  const endMs = Date.now() + timeoutMs;
  while (!holds()) {
    if (Date.now() > endMs) throw new Error(`Not within ${timeoutMs} ms: ${what}`);
    await new Promise(setImmediate);
  }
}
