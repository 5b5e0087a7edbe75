import { randomUUID } from 'node:crypto';
import { type Mesh, type Peer, Router, type TrustOptions } from '@skein/mesh';
import * as protocol from '@skein/protocol';
import { type Grant, type Method, SkeinError, toolsList } from '@skein/protocol';
import { measured } from '@skein/testing';
import { expect, test } from 'vitest';
import { bareMesh } from './bare-mesh.ts';
import { METHOD_GRANTS, modelAllows, type PeerEntry, type Sharing, type Standing } from './grants-model.ts';
import { Nodes, type TestHost } from './nodes.ts';

const TOOLS = ['shell_exec', 'read_file', 'list_files', 'http_get', 'scrape', 'system_info'];
const REPLICA = '0'.repeat(16);

/** Every method of the contract, those in groups too. */
function contract(): ReadonlyMap<string, Method> {
  const isMethod = (value: unknown): value is Method =>
    typeof value === 'object' && value !== null && 'grant' in value && 'params' in value && 'name' in value;
  const inside = (value: unknown): readonly Method[] => {
    if (isMethod(value)) return [value];
    if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return [];
    return Object.values(value).filter(isMethod);
  };
  return new Map(
    Object.values(protocol)
      .flatMap(inside)
      .map((method) => [method.name, method]),
  );
}

/** Params that pass each method's schema and do nothing; those after which a peer is listened to no more stand last. */
function paramsOf(author: string): Readonly<Record<string, object>> {
  const wants = { wants: [{ author, replica: REPLICA, from: 1, to: 1 }] };
  const forged = { operations: [{ head: 'A'.repeat(252) }] };
  const task = randomUUID();
  return {
    'presence.state': { load: { running: 0, queued: 0, capacity: 1 }, calls: 0, brain: null, role: 'peer' },
    'tools.changed': {},
    'trust.revocations': { list: null },
    'trust.checkpoint': { checkpoint: null },
    'leader.state': { seq: 1, mode: 'auto', term: 0, leader: null, resigned: 0, voters: '' },
    'leader.vote': { term: 1, pre: true, voters: '' },
    'leader.renew': { term: 1, voters: '' },
    'schedules.claim': { schedule: 'a'.repeat(32), dueMs: 1, term: 1 },
    'tools.list': {},
    'tools.call': { tool: 'list_files', input: {} },
    'tasks.submit': {
      ...{ task, attempt: 1, text: 'hello', session: 's', priority: 'normal', interactive: false },
      ...{ history: [], steps: [], path: [author], remainingMs: 1_000 },
    },
    'tasks.watch': { task, after: 0 },
    'tasks.cancel': { task },
    'tasks.confirm': { task, id: 'x', approve: true },
    'tasks.acknowledge': { task, id: 'x' },
    'chat.send': { id: randomUUID(), text: 'hello' },
    'memory.have': { chains: [] },
    'memory.pull': wants,
    'memory.search': { query: 'anything', limit: 1 },
    'memory.push': forged,
    'sessions.have': { chains: [] },
    'sessions.pull': wants,
    'sessions.push': forged,
  };
}

type Verdict = 'granted' | 'not granted' | 'not shared';

/** What a node says to one request, by its words: an answer or any other refusal means that the grant was there. */
async function verdictOf(peer: Peer, method: Method, params: object): Promise<Verdict> {
  try {
    await peer.call(method, params, { timeoutMs: 20_000 });
  } catch (thrown) {
    const { code, message } = SkeinError.from(thrown);
    if (code === 'denied' && message.startsWith(`${method.name} is not granted to you`)) return 'not granted';
    if (code === 'denied' && message.includes('does not share')) return 'not shared';
    if (!['denied', 'not-found', 'unsupported', 'unavailable', 'invalid', 'unauthenticated'].includes(code)) throw thrown;
    if (message.includes('no method')) throw thrown;
  }
  return 'granted';
}

/** What one peer is by the trust file and the configuration. */
interface Case {
  readonly name: string;
  readonly standing: Standing;
  readonly entry?: PeerEntry;
}

