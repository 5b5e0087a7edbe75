import type { ElectionView, PeerId } from '@skein/protocol';
import { expect, test } from 'vitest';
import { peerIds } from '../../test/election-simulation.ts';
import { adviseElection, describeElection } from './describe.ts';
import {
  createElection,
  type ElectionEffect,
  type ElectionEvent,
  type ElectionRecord,
  type ElectionSetting,
  electionSetting,
  leaseUntilMs,
  SETTLE_MS,
} from './election.ts';
import { next } from './next.ts';

const ids = peerIds(6);
/** Sorted by id, so that the first would lead by its id alone. */
const [low, a, b, c, guest, high] = [id(0), id(1), id(2), id(3), id(4), id(5)];

function id(index: number): PeerId {
  const found = ids[index];
  if (found === undefined) throw new Error(`there are ${ids.length} ids`);
  return found;
}

/** One node, driven by hand. */
class Seat {
  readonly setting: ElectionSetting;
  state;
  nowMs = 0;
  effects: readonly ElectionEffect[] = [];
  #seq = 0;

  constructor(setting: Parameters<typeof electionSetting>[0], record?: ElectionRecord) {
    this.setting = electionSetting(setting);
    this.state = createElection(this.setting, record, 0);
    this.do({ type: 'wake' });
  }

  do(event: ElectionEvent): readonly ElectionEffect[] {
    const { state, effects } = next(this.state, event, this.nowMs);
    this.state = state;
    this.effects = effects;
    return effects;
  }

  /** Moves time on, waking it whenever it is due. */
  wait(ms: number): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      const wake = this.effects.find((effect) => effect.type === 'wake');
      if (wake === undefined || wake.atMs > endMs) break;
      this.nowMs = Math.max(this.nowMs, wake.atMs);
      this.do({ type: 'wake' });
    }
    this.nowMs = endMs;
  }

  up(...peers: readonly PeerId[]): this {
    for (const peer of peers) this.do({ type: 'up', peer, ask: true });
    return this;
  }

  says(from: PeerId, view: Partial<ElectionView>): readonly ElectionEffect[] {
    const { mode, digest } = this.setting;
    this.#seq += 1;
    const whole = { seq: this.#seq, mode, term: 0, leader: null, resigned: 0, voters: digest, ...view };
    return this.do({ type: 'request', from, request: { type: 'state', view: whole } });
  }

  asksVote(from: PeerId, term: number, pre = false): readonly ElectionEffect[] {
    return this.do({ type: 'request', from, request: { type: 'vote', term, pre, voters: this.setting.digest } });
  }

  renews(from: PeerId, term: number): readonly ElectionEffect[] {
    return this.do({ type: 'request', from, request: { type: 'renew', term, voters: this.setting.digest, round: 1 } });
  }

  votes(from: PeerId, term: number, pre: boolean): void {
    const answer = { type: 'vote', granted: true, term, leader: null, waitMs: 0, asked: { term, pre } } as const;
    this.do({ type: 'answer', from, answer });
  }

  /** Lets a voter win an election with the votes of these. */
  elect(...voters: readonly PeerId[]): this {
    const { term } = this.state;
    for (let waited = 0; this.state.role === 'follower' && waited < 30; waited += 1) this.wait(100);
    for (const voter of voters) this.votes(voter, term + 1, true);
    for (const voter of voters) this.votes(voter, term + 1, false);
    expect(this.state.role).toBe('leader');
    return this;
  }
}

const quorum = (self: PeerId) => ({ self, mode: 'quorum', voters: [a, b, c] }) as const;
const granted = (effects: readonly ElectionEffect[]) =>
  effects.some(
    ({ type, ...effect }) => type === 'answer' && 'answer' in effect && 'granted' in effect.answer && effect.answer.granted,
  );
const refusals = (effects: readonly ElectionEffect[]) => effects.filter(({ type }) => type === 'refused').length;
/** What a guest must not be able to change. */
const essence = ({ state }: Seat) => {
  const { term, votedFor, role, leader, promise, votes, renewed, campaignAtMs } = state;
  return JSON.stringify({ term, votedFor, role, leader, promise, votes: [...votes], renewed: [...renewed], campaignAtMs });
};

test('forced: a claim from the lowest id has no effect and is told of', () => {
  const seat = new Seat({ self: b, mode: 'forced', forced: a }).up(low, a);
  expect(refusals(seat.says(low, { leader: low, term: 9 }))).toBe(1);
  expect(seat.state.leader).toBeNull();
  seat.says(a, { leader: a, term: 1 });
  seat.says(low, { leader: low, term: 10 });
  expect(seat.state).toMatchObject({ leader: a, term: 1 });
  expect(granted(seat.renews(low, 11))).toBe(false);
  expect(granted(seat.asksVote(low, 11))).toBe(false);
});

