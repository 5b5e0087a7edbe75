import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { heartbeatConfig, schedulesConfig, schedulesOf } from '@skein/agent';
import { leaderRenew, leaderState, leaderVote, schedulesClaim } from '@skein/protocol';
import { rejection, turns } from '@skein/testing';
import { expect, test } from 'vitest';
import { Leaders } from './leaders.ts';

const MINUTE = 60_000;
const { signal } = new AbortController();
const schedules = schedulesOf({
  heartbeat: heartbeatConfig.parse({}),
  schedules: schedulesConfig.parse([{ name: 'report', text: 'report', everyMinutes: 1 }]),
});

test.for(['auto', 'quorum'] as const)(
  '%s: one of three leads, all say so, and another follows it within a second',
  async (mode) => {
    await using net = await Leaders.open({ nodes: 3, mode });
    await net.clock.advance(20_000);
    const [leader, ...more] = net.leading();
    if (leader === undefined) throw new Error('nobody leads');
    expect(more).toEqual([]);
    const { term } = leader.leadership;
    expect(net.nodes.map(({ leadership }) => leadership.status().leader?.id)).toEqual(Array(3).fill(leader.id));
    await leader.test.mesh[Symbol.asyncDispose]();
    expect(await net.untilOther(leader)).toBeLessThan(1_000);
    const [next] = net.leading().filter((node) => node !== leader);
    expect(next?.leadership.term).toBeGreaterThan(term);
  },
);

test('auto: nobody is said to lead in the first seconds, when each only waits for the others', async () => {
  await using net = await Leaders.open({ nodes: 3, mode: 'auto', oneAway: true });
  for (let second = 0; second < 5; second += 1) {
    for (const { leadership } of net.nodes) {
      expect(leadership.status()).toMatchObject({ leader: null, isMe: false });
      expect(leadership.status().note).toContain('Nobody leads yet');
    }
    await net.clock.advance(990);
  }
  await net.clock.advance(1_000);
  const said = net.nodes.map(({ leadership }) => leadership.status());
  expect(said.map(({ leader, term }) => [leader?.id, term])).toEqual(Array(3).fill([net.node(0).id, 1]));
});

test('auto: one leads at once where all who may lead have met', async () => {
  await using net = await Leaders.open({ nodes: 3, mode: 'auto' });
  const said = net.nodes.map(({ leadership }) => leadership.status());
  expect(said.map(({ leader, term }) => [leader?.id, term])).toEqual(Array(3).fill([net.node(0).id, 1]));
});

test('auto says plainly that a partition can have two leaders; forced and quorum do not', async () => {
  for (const mode of ['auto', 'forced', 'quorum'] as const) {
    await using net = await Leaders.open({ nodes: 2, mode });
    const { bestEffort, note, witnessNeeded } = net.node(0).leadership.status();
    expect(bestEffort).toBe(mode === 'auto');
    expect(note.includes('each part has a leader of its own')).toBe(mode === 'auto');
    expect(witnessNeeded).toBe(mode === 'quorum');
  }
});

test('forced: the named node leads, not the lowest id, and nobody when it is gone', async () => {
  await using net = await Leaders.open({ nodes: 3, mode: 'forced', forced: 2 });
  await net.clock.advance(1_000);
  expect(net.leading()).toEqual([net.node(2)]);
  await net.node(2).test.mesh[Symbol.asyncDispose]();
  await net.clock.advance(5 * MINUTE);
  const status = net.node(0).leadership.status();
  expect(status).toMatchObject({ leader: null, isMe: false });
  expect(status.note).toContain('Nobody leads while it is away');
});

test('quorum: a node cut off from the majority leads no more, and its fence throws', async () => {
  await using net = await Leaders.open({ nodes: 3, mode: 'quorum' });
  await net.clock.advance(20_000);
  const [leader] = net.leading();
  if (leader === undefined) throw new Error('nobody leads');
  const fence = await leader.leadership.fence({ signal });
  fence.check();
  for (const { id } of net.nodes) leader.test.mesh.drop(id, 'cut');
  await turns(20);
  expect(() => fence.check()).toThrow(/does not lead/);
  expect((await rejection(leader.leadership.fence({ signal }))).code).toBe('unavailable');
});

