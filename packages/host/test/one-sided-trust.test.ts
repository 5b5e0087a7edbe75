import { ChaosProxy } from '@skein/testing';
import { expect, test } from 'vitest';
import { Nodes } from './nodes.ts';
import { audited, auditOf } from './trust-files.ts';

test('where trust is on one side only, both are told in words what to do, and nobody comes and goes', async () => {
  await using nodes = new Nodes();
  const [here, other] = [nodes.make('here'), nodes.make('there')];
  here.trusts([other, { trust: 'tool' }]);
  await nodes.start(here);
  const there = nodes.restart(other, { net: { peers: [{ url: here.url }] } });
  const told = here.event('peer-problem', ({ name }) => name === 'there');
  await nodes.start(there);
  const dialled = await there.event('peer-problem', ({ name }) => name === `${here.url}/`);
  expect(dialled.problem).toMatch(/^The key of the node that answered is not trusted/);
  const { problem } = await told;
  expect(problem).toMatch(/^The other side does not trust this node's key/);
  expect(problem).toContain(`On the other machine run: skein net trust "${here.keyLine}" --level`);
  const peer = here.host.backend.peers().find(({ name }) => name === 'there');
  expect(peer?.state).not.toBe('connected');
  expect(peer?.problem).toBe(problem);
  expect(await audited(here, 'peer-declined')).toMatchObject({ name: 'there', reason: problem });
  const events = auditOf(here).map(({ event }) => event);
  expect(events).not.toContain('peer-joined');
  expect(events).not.toContain('peer-left');

  // And what was advised helps.
  const joined = here.event('peer-joined');
  there.trusts([here, { trust: 'tool' }]);
  await joined;
});

test('what the configuration says of an address counts at once for a peer that had dialled before it answered there', async () => {
  await using nodes = new Nodes();
  const boss = nodes.make('boss');
  await nodes.start(boss);
  await using line = await ChaosProxy.start(Number(new URL(boss.url).port));
  line.weather = { held: 'both' };
  const worker = nodes.make('worker', { net: { share: { tools: true }, peers: [{ url: line.url, trust: 'full' }] } });
  worker.trusts([boss, {}]);
  await nodes.start(worker);
  const [joined, added] = [boss.event('peer-joined'), boss.event('tools-changed')];
  boss.trusts([worker, { url: worker.url }]);
  await joined;
  await expect(boss.call('worker/shell_exec', { command: 'uname' })).rejects.toMatchObject({ code: 'not-found' });
  line.weather = {};
  expect((await added).added).toContain('shell_exec');
  expect(await boss.call('worker/shell_exec', { command: 'uname' })).toMatchObject({ exitCode: 0 });
});

test('a key that may only read and is first at the address of another gets nothing of what that one is given', async () => {
  await using nodes = new Nodes();
  const mallory = nodes.make('mallory');
  await nodes.start(mallory);
  const boss = nodes.make('boss', {
    net: { share: { tools: true }, peers: [{ url: mallory.url, trust: 'full', allowBrain: true }] },
  });
  boss.trusts([mallory, { trust: 'read' }]);
  mallory.trusts([boss, { trust: 'tool' }]);
  const joined = mallory.event('peer-joined');
  await nodes.start(boss);
  await joined;
  expect(boss.host.backend.peers().find(({ name }) => name === 'mallory')).toMatchObject({ state: 'connected', trust: 'read' });
  await expect(mallory.call('boss/shell_exec', { command: 'id' })).rejects.toMatchObject({ code: 'not-found' });
  expect(mallory.host.backend.peers().find(({ name }) => name === 'boss')).toMatchObject({ tools: [], brain: null });
});