test('forced: nobody leads while the named one is away, and the named one leads alone', () => {
  const seat = new Seat({ self: b, mode: 'forced', forced: a }).up(a, c);
  seat.says(a, { leader: a, term: 4 });
  seat.do({ type: 'down', peer: a });
  seat.wait(600_000);
  expect(seat.state).toMatchObject({ leader: null, role: 'follower' });
  const named = new Seat({ self: a, mode: 'forced', forced: a }, { term: 4, votedFor: null });
  expect(named.state).toMatchObject({ role: 'leader', leader: a, term: 5 });
});

test('forced: a name nobody has means no leader, and the note says so', () => {
  const seat = new Seat({ self: b, mode: 'forced' }).up(low);
  seat.wait(60_000);
  expect(seat.state.leader).toBeNull();
  expect(describeElection(seat.state, String)).toContain('no trusted key has the configured name');
});

test.for(['follower', 'asking', 'candidate', 'leader'] as const)(
  'quorum: a guest changes nothing in a node that is %s',
  (role) => {
    const seat = new Seat(quorum(a)).up(b, c, guest, low);
    seat.wait(200);
    if (role === 'candidate') seat.votes(b, 1, true);
    if (role === 'leader') seat.elect(b);
    if (role === 'follower') seat.says(b, { leader: b, term: 3 });
    expect(seat.state.role).toBe(role);
    const before = essence(seat);
    for (const stranger of [guest, low]) {
      for (const term of [0, seat.state.term, seat.state.term + 1, 2 ** 40]) {
        expect(granted(seat.asksVote(stranger, term, true))).toBe(false);
        expect(granted(seat.asksVote(stranger, term))).toBe(false);
        expect(granted(seat.renews(stranger, term))).toBe(false);
        expect(refusals(seat.says(stranger, { leader: stranger, term }))).toBe(1);
        seat.says(stranger, { leader: guest, term, resigned: term });
        seat.votes(stranger, term, true);
        seat.votes(stranger, term, false);
        seat.do({ type: 'answer', from: stranger, answer: { type: 'renew', granted: true, term, asked: 1 } });
      }
    }
    expect(essence(seat)).toBe(before);
  },
);

test('quorum: a majority of voters leads, a majority of guests does not', () => {
  const seat = new Seat(quorum(a)).up(b, guest, low, high);
  seat.wait(200);
  for (const stranger of [guest, low, high]) seat.votes(stranger, 1, true);
  expect(seat.state.role).toBe('asking');
  seat.votes(b, 1, true);
  expect(seat.state.role).toBe('candidate');
});

test('quorum: a voter that leads by another rule, or in no term, is not taken for the leader', () => {
  const seat = new Seat(quorum(b)).up(a, c);
  seat.says(a, { leader: a, leads: true, mode: 'auto', term: 3 });
  seat.says(a, { leader: a, leads: true, mode: 'forced', term: 3 });
  seat.says(a, { leader: a, leads: true, term: 0 });
  expect(granted(seat.renews(a, 0))).toBe(false);
  expect(seat.state).toMatchObject({ leader: null, term: 0 });
  seat.says(a, { leader: a, leads: true, term: 1 });
  expect(seat.state).toMatchObject({ leader: a, term: 1 });
});

test('quorum: a vote is on the disk before it is answered, and is given once a term, a restart in between', () => {
  const seat = new Seat(quorum(b)).up(a, c);
  const effects = seat.asksVote(a, 1);
  const types = effects.map(({ type }) => type);
  expect(types.indexOf('persist')).toBeLessThan(types.indexOf('answer'));
  expect(granted(effects)).toBe(true);
  expect(granted(seat.asksVote(c, 1))).toBe(false);
  const again = new Seat(quorum(b), { term: 1, votedFor: a }).up(a, c);
  again.wait(20_000);
  expect(granted(again.asksVote(c, 1))).toBe(false);
});

test('quorum: a forged term far ahead neither moves this node nor keeps it from its next election', () => {
  const seat = new Seat(quorum(a)).up(b, c);
  for (const attack of [
    () => seat.asksVote(b, 2 ** 40),
    () => seat.asksVote(b, 2 ** 40, true),
    () => seat.renews(b, 2 ** 40),
    () => seat.says(b, { leader: b, term: 2 ** 40 }),
    () => seat.says(b, { term: Number.MAX_SAFE_INTEGER }),
  ]) {
    expect(refusals(attack())).toBe(1);
    expect(seat.state.term).toBe(0);
  }
  seat.elect(c);
  expect(seat.state.term).toBe(1);
});