const standing = (more: Partial<Standing>): Standing => ({
  trust: 'read',
  allowBrain: false,
  allowTools: undefined,
  denyTools: [],
  revoked: false,
  ...more,
});

function cases(): readonly Case[] {
  const levels = ['full', 'tool', 'read'] as const;
  const toolRules: readonly Pick<Partial<TrustOptions>, 'allowTools' | 'denyTools'>[] = [
    {},
    { allowTools: ['list_*', 'system_info'] },
    { denyTools: ['list_files', 'shell*'] },
    { allowTools: ['*'], denyTools: ['list_files'] },
  ];
  const plain = levels.flatMap((trust) =>
    [false, true].flatMap((allowBrain) => toolRules.map((rule) => ({ standing: standing({ trust, allowBrain, ...rule }) }))),
  );
  const entries: readonly PeerEntry[] = [
    ...levels.flatMap((trust) => [{ trust }, { trust, allowBrain: true }, { trust, allowBrain: false }]),
    { allowBrain: true },
    { allowBrain: false },
    { allowTools: ['list_files'] },
    { allowTools: [] },
    { trust: 'full', denyTools: ['list_*'] },
  ];
  const refined = entries.flatMap((entry) => [
    { standing: standing({ trust: 'tool', denyTools: ['scrape'] }), entry },
    { standing: standing({ trust: 'read', allowBrain: true, allowTools: ['read_*'] }), entry },
  ]);
  return [...plain, ...refined].map((one, index) => ({ name: `peer-${index}`, ...one }));
}

const sharings: readonly Sharing[] = [true, false].flatMap((memory) =>
  [true, false].flatMap((session) => [
    { memory, session, tools: false, toolAllow: ['*'] },
    { memory, session, tools: true, toolAllow: ['*'] },
    { memory, session, tools: true, toolAllow: ['read_*', 'system_info'] },
  ]),
);

test('each method stands in the table of grants, with the grant it needs', () => {
  const named = [...contract().values()].map(({ name, grant }) => [name, grant]);
  expect(Object.fromEntries(named)).toEqual(METHOD_GRANTS);
  expect(Object.keys(paramsOf('x')).sort()).toEqual(Object.keys(METHOD_GRANTS).sort());
});

test('a node answers each method to each kind of peer as the table says, whatever it shares', {
  timeout: 110_000,
}, async () => {
  await using nodes = new Nodes();
  await using stack = new AsyncDisposableStack();
  const all = cases().map((one) => ({ ...one, host: nodes.make(one.name) }));
  const meshes = all.map(({ host }) => stack.use(bareMesh(host, new Router())));
  for (const [index, share] of sharings.entries()) {
    const node = nodes.make(`node-${index}`, {
      brain: { provider: 'none' },
      net: { share: { ...share, toolAllow: [...share.toolAllow] }, peers: all.flatMap(entryOf) },
    });
    node.trusts(...all.map(({ host, standing: line }) => [host, line] as const));
    await nodes.start(node);
    for (const [place, one] of all.entries()) await check(node, meshes[place], { ...one, share });
    await node.host[Symbol.asyncDispose]();
  }
  measured('permissions', { counts: { cellsOfTheMatrix: sharings.length * all.length * Object.keys(METHOD_GRANTS).length } });
});

function entryOf({ host, entry, name }: Case & { readonly host: TestHost }) {
  if (entry === undefined) return [];
  const { allowTools, denyTools, ...rest } = entry;
  const tools = {
    ...(allowTools === undefined ? {} : { allowTools: [...allowTools] }),
    ...(denyTools === undefined ? {} : { denyTools: [...denyTools] }),
  };
  // Nobody listens there.
  return [{ url: `ws://127.0.0.1:1/${name}`, key: host.keyLine, ...rest, ...tools }];
}

