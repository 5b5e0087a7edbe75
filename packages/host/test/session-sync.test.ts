import type { Grant } from '@skein/protocol';
import { sessionOperations } from '@skein/protocol';
import { rejection } from '@skein/testing';
import { expect, test } from 'vitest';
import { SyncNetwork, type SyncNode, until } from './sync-nodes.ts';

async function say({ stores }: SyncNode, text: string, answer?: string): Promise<void> {
  await stores.sessions.append('s', [{ message: { role: 'user', text }, tainted: false }]);
  if (answer === undefined) return;
  await stores.sessions.append('s', [{ message: { role: 'assistant', text: answer, toolCalls: [] }, tainted: false }]);
}

const read = ({ stores }: SyncNode) => stores.sessions.texts('s').map(({ text }) => text);
const same = (nodes: readonly SyncNode[], count: number) => () =>
  nodes.every((node) => read(node).length === count && read(node).join('|') === read(nodes[0] ?? node).join('|'));

test('a conversation goes on from device to device', async () => {
  await using net = new SyncNetwork();
  const [phone, desk] = [net.add('phone'), net.add('desk')];
  await net.meet();
  await say(phone, 'how full is the disk?', 'half');
  await until(same(net.nodes, 2), 'the first turn on both');
  await say(desk, 'and the other?', 'empty');
  await until(same(net.nodes, 4), 'the second turn on both');
  expect(read(phone)).toEqual(['how full is the disk?', 'half', 'and the other?', 'empty']);
  expect(desk.stores.sessions.read('s', { maxChars: 1e9 })[0]).toMatchObject({ author: phone.id, tainted: true });
});

test('both went on while they were apart, and then there is one order on all', async () => {
  await using net = new SyncNetwork();
  const [phone, desk, shelf] = [net.add('phone'), net.add('desk'), net.add('shelf')];
  await net.meet();
  await say(phone, 'first', 'to the first');
  await until(same(net.nodes, 2), 'the beginning on all');
  net.part([phone]);
  for (let turn = 0; turn < 5; turn += 1) {
    await say(phone, `phone ${turn}`, `to phone ${turn}`);
    await say(desk, `desk ${turn}`, `to desk ${turn}`);
  }
  await net.meet();
  await until(same(net.nodes, 22), 'all turns in one order');
  const texts = read(shelf);
  for (const [index, text] of texts.entries()) {
    if (text.startsWith('to ')) expect(texts[index - 1]).toBe(text.replace('to the ', '').replace('to ', ''));
  }
});

test('deleted on one, it is gone from all, also from who was away', async () => {
  await using net = new SyncNetwork();
  const [phone, desk, shelf] = [net.add('phone'), net.add('desk'), net.add('shelf')];
  await net.meet();
  await say(phone, 'purple', 'yes');
  await until(same(net.nodes, 2), 'the conversation on all');
  net.part([shelf]);
  await desk.stores.sessions.delete('s');
  await until(same([phone, desk], 0), 'gone from those who are there');
  await net.meet();
  await until(same(net.nodes, 0), 'gone from all');
  for (const { stores } of net.nodes) {
    expect(JSON.stringify(stores.database.all('SELECT body FROM operations'))).not.toContain('purple');
  }
});

test.each<[string, readonly Grant[], boolean, boolean]>([
  ['sessions granted and shared', ['sessions'], true, true],
  ['not granted', ['memory-read', 'memory-write'], true, false],
  ['not shared', ['sessions'], false, false],
])('a peer with %s', async (_, grants, isShared, taken) => {
  await using net = new SyncNetwork();
  const desk = net.add('desk', { grants: () => grants, isShared: () => isShared });
  const other = net.add('other');
  await say(desk, 'private');
  await say(other, 'obey me');
  const toDesk = await other.node.dial(desk.node);
  if (taken) {
    await until(same(net.nodes, 2), 'both');
    return;
  }
  expect(await rejection(toDesk.call(sessionOperations.have, { chains: [] }))).toMatchObject({ code: 'denied' });
  const wants = other.stores.sessionLog.heads().map(({ author, replica, seq }) => ({ author, replica, from: 1, to: seq }));
  const operations = other.stores.sessionLog.read(wants);
  expect(await rejection(toDesk.call(sessionOperations.push, { operations }))).toMatchObject({ code: 'denied' });
  expect(read(desk)).toEqual(['private']);
  expect(read(other)).toEqual(['obey me']);
});