test('quorum: one voter that forges terms for a minute at full rate uses up less than a millionth of them', () => {
  const seat = new Seat(quorum(a)).up(b, c);
  for (let sent = 0; sent < 6_000; sent += 1) {
    seat.nowMs += 10;
    seat.asksVote(b, seat.state.term + 2 ** 20);
    seat.says(b, { leader: b, term: seat.state.term + 2 ** 20 });
  }
  expect(seat.state.term).toBeLessThan(Number.MAX_SAFE_INTEGER / 1e6);
});

test('quorum: no vote against a leader that is there, nor while a promise to one that left holds', () => {
  const seat = new Seat(quorum(b)).up(a, c);
  seat.says(a, { leader: a, term: 1 });
  expect(granted(seat.renews(a, 1))).toBe(true);
  expect(granted(seat.asksVote(c, 2))).toBe(false);
  seat.do({ type: 'down', peer: a });
  expect(granted(seat.asksVote(c, 2))).toBe(false);
  seat.nowMs += 10_000;
  expect(granted(seat.asksVote(c, 2))).toBe(true);
});

test('quorum: a lease counts from when it was asked for, and an answer played again makes it no longer', () => {
  const seat = new Seat(quorum(a)).up(b, c).elect(b);
  seat.do({ type: 'renew' });
  const askedAtMs = seat.nowMs;
  const answer = { type: 'renew', granted: true, term: 1, asked: seat.state.round } as const;
  seat.nowMs += 2_000;
  seat.do({ type: 'answer', from: b, answer });
  expect(leaseUntilMs(seat.state)).toBe(askedAtMs + 8_000);
  seat.nowMs += 5_000;
  for (const asked of [answer.asked, answer.asked + 1, 10 ** 6]) {
    seat.do({ type: 'answer', from: b, answer: { ...answer, asked } });
    seat.do({ type: 'answer', from: c, answer: { ...answer, term: 7, granted: false, asked } });
  }
  expect(leaseUntilMs(seat.state)).toBeLessThanOrEqual(askedAtMs + 8_000);
});

test('quorum: votes of an earlier round, played again, elect nobody', () => {
  const seat = new Seat(quorum(a)).up(b, c);
  seat.wait(200);
  seat.votes(b, 1, true);
  expect(seat.state).toMatchObject({ role: 'candidate', term: 1 });
  seat.wait(1_200);
  for (let round = 0; round < 3; round += 1) {
    seat.votes(b, 1, true);
    seat.votes(b, 1, false);
    seat.wait(1_000);
  }
  expect(seat.state.role).not.toBe('leader');
});

test('quorum: a leader that lost its majority leads no more, and says that it gave up', () => {
  const seat = new Seat(quorum(a)).up(b, c).elect(b);
  seat.do({ type: 'down', peer: b });
  expect(seat.state.role).toBe('leader');
  seat.do({ type: 'down', peer: c });
  expect(seat.state).toMatchObject({ role: 'follower', leader: null, resigned: 1 });
});

test('quorum: voters with different lists of voters do not elect each other, and the note says so', () => {
  const seat = new Seat(quorum(a)).up(b);
  const other = electionSetting({ self: b, mode: 'quorum', voters: [a, b] });
  const effects = seat.do({
    type: 'request',
    from: b,
    request: { type: 'vote', term: 1, pre: false, voters: other.digest },
  });
  expect(granted(effects)).toBe(false);
  expect(adviseElection(seat.state)).toBeNull();
  seat.says(b, { voters: other.digest });
  expect(describeElection(seat.state, String)).toContain('another list of voters');
  expect(adviseElection(seat.state)).toContain('skein net trust <name or key line> --voter');
});

/** What one says of itself that goes by these voters. */
const viewOf = (self: PeerId, voters: readonly PeerId[]) => {
  const { view } = createElection(electionSetting({ self, mode: 'quorum', voters }), undefined, 0);
  return { voters: view.voters, list: view.list };
};

