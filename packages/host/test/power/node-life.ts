import { randomUUID } from 'node:crypto';
import { electionSetting, type Peer } from '@skein/mesh';
import {
  createIdentity,
  formatKeyLine,
  type Identity,
  inviteMac,
  leaderVote,
  SkeinError,
  signAuditCheckpoint,
} from '@skein/protocol';
import { TestNetwork, type VirtualClock } from '@skein/testing';
import { Leadership } from '../../src/features/leadership.ts';
import type { OpenedNode } from './opened-node.ts';
import type { Told } from './told.ts';

/** Longer than the audit log waits with a record, and with the end of it. */
const AUDIT_MS = 61_000;
/** Longer than a voter keeps still after it started or gave its vote. */
const ELECTION_MS = 20_000;

export interface LifeParts {
  readonly node: OpenedNode;
  readonly clock: VirtualClock;
  readonly tell: (told: Told) => void;
}

/** Something that the node does and tells, and that may fail by itself. */
export type Act = () => unknown;

/** The life of a node's files: of everything something, each told as soon as it is promised. */
export class NodeLife implements AsyncDisposable {
  readonly #parts: LifeParts;
  readonly #voter: Voter;

  static async begin(parts: LifeParts): Promise<NodeLife> {
    parts.node.audit.onCheckpoint((text) => parts.tell({ type: 'checkpoint', log: 'fast', text }));
    return new NodeLife(parts, await createVoter(parts.node, parts.clock));
  }

  private constructor(parts: LifeParts, voter: Voter) {
    this.#parts = parts;
    this.#voter = voter;
  }

