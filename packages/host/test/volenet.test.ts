import { readFileSync, writeFileSync } from 'node:fs';
import { formatTrustLine, parseTrustLine } from '@skein/mesh';
import { startLlmServer } from '@skein/testing';
import { expect, test } from 'vitest';
import { Nodes, type TestHost } from './nodes.ts';
import { audited, auditOf, untilFound } from './trust-files.ts';
import { startVolePair, startWithVole, trustLine } from './vole-peers.ts';

const toolsOf = (node: TestHost) => node.host.backend.tools().map(({ name }) => name);
const READ = { name: 'system_info', params: {} };

test.each(['volenet', 'auto', 'trust-file', 'vole'] as const)(
  'an OpenVole node has its tools beside ours and calls ours, where the one that dials is: %s',
  async (dials) => {
    await using nodes = new Nodes();
    await using net = await startWithVole(nodes, { dials });
    const { node, vole } = net;
    expect(toolsOf(node)).toEqual(expect.arrayContaining(['system_info', 'vole/echo']));
    expect(await node.call('vole/echo', { b: [1, { y: 1, x: 'é' }] })).toMatchObject({ b: [1, { y: 1, x: 'é' }] });
    const list = await vole.received.find(({ type }) => type === 'tool:list:response');
    expect(list.payload).toContainEqual(expect.objectContaining({ name: 'system_info', instanceName: 'ours' }));
    // What is for this node's own agent alone is not shown.
    expect(JSON.stringify(list.payload)).not.toContain('memory_');
    expect(await net.call(READ)).toMatchObject({ success: true, output: { hostname: expect.any(String) } });
  },
);

test('our agent calls a tool of an OpenVole node, and what it says counts as text from outside', async () => {
  await using nodes = new Nodes();
  await using llm = await startLlmServer({
    script: [{ toolCalls: [{ name: 'vole__echo', input: { say: 'hi' } }] }, { text: 'It said: {{last}}' }],
  });
  const brain = { provider: 'openai-compatible', model: 'scripted', baseUrl: `${llm.url}/v1` } as const;
  await using net = await startWithVole(nodes, { config: { brain } });
  expect((await net.node.ask('say hi')).at(-1)).toMatchObject({
    type: 'answer',
    text: expect.stringContaining('hi'),
    toolCalls: [{ name: 'vole/echo', peer: 'vole', ok: true }],
  });
});

test.each([
  ['trust=full', {}, true],
  ['trust=tool', {}, true],
  ['trust=read', {}, false],
  ['trust=full,deny=system_*', {}, false],
  ['trust=full,allow=weather', {}, false],
  ['trust=full,allow=system_info', {}, true],
  ['trust=full', { share: { tools: false } }, false],
  ['trust=full', { share: { tools: true, toolAllow: ['dice*'] } }, false],
  ['trust=full', { share: { tools: true, toolAllow: ['system_*'] } }, true],
] as const)('with %s and %o an OpenVole node may call a tool: %s', async (trust, config, may) => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes, { trust, config: { net: config as object } });
  const list = await net.ask('tool:list', {}, 'tool:list:response');
  expect(JSON.stringify(list).includes('system_info')).toBe(may);
  const result = await net.call(READ);
  expect(result.success).toBe(may);
  if (may) return;
  expect(result).toMatchObject({ error: 'Tool access not allowed: system_info', code: 'denied' });
  expect(await audited(net.node, 'vole-refused')).toMatchObject({ name: 'vole', peer: net.peer });
});

test('what the configuration says of an address restricts the OpenVole node that answers there, whatever it announces', async () => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes, { restrict: { trust: 'read' }, vole: { announceEndpoint: true } });
  expect(await net.call(READ)).toMatchObject({ success: false });
});

test('a change of what is shared reaches an OpenVole node while it is connected', async () => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes);
  await net.vole.received.find(({ type }) => type === 'tool:list:response');
  const next = net.vole.received.next(({ type }) => type === 'tool:list:response');
  writeFileSync(net.node.file('authorized_peers'), `${trustLine(net.vole, 'trust=full,allow=dice')}\n`, { mode: 0o600 });
  expect(JSON.stringify((await next).payload)).not.toContain('system_info');
});

test('an OpenVole node that leaves takes its tools along, and brings them back', async () => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes);
  const { node, vole } = net;
  const left = node.event('peer-left');
  const back = node.event('peer-joined');
  vole.cut();
  await left;
  expect(toolsOf(node)).not.toContain('vole/echo');
  await expect(node.call('vole/echo', {})).rejects.toMatchObject({ code: 'not-found' });
  await back;
  await expect.poll(() => toolsOf(node)).toContain('vole/echo');
});