test('quorum: the only voter of its own list leads where it knows no other, and nowhere else', () => {
  const lonely = new Seat({ self: a, mode: 'quorum', voters: [a] }).up(b);
  lonely.wait(60_000);
  expect(lonely.state).toMatchObject({ role: 'follower', leader: null, term: 0 });
  expect(leaseUntilMs(lonely.state)).toBe(Number.NEGATIVE_INFINITY);
  expect(describeElection(lonely.state, String)).toContain('names no voter but itself');
  expect(adviseElection(lonely.state)).toContain('; or, where one is to lead alone, set net.leader to its name');
  const alone = new Seat({ self: a, mode: 'quorum', voters: [a], alone: true });
  alone.wait(1_000);
  expect(alone.state).toMatchObject({ role: 'leader', term: 1 });
  expect(adviseElection(alone.state)).toBeNull();
  // Somebody is let in: from now on it is a network, whose voters are to be named.
  alone.do({ type: 'setting', setting: electionSetting({ self: a, mode: 'quorum', voters: [a] }) });
  alone.wait(60_000);
  expect(alone.state).toMatchObject({ role: 'follower', leader: null });
});

test('quorum: a voter with another list is no part of the majority, is not followed, and moves no term', () => {
  const seat = new Seat(quorum(a)).up(b, c).elect(b);
  seat.do({ type: 'down', peer: c });
  expect(seat.state.role).toBe('leader');
  seat.says(b, { ...viewOf(b, [b]), term: 1 });
  expect(seat.state).toMatchObject({ role: 'follower', leader: null });
  seat.wait(60_000);
  expect(seat.state).toMatchObject({ role: 'follower', term: 1 });
  expect(refusals(seat.says(b, { ...viewOf(b, [b]), leader: b, leads: true, term: 7 }))).toBe(1);
  expect(seat.state).toMatchObject({ leader: null, term: 1 });
  seat.says(b, { term: 1 });
  seat.elect(b);
});

test('quorum: a follower whose leader goes by another list from now on follows it no more', () => {
  const seat = new Seat(quorum(b)).up(a, c);
  seat.says(a, { leader: a, term: 3 });
  expect(seat.state.leader).toBe(a);
  seat.do({ type: 'setting', setting: electionSetting({ self: b, mode: 'quorum', voters: [a, b] }) });
  expect(seat.state.leader).toBeNull();
});

test('quorum: what was promised before the voters changed is kept', () => {
  const seat = new Seat(quorum(b)).up(a, c);
  seat.says(a, { leader: a, term: 1 });
  expect(granted(seat.renews(a, 1))).toBe(true);
  const voters = [b, c];
  const { digest } = electionSetting({ self: b, mode: 'quorum', voters });
  seat.do({ type: 'setting', setting: electionSetting({ self: b, mode: 'quorum', voters }) });
  const ask = () => seat.do({ type: 'request', from: c, request: { type: 'vote', term: 2, pre: false, voters: digest } });
  expect(granted(ask())).toBe(false);
  seat.nowMs += 10_000;
  expect(granted(ask())).toBe(true);
});

test('quorum: while one of its voters could help to elect another by another list, a node neither leads nor votes', () => {
  const seat = new Seat(quorum(a)).up(b, c).elect(b);
  seat.says(b, { term: 1 });
  // Two of these three may go by it: c, which says so, and a node that is not seen here.
  seat.says(c, viewOf(c, [b, c, high]));
  expect(seat.state.role).toBe('follower');
  expect(granted(seat.renews(b, 2))).toBe(false);
  expect(granted(seat.asksVote(b, 9))).toBe(false);
  seat.wait(60_000);
  expect(seat.state.role).toBe('follower');
  const nameOf = (one: PeerId) => `node-${ids.indexOf(one)}`;
  expect(describeElection(seat.state, nameOf)).toContain(
    'This node neither votes nor leads while node-3 could be led by other voters. node-3 has another list of voters, so neither gives the other its vote: it does not name this node, and names node-5, as this node does not.',
  );
  // The one that was not seen goes by the list of this node: now nobody can be elected by the other.
  seat.up(high).says(high, {});
  seat.elect(b);
});

test('quorum: a guest with another list stops nobody, whatever it says, and can be seen', () => {
  const seat = new Seat(quorum(a)).up(b, c, guest).elect(b);
  seat.says(guest, { ...viewOf(guest, [guest, high, low]), leader: guest, leads: true, term: 1 });
  expect(seat.state.role).toBe('leader');
  expect(granted(seat.renews(b, 2))).toBe(true);
  expect(describeElection(seat.state, String)).toContain('so each may have a leader of its own');
});

test('quorum: a list that is not the one a voter votes by is not believed', () => {
  const seat = new Seat(quorum(a)).up(b, c).elect(b);
  const { voters } = viewOf(c, [b, c, high]);
  seat.says(c, { voters, list: [c] });
  expect(seat.state.role).toBe('follower');
  seat.says(c, { voters, list: [] });
  expect(seat.state.role).toBe('follower');
});

