import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  parseVoleLine,
  type VoleEvent,
  type VoleHost,
  VoleNet,
  type VoleNetOptions,
  type VolePeer,
  type VoleTarget,
  voleIdOf,
} from '@skein/dialects';
import { type Clock, systemClock } from '@skein/mesh';
import { createIdentity, type Grant, type Identity, type Json, type PeerId, SkeinError } from '@skein/protocol';
import { Waiter } from '@skein/testing';

export interface VoleNodeOptions {
  readonly name?: string;
  readonly identity?: Identity;
  readonly directory?: string;
  readonly clock?: Clock;
  readonly options?: Partial<VoleNetOptions>;
  /** Whether others are told where it listens. */
  readonly announceEndpoint?: boolean;
  readonly tools?: Readonly<Record<string, (input: Record<string, unknown>, signal: AbortSignal) => Promise<Json> | Json>>;
  readonly port?: number;
  /** What its tasks and searches end with; absent, a few words. */
  readonly found?: string;
}

/** What the host was told or asked, with who it was. */
export type Told =
  | { readonly what: 'memory' | 'session' | 'chat'; readonly peer: PeerId; readonly value: unknown }
  | { readonly what: 'leads'; readonly peer: PeerId }
  | { readonly what: 'task'; readonly peer: PeerId; readonly value: unknown };

/** A node of ours that speaks VoleNet, with an HTTP server and a host that writes down what it is told. */
export class VoleNode implements AsyncDisposable {
  readonly identity: Identity;
  readonly name: string;
  readonly directory: string;
  readonly events = new Waiter<VoleEvent>();
  readonly told = new Waiter<Told>();
  readonly calls: { readonly peer: PeerId; readonly name: string; readonly input: unknown }[] = [];
  readonly grants = new Map<PeerId, Set<Grant>>();
  readonly pinned = new Map<PeerId, string>();
  readonly net: VoleNet;
  readonly #ownDirectory: boolean;
  readonly #trusted = new Map<string, ReturnType<typeof parseVoleLine>>();
  readonly #server = createServer((request, response) => {
    if (this.net.handles(request)) this.net.onRequest(request, response);
    else response.writeHead(404).end();
  });
  port = 0;

  constructor(options: VoleNodeOptions = {}) {
    const { tools = {}, clock = systemClock } = options;
    this.identity = options.identity ?? createIdentity();
    this.name = options.name ?? 'skein';
    this.#ownDirectory = options.directory === undefined;
    this.directory = options.directory ?? mkdtempSync(path.join(tmpdir(), 'vole-'));
    const host: VoleHost = {
      identity: this.identity,
      name: this.name,
      version: '0.1.0',
      clock,
      random: Math.random,
      role: () => 'peer',
      endpoint: () => (options.announceEndpoint ? this.url : ''),
      find: (id) => {
        const line = this.#trusted.get(id);
        return line && { ...line, mlDsa: line.mlDsa ?? this.pinned.get(line.identity.id) };
      },
      decide: (peer, grant) =>
        this.grants.get(peer)?.has(grant) ? { allowed: true } : { allowed: false, reason: `not granted ${grant}` },
      pinMlDsa: (peer, key) => {
        this.pinned.set(peer, key);
      },
      listTools: () =>
        Object.keys(tools).map((name) => ({
          name,
          description: `${name} of ${this.name}`,
          input: { type: 'object', properties: { text: { type: 'string' } } },
          effect: 'read',
          examples: [],
        })),
      callTool: async (peer, name, input, { signal }) => {
        this.calls.push({ peer, name, input });
        const tool = tools[name];
        if (tool === undefined) throw new SkeinError(`no tool ${name}`, { code: 'not-found' });
        // Proven: the dialect hands over objects only.
        return tool(input as Record<string, unknown>, signal);
      },
      runTask: async (peer, task) => {
        this.told.push({ what: 'task', peer, value: task });
        return { status: 'completed', result: options.found ?? `thought about ${task.input}` };
      },
      memoryWritten: (peer, value) => this.told.push({ what: 'memory', peer, value }),
      searchMemory: async (_peer, { query }) => [
        { file: 'notes', source: 'user', score: 1, snippet: options.found ?? `found ${query}` },
      ],
      sessionWritten: (peer, value) => this.told.push({ what: 'session', peer, value }),
      chatReceived: (peer, value) => this.told.push({ what: 'chat', peer, value }),
      leaderSeen: (peer) => this.told.push({ what: 'leads', peer }),
      leaderClaimed: () => true,
      onEvent: (event) => this.events.push(event),
    };
    this.net = new VoleNet({ host, directory: this.directory, options: options.options ?? {} });
    this.#server.on('upgrade', (request, socket, head) => this.net.onUpgrade(request, socket, head));
  }

  static async start(options: VoleNodeOptions = {}): Promise<VoleNode> {
    const node = new VoleNode(options);
    await new Promise<void>((resolve) => node.#server.listen(options.port ?? 0, '127.0.0.1', resolve));
    node.port = (node.#server.address() as AddressInfo).port;
    await node.net.start();
    return node;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get id(): string {
    return voleIdOf(this.identity);
  }

  /** Trusts a key line with these grants. */
  trust(line: string, ...grants: readonly Grant[]): PeerId {
    const parsed = parseVoleLine(line);
    // Not the fourth word: that is for the peer to announce.
    const { mlDsa: _announced, ...known } = parsed;
    this.#trusted.set(parsed.id, known);
    this.grants.set(parsed.identity.id, new Set(['presence', ...grants]));
    return parsed.identity.id;
  }

  revoke(line: string): void {
    this.#trusted.delete(parseVoleLine(line).id);
    this.net.trustChanged();
  }

  connectTo(...targets: readonly VoleTarget[]): void {
    this.net.setPeers(targets);
  }

  async joined(id: PeerId): Promise<VolePeer> {
    const event = await this.events.find(
      ({ type, ...rest }) => type === 'peer-joined' && 'peer' in rest && isPeer(rest.peer, id),
    );
    if (event.type !== 'peer-joined') throw new Error('not a peer');
    return event.peer;
  }

  async hasTools(id: PeerId): Promise<VolePeer> {
    const event = await this.events.find((event) => event.type === 'tools-changed' && event.peer.id === id);
    if (event.type !== 'tools-changed') throw new Error('not a peer');
    return event.peer;
  }

  refusal(code: string): Promise<VoleEvent> {
    return this.events.find((event) => event.type === 'refused' && event.error.code === code);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.net[Symbol.asyncDispose]();
    this.#server.close();
    this.#server.closeAllConnections();
    if (this.#ownDirectory) rmSync(this.directory, { recursive: true, force: true });
  }
}

function isPeer(peer: VolePeer | PeerId | undefined, id: PeerId): boolean {
  return typeof peer === 'object' && peer.id === id;
}
