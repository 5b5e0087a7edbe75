import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Schedule, ScheduleStore, scheduleMigrations } from '@skein/agent';
import { openDatabase } from '@skein/engine';
import { type Clock, electionSetting, type MeshEvent } from '@skein/mesh';
import { createIdentity, type ElectionMode, type Identity, type PeerId, type SkeinError } from '@skein/protocol';
import { TestNetwork, type TestNode, turns, VirtualClock } from '@skein/testing';
import { Leadership } from '../src/features/leadership.ts';
import { type ScheduledTask, Schedules } from '../src/features/schedules.ts';

/** A clock that can be made to have stood still, or to have been set, before any timer fires. */
export class SkewedClock implements Clock {
  readonly #base: Clock;
  monotonicSkewMs = 0;
  wallSkewMs = 0;

  constructor(base: Clock) {
    this.#base = base;
  }

  now(): number {
    return this.#base.now() + this.monotonicSkewMs + this.wallSkewMs;
  }

  monotonicMs(): number {
    return this.#base.monotonicMs() + this.monotonicSkewMs;
  }

  after(ms: number, fire: () => void): () => void {
    return this.#base.after(ms, fire);
  }
}

export interface LeadersOptions {
  readonly nodes: number;
  readonly mode: ElectionMode;
  /** Which node is forced, by its place. */
  readonly forced?: number;
  /** How many are voters, the lowest ids first; all when not given. */
  readonly voters?: number;
  readonly schedules?: readonly Schedule[];
  /** All of them know one more, with the highest id, that is never there. */
  readonly oneAway?: boolean;
}

export interface LeaderNode {
  readonly id: PeerId;
  readonly test: TestNode;
  readonly clock: SkewedClock;
  readonly leadership: Leadership;
  readonly schedules: Schedules;
  readonly path: string;
  readonly submitted: ScheduledTask[];
  readonly refused: string[];
  readonly errors: SkeinError[];
}

/** Nodes with leadership and schedules, each over real sessions in memory, in virtual time; sorted by their ids. */
export class Leaders implements AsyncDisposable {
  readonly clock = new VirtualClock();
  readonly nodes: LeaderNode[] = [];
  readonly #network = new TestNetwork(this.clock);
  readonly #stack = new AsyncDisposableStack();

  static async open(options: LeadersOptions): Promise<Leaders> {
    const leaders = new Leaders();
    const count = options.nodes + (options.oneAway === true ? 1 : 0);
    const identities = Array.from({ length: count }, () => createIdentity()).sort((a, b) => (a.id < b.id ? -1 : 1));
    for (const [place, identity] of identities.slice(0, options.nodes).entries())
      leaders.#add(`node-${place}`, identity, identities, options);
    for (const node of leaders.nodes) {
      node.leadership.start();
      await node.schedules.start();
    }
    for (const [place, node] of leaders.nodes.entries()) {
      for (const other of leaders.nodes.slice(place + 1)) await node.test.dial(other.test);
    }
    await turns(50);
    return leaders;
  }

  /** The node that leads now. */
  leading(): LeaderNode[] {
    return this.nodes.filter(({ leadership }) => leadership.isLeading);
  }

  node(place: number): LeaderNode {
    const node = this.nodes[place];
    if (node === undefined) throw new Error(`there are ${this.nodes.length} nodes`);
    return node;
  }

  /** Moves time on until a node leads that is not this one; how long that took. */
  async untilOther(than: LeaderNode): Promise<number> {
    const sinceMs = this.clock.monotonicMs();
    for (let step = 0; step < 1_200; step += 1) {
      if (this.leading().some((node) => node !== than)) break;
      await this.clock.advance(50);
    }
    return this.clock.monotonicMs() - sinceMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { schedules } of this.nodes) await schedules[Symbol.asyncDispose]();
    for (const { leadership } of this.nodes) await leadership[Symbol.asyncDispose]();
    await this.#network[Symbol.asyncDispose]();
    await this.#stack.disposeAsync();
  }

  #add(name: string, identity: Identity, all: readonly Identity[], options: LeadersOptions): void {
    const directory = mkdtempSync(join(tmpdir(), 'skein-leader-'));
    this.#stack.defer(() => rmSync(directory, { recursive: true, force: true }));
    const database = this.#stack.use(openDatabase({ path: ':memory:', migrations: scheduleMigrations }));
    const clock = new SkewedClock(this.clock);
    const test = this.#network.add(name, { identity });
    const ids = all.map(({ id }) => id);
    const refused: string[] = [];
    const errors: SkeinError[] = [];
    const submitted: ScheduledTask[] = [];
    const path = join(directory, 'election.json');
    const leadership = new Leadership({
      setting: electionSetting({
        self: identity.id,
        mode: options.mode,
        forced: ids[options.forced ?? 0],
        voters: ids.slice(0, options.voters ?? ids.length),
        members: ids.filter((id) => id !== identity.id),
      }),
      mesh: test.mesh,
      router: test.router,
      clock,
      path,
      nameOf: (id) => `node-${ids.indexOf(id)}`,
      onRefused: ({ reason }) => refused.push(reason),
      onError: (error) => errors.push(error),
    });
    const schedules = new Schedules({
      self: identity.id,
      schedules: options.schedules ?? [],
      mode: 'leader',
      leadership,
      store: new ScheduleStore({ database }),
      router: test.router,
      clock,
      submit: async (task) => {
        submitted.push(task);
      },
      onEvent: () => {},
      onRefused: ({ reason }) => refused.push(reason),
    });
    this.nodes.push({ id: identity.id, test, clock, leadership, schedules, path, submitted, refused, errors });
    follow(test, (event) => {
      if (event.type === 'peer-joined') leadership.joined(event.peer);
      if (event.type === 'peer-left') leadership.left(event.peer.id);
    });
  }
}

/** Tells of each mesh event of a node as it comes. */
function follow(node: TestNode, tell: (event: MeshEvent) => void): void {
  for (const type of ['peer-joined', 'peer-left'] as const) {
    const seen = new Set<MeshEvent>();
    const again = () => {
      node
        .event(type, (event) => !seen.has(event))
        .then((event) => {
          seen.add(event);
          tell(event);
          again();
        }, fail);
    };
    again();
  }
}

function fail(error: unknown): never {
  throw error;
}
