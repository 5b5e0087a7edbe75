import { ScheduleStore, schedulesOf } from '@skein/agent';
import type { LeaderStatus, ScheduleStatus } from '@skein/gateway';
import { type Peer, systemClock } from '@skein/mesh';
import type { PeerId, SkeinError } from '@skein/protocol';
import type { Logger } from 'pino';
import type { NodeConfig } from './config/load-config.ts';
import { type HostEvent, problemEvent } from './events.ts';
import { electionSettingOf } from './features/election-setting.ts';
import { Leadership } from './features/leadership.ts';
import type { LeadershipStatus } from './features/leadership-status.ts';
import { Schedules } from './features/schedules.ts';
import { unknownLeader } from './features/unknown-leader.ts';
import type { NodeFiles } from './node-files.ts';
import type { NodeNetwork } from './node-network.ts';
import type { NodeTasks } from './node-tasks.ts';
import { Sparingly } from './sparingly.ts';

const REFUSALS_PER_MINUTE = 60;
/** Peers change what they say of voters as often as they like. */
const ADVICES_PER_MINUTE = 10;

export interface NodeDutiesParts {
  readonly config: NodeConfig;
  /** The `net` section as it is now: it may be reloaded. */
  readonly net: () => NodeConfig['net'];
  readonly files: Pick<NodeFiles, 'identity' | 'trust' | 'audit' | 'database'>;
  readonly network: Pick<NodeNetwork, 'authority' | 'mesh' | 'router'>;
  readonly tasks: NodeTasks;
  /** The file of the term and the vote. */
  readonly electionPath: string;
  readonly log: Logger;
  readonly onEvent: (event: HostEvent) => void;
}

/** Who leads, and what is done without being asked: once for all nodes, or by each. */
export class NodeDuties implements AsyncDisposable {
  readonly #parts: NodeDutiesParts;
  readonly #leadership: Leadership;
  readonly #schedules: Schedules;
  readonly #refusals = new Sparingly({ maxPerMinute: REFUSALS_PER_MINUTE, monotonicMs: systemClock.monotonicMs });
  readonly #advices = new Sparingly({ maxPerMinute: ADVICES_PER_MINUTE, monotonicMs: systemClock.monotonicMs });
  /** The leader and the term that were told last. */
  #told = '';
  #advised: string | null = null;
  #started = false;

  /** @throws SkeinError `invalid` when `net.leader` is the name of several keys. */
  constructor(parts: NodeDutiesParts) {
    this.#parts = parts;
    const { config, tasks, log } = parts;
    const { mesh, router } = parts.network;
    const { identity, audit, database } = parts.files;
    this.#leadership = new Leadership({
      setting: this.#setting(),
      mesh,
      router,
      clock: systemClock,
      path: parts.electionPath,
      nameOf: (id) => this.#nameOf(id),
      onRefused: (refusal) => audit.append({ event: 'leader-refused', ...refusal, name: this.#nameOf(refusal.peer) }),
      onError: (error: SkeinError) => log.error({ error: error.message, cause: error.cause }, 'the election cannot be kept'),
    });
    this.#schedules = new Schedules({
      self: identity.id,
      schedules: schedulesOf(config),
      mode: config.net.heartbeatMode,
      leadership: this.#leadership,
      store: new ScheduleStore({ database }),
      router,
      clock: systemClock,
      submit: ({ task, ...work }) => tasks.submit({ id: task, ...work }),
      onEvent: (event) => log.info(event, 'schedule'),
      onRefused: ({ peer, reason }) => {
        const left = this.#refusals.admit();
        if (left === undefined) return;
        const more = left === 0 ? {} : { count: left };
        audit.append({ event: 'schedule-refused', peer, name: this.#nameOf(peer), reason, ...more });
      },
    });
  }

  async start(): Promise<void> {
    this.#leadership.start();
    this.#started = true;
    this.#advise(this.#leadership.status());
    this.#leadership.onChange((status) => {
      this.#advise(status);
      const { leader, term } = status;
      const now = JSON.stringify([leader, term]);
      if (now === this.#told) return;
      this.#told = now;
      this.#parts.onEvent({ type: 'leader-changed', leader, term });
    });
    await this.#schedules.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#schedules[Symbol.asyncDispose]();
    await this.#leadership[Symbol.asyncDispose]();
  }

  joined(peer: Peer): void {
    if (!this.#started) return;
    // Where it answered may only now be known to be its address, and so what the configuration says of it.
    this.trustChanged();
    this.#leadership.joined(peer);
  }

  left(id: PeerId): void {
    if (this.#started) this.#leadership.left(id);
  }

  /** The trust file or the configuration has changed: members and voters may be others. */
  trustChanged(): void {
    if (this.#started) this.#leadership.configure(this.#setting());
  }

  /** Null for a node that takes no part: one of a single command, or without a network. */
  leader(): LeaderStatus | null {
    if (!this.#started) return null;
    const { mode, leader, isMe, term, voters, bestEffort, ...told } = this.#leadership.status();
    const { note, fix } = this.#unknownLeader() ?? told;
    return { mode, leader, isMe, term, voters: voters.map(({ id, name }) => ({ id, name })), bestEffort, note, fix };
  }

  schedules(): readonly ScheduleStatus[] {
    if (!this.#started) return [];
    return this.#schedules.list().map(({ name, rule, nextDueMs, lastDueMs, lastClaim }) => ({
      name,
      when: rule,
      nextAtMs: nextDueMs,
      lastAtMs: lastDueMs,
      lastRun: lastClaim === null ? null : this.#lastRun(lastClaim),
    }));
  }

  /** Tells people what to do for a leader, once each time that is something else. */
  #advise({ note, fix }: LeadershipStatus): void {
    if (fix === this.#advised) return;
    this.#advised = fix;
    if (fix === null || this.#advices.admit() === undefined) return;
    this.#parts.log.warn({ note, fix }, 'the voters do not agree');
    this.#parts.onEvent(problemEvent(null, 'net.leader', `the voters do not agree (skein net status says how): ${fix}`));
  }

  #unknownLeader(): { readonly note: string; readonly fix: string } | undefined {
    const { config, network } = this.#parts;
    const { leader } = config.net;
    const records = network.authority.records();
    const advice = unknownLeader({ name: config.name, leader, records });
    return advice === undefined ? undefined : { note: advice.text, fix: advice.fix };
  }

  #lastRun({ dueMs, owner }: { readonly dueMs: number; readonly owner: PeerId }) {
    const { files, network } = this.#parts;
    const isMe = owner === files.identity.id;
    const by = { id: owner, name: this.#nameOf(owner) };
    return { atMs: dueMs, by, isMe, away: !isMe && !network.mesh.peers.has(owner) };
  }

  #setting() {
    const { config, net, files, network } = this.#parts;
    const { leader, voter, peers } = net();
    const records = network.authority.records();
    const dials = peers.length > 0;
    return electionSettingOf({ self: files.identity.id, name: config.name, leader, voter, dials, records });
  }

  #nameOf(id: PeerId): string {
    const { config, files } = this.#parts;
    return id === files.identity.id ? config.name : (files.trust.get(id)?.name ?? id.slice(0, 8));
  }
}
