import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { ExampleNetwork } from './example-network.ts';

/** What was said in a conversation, as a node has it. */
async function said(network: ExampleNetwork, node: string, session: string): Promise<readonly string[]> {
  const known = (await network.client(node).sessions()).some(({ id }) => id === session);
  if (!known) return [];
  return (await network.client(node).history(session)).map(({ role, text }) => `${role}: ${text.split('\n')[0]}`);
}

async function untilSame(network: ExampleNetwork, session: string, messages: number): Promise<readonly string[]> {
  const lengths = async () => [
    (await said(network, 'desktop', session)).length,
    (await said(network, 'phone', session)).length,
  ];
  await expect.poll(lengths, { timeout: 10_000 }).toEqual([messages, messages]);
  const one = await said(network, 'desktop', session);
  expect(await said(network, 'phone', session)).toEqual(one);
  return one;
}

test('4: a conversation begun on one device goes on at the other, and memory is the same', async () => {
  await using network = await ExampleNetwork.start('4-one-session');
  await network.tools('desktop', 'phone/system_info');
  await network.tools('phone', 'desktop/system_info');
  expect((await network.readme('disk on phone')).lines.at(-1)).toMatchObject({
    toolCalls: [{ name: 'phone/system_info', ok: true }],
  });
  await untilSame(network, 'trip', 2);
  // Whoever has its page open is told.
  await network.line('phone', ({ type }) => type === 'sessions-changed');
  // Only who knows the first request knows what is asked here.
  expect((await network.readme('and on desktop')).lines.at(-1)).toMatchObject({
    text: expect.stringContaining('disk'),
    toolCalls: [{ ok: true }],
  });
  await untilSame(network, 'trip', 4);
  await network.readme('remember that');
  expect((await network.readme('remember about')).lines.at(-1)).toMatchObject({ text: expect.stringContaining('8:15') });
});

test('4: what was said while a device was away reaches it when it is back, in both directions', async () => {
  await using network = await ExampleNetwork.start('4-one-session');
  await network.ask('phone', 'hello', 'plan');
  await untilSame(network, 'plan', 2);
  await network.kill('phone');
  await network.ask('desktop', 'thanks', 'plan');
  await network.restart('phone');
  await untilSame(network, 'plan', 4);
  await network.ask('phone', 'hello again', 'plan');
  const all = await untilSame(network, 'plan', 6);
  expect(all.filter((line) => line.startsWith('user'))).toEqual(['user: hello', 'user: thanks', 'user: hello again']);
});

test('5: a member trusted as "tool" uses the server’s tools, one trusted as "read" reads its memory and calls nothing', async () => {
  await using network = await ExampleNetwork.start('5-team-server');
  await network.tools('alice', 'server/read_file');
  await network.readme('remember that');
  for (const member of ['alice', 'bob']) {
    expect((await network.readme(`${member} ask "what do you remember`)).lines.at(-1)).toMatchObject({
      text: expect.stringContaining('Friday'),
      toolCalls: [{ name: 'memory_search', ok: true }],
    });
  }
  expect((await network.readme('runbook.txt say on server')).lines.at(-1)).toMatchObject({
    text: expect.stringContaining('Restart the queue'),
    toolCalls: [{ name: 'server/read_file', ok: true }],
  });
  const remote = async (node: string) =>
    (await network.client(node).tools()).filter(({ peer }) => peer !== undefined).map(({ name }) => name);
  expect(await remote('alice')).toEqual(['server/list_files', 'server/read_file', 'server/system_info']);
  expect(await remote('bob')).toEqual([]);
  const refused = await network.readme('bob call');
  expect(refused).toMatchObject({ code: 1, lines: [{ type: 'error', code: 'denied' }] });
  expect(refused.stdout).not.toContain('Restart the queue');
  // What a member writes does not get into the server's memory: that takes full trust.
  const write = (node: string, text: string) => network.client(node).call({ name: 'memory_write', input: { text } });
  const known = async (node: string) =>
    JSON.stringify(await network.client(node).call({ name: 'memory_search', input: { query: '' } }));
  await write('alice', 'the release is cancelled');
  await write('server', 'the release is at noon');
  // When this is with alice, each has told the other what it has.
  await expect.poll(() => known('alice')).toContain('noon');
  expect(await known('server')).not.toContain('cancelled');
  // Who was refused what is on the server's disk.
  const audit = () => readFileSync(path.join(network.folder('server'), '.skein/audit.jsonl'), 'utf8');
  await expect.poll(audit).toMatch(/"event":"refused"[^\n]*"name":"bob"/);
});