test('a call in flight fails at once when the OpenVole node is gone', async () => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes, { vole: { tools: { slow: () => new Promise(() => {}) } } });
  const called = net.node.call('vole/slow', {}).catch((error: unknown) => error);
  await net.vole.received.find(({ type }) => type === 'tool:call');
  net.vole.cut();
  expect(await called).toMatchObject({ code: 'unavailable', message: expect.stringContaining('may have been done') });
});

test('a revoked key is cut off, its tools go, and nothing of it is heard any more', async () => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes, { dials: 'vole' });
  const { node, vole } = net;
  const left = node.event('peer-left');
  writeFileSync(node.file('authorized_peers'), `${trustLine(vole, 'trust=full,revoked')}\n`, { mode: 0o600 });
  expect((await left).reason).toContain('not trusted any more');
  expect(toolsOf(node)).not.toContain('vole/echo');
  expect(await vole.post(net.http, vole.make('tool:call', net.id, { callId: 'late', ...READ }))).toMatchObject({ status: 401 });
});

test('the list of peers says which protocol an OpenVole node speaks, and what that does not protect', async () => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes);
  const { node, vole } = net;
  expect(node.host.backend.peers()).toMatchObject([
    {
      name: 'vole',
      state: 'connected',
      dialect: 'volenet',
      transport: 'websocket',
      tools: [{ name: 'vole/echo' }],
      notProtected: expect.arrayContaining([expect.stringContaining('not by a handshake')]),
    },
  ]);
  const problem = node.event('peer-problem');
  await vole.stop();
  await problem;
  expect(node.host.backend.peers()).toMatchObject([{ name: 'vole', dialect: 'volenet', state: 'connecting' }]);
});

test('an OpenVole node with keys of its own kind is sealed to, and its ML-DSA key is kept with its line', async () => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes, { vole: { modern: true, encrypt: true } });
  const { node, vole } = net;
  expect(await node.call('vole/echo', { a: 1 })).toMatchObject({ a: 1 });
  expect(vole.received.items.some(({ type }) => type === 'sealed:direct')).toBe(true);
  const mlDsa = vole.line.split(' ')[3];
  await untilFound(() =>
    readFileSync(node.file('authorized_peers'), 'utf8').includes(`${mlDsa} trust=full`) ? true : undefined,
  );
});

test('two nodes of ours that are made to speak VoleNet to each other use each other’s tools, many calls at once', async () => {
  await using nodes = new Nodes();
  const { left, right } = await startVolePair(nodes);
  expect(await right.call('left/system_info', {})).toMatchObject({ hostname: expect.any(String) });
  // What a schema says goes along between ours.
  const offered = right.host.backend.tools().find(({ name }) => name === 'left/system_info');
  expect(offered).toMatchObject({ effect: 'read', input: { type: 'object' } });
  const calls = Array.from({ length: 256 }, (_, n) =>
    n % 2 === 0 ? right.call('left/system_info', {}) : left.call('right/system_info', {}),
  );
  expect(await Promise.all(calls)).toHaveLength(256);
  for (const node of [left, right]) {
    expect(node.host.backend.peers()).toMatchObject([{ state: 'connected', dialect: 'volenet', transport: 'websocket' }]);
  }
});

test('two nodes of ours that ask each other what they speak have one session of our own, and each tool once', async () => {
  await using nodes = new Nodes();
  const speaking = { volenet: true, share: { tools: true } };
  const left = nodes.make('left', { net: speaking });
  const first = nodes.make('right', { net: speaking });
  left.trusts([first, { trust: 'full' }]);
  await nodes.start(left);
  first.trusts([left, { trust: 'full' }]);
  const right = nodes.restart(first, { net: { ...speaking, peers: [{ url: left.url, dialect: 'auto' }] } });
  const joined = left.event('peer-joined');
  await nodes.start(right);
  await joined;
  // Left asks back: a line of VoleNet's kind with an address is one that is asked.
  const line = formatTrustLine({ ...parseTrustLine(right.keyLine), kind: 'vole', trust: 'full', url: right.url });
  const taken = left.event('tools-changed');
  writeFileSync(left.file('authorized_peers'), `${line}\n`, { mode: 0o600 });
  await audited(left, 'trust-changed');
  await taken;
  await expect.poll(() => toolsOf(right).filter((name) => name.endsWith('/system_info'))).toEqual(['left/system_info']);
  await expect.poll(() => toolsOf(left).filter((name) => name.endsWith('/system_info'))).toEqual(['right/system_info']);
  for (const node of [left, right]) {
    expect(node.host.backend.peers()).toMatchObject([{ state: 'connected', dialect: 'skein', notProtected: [] }]);
    expect(auditOf(node).filter(({ reason }) => reason === 'VoleNet')).toEqual([]);
  }
});