test.for(['auto', 'quorum'] as const)('%s: a leader that stood still for 75 s may do nothing when it goes on', async (mode) => {
  await using net = await Leaders.open({ nodes: 3, mode });
  await net.clock.advance(20_000);
  const [leader] = net.leading();
  if (leader === undefined) throw new Error('nobody leads');
  const fence = await leader.leadership.fence({ signal });
  // Its clock goes on; none of its timers has fired yet.
  leader.clock.monotonicSkewMs = 75_000;
  expect(() => fence.check()).toThrow();
});

test.for([-3_600_000, 3_600_000, 60_000])(
  'quorum: a lease is not lengthened by a wall clock that jumps %i ms',
  async (jumpMs) => {
    await using net = await Leaders.open({ nodes: 3, mode: 'quorum' });
    await net.clock.advance(20_000);
    const [leader] = net.leading();
    if (leader === undefined) throw new Error('nobody leads');
    const fence = await leader.leadership.fence({ signal });
    leader.clock.wallSkewMs = jumpMs;
    expect(() => fence.check()).toThrow(/lease/);
    const again = await leader.leadership.fence({ signal });
    expect(again.term).toBe(fence.term);
    again.check();
  },
);

test('quorum: what a guest claims, votes, renews and asks over a session has no effect and is told of', async () => {
  await using net = await Leaders.open({ nodes: 4, mode: 'quorum', voters: 3, schedules });
  await net.clock.advance(20_000);
  const [leader] = net.leading();
  const guest = net.node(3);
  if (leader === undefined) throw new Error('nobody leads');
  expect(guest.leadership.isLeading).toBe(false);
  expect(guest.leadership.status().leader?.id).toBe(leader.id);
  const { term } = leader.leadership;
  for (const victim of net.nodes.slice(0, 3)) {
    const peer = guest.test.mesh.peers.get(victim.id);
    if (peer === undefined) throw new Error('no session');
    const view = await peer.call(leaderState, claimOf(guest.id, 2 ** 40));
    expect(view.term).toBe(term);
    // Nor by a list of its own, whatever that names.
    const rival = { ...claimOf(guest.id, term), voters: 'a'.repeat(64), list: [guest.id, victim.id] };
    expect(await peer.call(leaderState, rival)).toMatchObject({ term, leader: view.leader });
    const { voters } = view;
    for (const pre of [true, false]) {
      expect(await peer.call(leaderVote, { term: term + 1, pre, voters })).toMatchObject({ granted: false, term });
    }
    expect(await peer.call(leaderRenew, { term, voters })).toEqual({ granted: false, term });
    const claim = { schedule: 'a'.repeat(32), dueMs: 1, term };
    expect((await rejection(peer.call(schedulesClaim, claim))).code).toBe('denied');
    expect(victim.refused.length).toBeGreaterThanOrEqual(5);
  }
  expect(net.leading()).toEqual([leader]);
  expect(leader.leadership.term).toBe(term);
});

function claimOf(id: Leaders['nodes'][number]['id'], term: number) {
  return { seq: 1_000_000, mode: 'quorum', term, leader: id, resigned: 0, voters: '' } as const;
}