  /** One round of acts: those of a group at the same time, the groups one after the other. */
  groups(): readonly (readonly Act[])[] {
    const { node, clock, tell } = this.#parts;
    const task = (session: string) => () => runTask(node, session, tell);
    const know = [() => remember(node, tell), () => remember(node, tell), () => say(node, tell)];
    return [
      [task('a'), task('b'), task('c'), ...know],
      [() => changeTrust(node, tell)],
      [() => holdCheckpoint(node, tell)],
      [() => useInvites(node, tell)],
      [() => this.#voter.vote(tell)],
      [() => writeAudit(node, clock)],
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#voter[Symbol.asyncDispose]();
  }
}

async function writeAudit({ audit, files }: OpenedNode, clock: VirtualClock): Promise<void> {
  const peer = files.identity.id;
  for (let count = 0; count < 12; count += 1) audit.append({ event: 'refused', peer, reason: randomUUID() });
  files.audit.append({ event: 'refused' });
  await clock.advance(AUDIT_MS);
}

async function runTask({ journal, files }: OpenedNode, session: string, tell: LifeParts['tell']): Promise<void> {
  const origin = files.identity.id;
  const id = randomUUID();
  const shared = { origin, id, attempt: 1, text: 'do it', session, priority: 'normal', interactive: false } as const;
  const { task } = await journal.submit({ ...shared, history: [], steps: [], path: [origin], remainingMs: 600_000 });
  tell({ type: 'task', origin, id, state: 'queued', steps: 0 });
  const { fence, nextSeq } = await journal.begin(task, { owner: 'me' });
  tell({ type: 'task', origin, id, state: 'running', steps: 0 });
  await journal.step(fence, { seq: nextSeq, event: { type: 'intent', id: '1', name: 'pay' }, tokens: 1 });
  tell({ type: 'task', origin, id, state: 'running', steps: 1 });
  await journal.finish(fence, { state: 'done', text: `done ${id}`, toolCalls: [], tokens: 1 });
  tell({ type: 'task', origin, id, state: 'done', steps: 1 });
}

async function remember({ files }: OpenedNode, tell: LifeParts['tell']): Promise<void> {
  const text = `fact ${randomUUID()}`;
  await files.memory.write({ text, author: 'me', source: 'test', trusted: true });
  tell({ type: 'fact', text });
  const head = files.memoryLog.ownHead();
  if (head !== undefined) tell({ type: 'head', log: 'memory', ...head });
}

async function say({ files }: OpenedNode, tell: LifeParts['tell']): Promise<void> {
  const text = `said ${randomUUID()}`;
  await files.sessions.append('chat', [{ message: { role: 'user', text }, tainted: false }]);
  tell({ type: 'said', text });
  const head = files.sessionLog.ownHead();
  if (head !== undefined) tell({ type: 'head', log: 'sessions', ...head });
}

function changeTrust({ files: { trust } }: OpenedNode, tell: LifeParts['tell']): void {
  const [kept, revoked] = [createIdentity(), createIdentity()];
  for (const identity of [kept, revoked]) {
    trust.trust(formatKeyLine(identity, 'friend'));
    tell({ type: 'trusted', id: identity.id });
  }
  trust.revoke(revoked.id);
  tell({ type: 'revoked', id: revoked.id });
}

function holdCheckpoint({ files: { heldCheckpoints } }: OpenedNode, tell: LifeParts['tell']): void {
  const peer = createIdentity();
  const head = '1'.repeat(64);
  for (const count of [1, 2]) {
    const checkpoint = signAuditCheckpoint(peer, { count, head, log: head, atMs: 1 });
    heldCheckpoints.set(peer.id, checkpoint);
    tell({ type: 'held', id: peer.id, checkpoint });
  }
}

function useInvites({ invites }: OpenedNode, tell: LifeParts['tell']): void {
  const [redeemed, ...canceled] = Array.from({ length: 3 }, () => {
    const invitation = invites.create({ trust: 'tool' });
    tell({ type: 'invited', id: invitation.id });
    return invitation;
  });
  if (redeemed === undefined) return;
  const binding = Buffer.alloc(32, 1);
  const mac = inviteMac(Buffer.from(redeemed.secret, 'hex'), binding).toString('hex');
  tell({ type: 'invite-ending', id: redeemed.id });
  if (!invites.redeem({ id: redeemed.id, mac, binding }).redeemed) throw new Error('An invitation was not taken');
  tell({ type: 'invite-gone', id: redeemed.id });
  // A hundred may be open, and a node has many lives.
  for (const { id } of canceled) {
    tell({ type: 'invite-ending', id });
    invites.cancel(id);
    tell({ type: 'invite-gone', id });
  }
}

interface Voter extends AsyncDisposable {
  /** Gives one of the candidates the vote in the next term. */
  vote(tell: LifeParts['tell']): Promise<void>;
}

/** The node in an election, asked for its vote by two others over real sessions. */
async function createVoter(node: OpenedNode, clock: VirtualClock): Promise<Voter> {
  const network = new TestNetwork(clock);
  const { identity } = node.files;
  const self = network.add('voter', { identity });
  const candidates = [createIdentity(), createIdentity()].map((one: Identity, place) =>
    network.add(`candidate-${place}`, { identity: one }),
  );
  const voters = [identity.id, ...candidates.map((one) => one.identity.id)];
  const setting = electionSetting({ self: identity.id, mode: 'quorum', voters });
  const leadership = new Leadership({
    ...{ setting, mesh: self.mesh, router: self.router, clock, path: node.dir.election, nameOf: (id) => id },
    onRefused: () => {},
    // What it cannot put on the disk it does not answer, and that is seen here.
    onError: () => {},
  });
  leadership.start();
  const peers: readonly Peer[] = await Promise.all(candidates.map((one) => one.dial(self)));
  let asked = 0;
  return {
    async vote(tell) {
      await clock.advance(ELECTION_MS);
      const place = asked % peers.length;
      asked += 1;
      const [peer, candidate] = [peers[place], candidates[place]];
      if (peer === undefined || candidate === undefined) return;
      const term = leadership.term + 1;
      const params = { term, pre: false, voters: setting.digest };
      const { granted } = await peer.call(leaderVote, params, { signal: new AbortController().signal, timeoutMs: 5_000 });
      if (!granted) throw new SkeinError('The vote was refused', { code: 'conflict' });
      tell({ type: 'vote', term, candidate: candidate.identity.id });
    },
    async [Symbol.asyncDispose]() {
      await leadership[Symbol.asyncDispose]();
      await network[Symbol.asyncDispose]();
    },
  };
}