test('quorum: two voters are told to take a witness', () => {
  const seat = new Seat({ self: a, mode: 'quorum', voters: [a, b] }).up(b);
  expect(describeElection(seat.state, String)).toContain('witness');
  seat.do({ type: 'down', peer: b });
  seat.wait(60_000);
  expect(seat.state.leader).toBeNull();
});

test('auto: a guest with the lowest id does not lead here', () => {
  const seat = new Seat({ self: b, mode: 'auto', members: [a, c] }).up(low, c);
  seat.says(low, { leader: low, term: 3 });
  seat.says(c, { leader: null });
  seat.wait(SETTLE_MS);
  expect(seat.state).toMatchObject({ leader: b, role: 'leader' });
  expect(describeElection(seat.state, String)).toContain('each part has a leader of its own');
});

test('auto: nodes that meet only in the middle have one leader, while the middle sees it', () => {
  const seat = new Seat({ self: b, mode: 'auto', members: [a, high] }).up(high);
  seat.says(high, { leader: a, leads: false, term: 2 });
  seat.wait(SETTLE_MS);
  expect(seat.state).toMatchObject({ leader: null, role: 'follower' });
  seat.says(high, { leader: a, leads: true, term: 2 });
  expect(seat.state).toMatchObject({ leader: a, role: 'follower', term: 2 });
  seat.says(high, { leader: b, term: 2 });
  expect(seat.state).toMatchObject({ leader: b, role: 'leader', term: 3 });
});

test('auto: who is only the one to lead is not said to, nor one in no term', () => {
  const seat = new Seat({ self: b, mode: 'auto', members: [a, c] }).up(a, c);
  for (const view of [{ leader: null }, { leader: b }, { leader: a, term: 0 }, { leader: a, leads: false, term: 4 }]) {
    seat.says(a, view);
    seat.wait(SETTLE_MS);
    expect(seat.state).toMatchObject({ leader: null, role: 'follower' });
  }
  expect(describeElection(seat.state, String)).toMatch(/^Nobody leads yet/);
  seat.says(a, { leader: a, leads: true, term: 5 });
  expect(seat.state).toMatchObject({ leader: a, term: 5 });
  expect(seat.effects).toContainEqual({ type: 'leader', leader: a, term: 5 });
});

test('auto: one that does not answer does not lead', () => {
  const seat = new Seat({ self: b, mode: 'auto', members: [a] }).up(a);
  seat.wait(SETTLE_MS);
  expect(seat.state.leader).toBe(b);
  seat.says(a, { leader: a, term: 4 });
  expect(seat.state.leader).toBe(a);
  seat.do({ type: 'silent', peer: a });
  expect(seat.state).toMatchObject({ leader: b, term: 5 });
});

test('auto: a node leads as soon as all that may lead here have told their view, and no sooner', () => {
  const seat = new Seat({ self: a, mode: 'auto', members: [b, c] }).up(b, c, low);
  seat.says(b, { leader: null });
  seat.says(low, { leader: null });
  expect(seat.state).toMatchObject({ leader: null, role: 'follower' });
  seat.says(c, { leader: null });
  expect(seat.state).toMatchObject({ leader: a, role: 'leader' });
});

test('auto: a follower that has heard all leads the moment its leader is gone, however short it has run', () => {
  const seat = new Seat({ self: b, mode: 'auto', members: [a, c] }).up(a, c);
  seat.says(c, { leader: a, leads: true, term: 1 });
  seat.says(a, { leader: a, term: 1 });
  seat.do({ type: 'down', peer: a });
  seat.says(c, { leader: null, term: 1 });
  expect(seat.state).toMatchObject({ leader: b, role: 'leader' });
});

test('auto: a node that stood still asks anew before it leads again', () => {
  const seat = new Seat({ self: a, mode: 'auto', members: [b] }).up(b);
  seat.says(b, { leader: a, term: 1 });
  seat.wait(SETTLE_MS);
  expect(seat.state.role).toBe('leader');
  expect(leaseUntilMs(seat.state)).toBeLessThanOrEqual(seat.nowMs + 15_000);
  seat.nowMs += 75_000;
  const effects = seat.do({ type: 'renew' });
  expect(effects.map(({ type }) => type)).toContain('lost');
  expect(seat.state.role).toBe('follower');
});

test('a peer is asked again when it does not answer, and seldom when it never does', () => {
  const seat = new Seat({ self: b, mode: 'auto', members: [a] }).up(a);
  const asked = () => seat.effects.filter(({ type }) => type === 'send').length;
  let sent = asked();
  for (let second = 0; second < 3_600; second += 10) {
    seat.wait(10_000);
    sent += asked();
  }
  expect(sent).toBeGreaterThan(20);
  expect(sent).toBeLessThan(60);
});