async function check(node: TestHost, mesh: Mesh | undefined, one: Case & { readonly share: Sharing }): Promise<void> {
  if (mesh === undefined) throw new Error('there is a mesh for each peer');
  const peer = await mesh.dial(node.url, { signal: new AbortController().signal });
  const { share } = one;
  const may = (grant: Grant, tool?: string) => modelAllows(tool === undefined ? { grant } : { grant, tool }, one);
  const methods = contract();
  const author = protocol.parseKeyLine(node.keyLine).identity.id;
  const said: Record<string, Verdict> = {};
  const wanted: Record<string, Verdict> = {};
  for (const [name, params] of Object.entries(paramsOf(author))) {
    const method = methods.get(name);
    const grant = METHOD_GRANTS[name];
    if (method === undefined || grant === undefined) throw new Error(`${name} is in the table`);
    said[name] = await verdictOf(peer, method, params);
    const shared = !(name.startsWith('memory.') && !share.memory) && !(name.startsWith('sessions.') && !share.session);
    wanted[name] = !may(grant) ? 'not granted' : shared ? 'granted' : 'not shared';
  }
  const label = JSON.stringify(one);
  expect(said, label).toEqual(wanted);
  const allowed = TOOLS.filter((tool) => may('tools', tool)).sort();
  const listed = may('tools') ? (await peer.call(toolsList, {}, { timeoutMs: 20_000 })).tools.map(({ name }) => name) : [];
  expect(listed.sort(), label).toEqual(allowed);
  // What else is shared has no part in which tools may be called: once is enough.
  for (const tool of share.memory && share.session ? TOOLS : []) {
    const call = peer.call(protocol.toolsCall, { tool, input: { nonsense: true } }, { timeoutMs: 20_000 });
    const code = await call.then(
      () => 'done',
      (thrown: unknown) => SkeinError.from(thrown).code,
    );
    // What is allowed gets as far as the tool, which looks at its input.
    if (allowed.includes(tool)) expect(['done', 'invalid'], label).toContain(code);
    else expect(['denied', 'not-found'], label).toContain(code);
  }
  mesh.drop(author, 'done');
}

test('a key that was revoked, or that nobody knows, gets no session at all, whatever its line and the config say', async () => {
  await using nodes = new Nodes();
  const revoked = nodes.make('revoked');
  const unknown = nodes.make('unknown');
  const entries = [revoked, unknown].map((host) => ({
    host,
    name: host.name,
    entry: { trust: 'full', allowBrain: true } as const,
  }));
  const share = { tools: true, memory: true, session: true };
  const peers = entries.flatMap((one) => entryOf({ ...one, standing: standing({}) }));
  const node = nodes.make('node', { net: { share, peers } });
  node.trusts([revoked, { trust: 'full', allowBrain: true, revoked: true }]);
  await nodes.start(node);
  for (const host of [revoked, unknown]) {
    await using mesh = bareMesh(host);
    const dial = mesh.dial(node.url, { signal: new AbortController().signal });
    await expect(dial).rejects.toMatchObject({ code: 'denied' });
  }
});

test('what a peer with full trust asks for on behalf of one that may only read is denied, and done for itself', async () => {
  await using nodes = new Nodes();
  const [reader, between] = [nodes.make('reader'), nodes.make('between')];
  const node = nodes.make('node', { net: { share: { tools: true } } });
  node.trusts([reader, { trust: 'read' }], [between, { trust: 'full' }]);
  await nodes.start(node);
  await using mesh = bareMesh(between);
  const peer = await mesh.dial(node.url, { signal: new AbortController().signal });
  const [readerId, ownId] = [reader, node].map((host) => protocol.parseKeyLine(host.keyLine).identity.id);
  if (readerId === undefined || ownId === undefined) throw new Error('both have keys');
  const call = (onBehalfOf: readonly protocol.PeerId[]) =>
    peer.call(protocol.toolsCall, { tool: 'list_files', input: {}, onBehalfOf }, { timeoutMs: 10_000 });
  expect(await call([])).toBeDefined();
  expect(await call([ownId])).toBeDefined();
  for (const chain of [[readerId], [ownId, readerId], [readerId, ownId]]) {
    await expect(call(chain)).rejects.toMatchObject({ code: 'denied', message: expect.stringContaining('on behalf of') });
  }
});