test('a vote is on the disk; a damaged file is refused by name, and one that cannot be written means no vote', async () => {
  await using net = await Leaders.open({ nodes: 3, mode: 'quorum' });
  await net.clock.advance(20_000);
  const [leader] = net.leading();
  const [follower] = net.nodes.filter((node) => node !== leader);
  if (leader === undefined || follower === undefined) throw new Error('nobody leads');
  const { term } = leader.leadership;
  expect(JSON.parse(readFileSync(leader.path, 'utf8'))).toEqual({ term, votedFor: leader.id });
  writeFileSync(leader.path, '{"term":"many"}', { mode: 0o600 });
  expect(() => leader.leadership.start()).toThrow(/is damaged/);

  // A directory in the place of the file: a rename onto it fails.
  rmSync(follower.path, { force: true });
  mkdirSync(follower.path);
  const peer = leader.test.mesh.peers.get(follower.id);
  follower.test.mesh.drop(net.nodes.find((node) => node !== leader && node !== follower)?.id ?? leader.id, 'cut');
  const view = await peer?.call(leaderState, { ...claimOf(leader.id, term), leader: null, resigned: term });
  const vote = peer?.call(leaderVote, { term: term + 5, pre: false, voters: view?.voters ?? '' }) ?? Promise.resolve();
  const refusal = rejection(vote);
  await net.clock.advance(1_000);
  expect((await refusal).code).toBe('unavailable');
  expect(follower.errors.length).toBeGreaterThan(0);
});

test('auto: a leader that leaves while the file cannot be written is followed once it can', async () => {
  await using net = await Leaders.open({ nodes: 2, mode: 'auto' });
  await net.clock.advance(20_000);
  const [leader, follower] = [net.node(0), net.node(1)];
  expect(leader.leadership.isLeading).toBe(true);
  rmSync(follower.path, { force: true });
  mkdirSync(follower.path);
  await leader.test.mesh[Symbol.asyncDispose]();
  await net.clock.advance(20_000);
  expect(follower.errors.length).toBeGreaterThan(0);
  expect(follower.leadership.isLeading).toBe(false);
  rmSync(follower.path, { recursive: true });
  expect(await net.untilOther(leader)).toBeLessThan(10_000);
  expect(follower.leadership.isLeading).toBe(true);
});

test.for(['auto', 'quorum', 'forced'] as const)(
  '%s: each due time of a schedule runs once in the network, whoever leads',
  async (mode) => {
    await using net = await Leaders.open({ nodes: 3, mode, schedules });
    await net.clock.advance(5 * MINUTE);
    const [leader] = net.leading();
    if (leader === undefined) throw new Error('nobody leads');
    expect(leader.submitted.length).toBeGreaterThanOrEqual(4);
    expect(net.nodes.flatMap(({ submitted }) => submitted)).toHaveLength(leader.submitted.length);
    if (mode === 'forced') return;
    await leader.test.mesh[Symbol.asyncDispose]();
    await leader.schedules[Symbol.asyncDispose]();
    await net.clock.advance(5 * MINUTE);
    const tasks = net.nodes.flatMap(({ submitted }) => submitted.map(({ task }) => task));
    expect(new Set(tasks).size).toBe(tasks.length);
    expect(tasks.length).toBeGreaterThanOrEqual(9);
  },
);

test('a run that its leader claimed and did not live to begin is not begun by the next one as well', async () => {
  await using net = await Leaders.open({ nodes: 3, mode: 'quorum', schedules });
  await net.clock.advance(20_000);
  const [leader] = net.leading();
  const id = schedules[0]?.id ?? '';
  if (leader === undefined) throw new Error('nobody leads');
  const dueMs = Math.ceil(net.clock.now() / MINUTE) * MINUTE;
  const { term } = leader.leadership;
  for (const node of net.nodes) {
    const peer = leader.test.mesh.peers.get(node.id);
    if (peer !== undefined) await peer.call(schedulesClaim, { schedule: id, dueMs, term });
  }
  await leader.schedules[Symbol.asyncDispose]();
  await leader.test.mesh[Symbol.asyncDispose]();
  // What is known of it can be seen: whose it is.
  for (const node of net.nodes) {
    if (node !== leader) expect(node.schedules.list()).toMatchObject([{ lastClaim: { dueMs, owner: leader.id } }]);
  }
  await net.clock.advance(3 * MINUTE);
  const tasks = net.nodes.flatMap(({ submitted }) => submitted.map(({ task }) => task));
  expect(tasks).toHaveLength(2);
});
