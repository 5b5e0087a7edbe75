import {
  BODY_BYTES_MAX,
  BODY_VALUES_MAX,
  CREDIT_BYTES,
  defineMethod,
  MESSAGE_TYPE,
  SkeinError,
  toolsCall,
  toolsChanged,
  toolsList,
} from '@skein/protocol';
import { measured, rejection, sized, sizedTimeout, TestNetwork, type TestNode, turns } from '@skein/testing';
import { expect, test } from 'vitest';
import { z } from 'zod';
import type { Transport } from '../src/index.ts';
import { echo } from './methods.ts';
import { dialAsRogue } from './rogue.ts';
import { Timed } from './timed.ts';

const MIB = 1024 * 1024;
const TYPES = Object.values(MESSAGE_TYPE);
const RANDOM_MESSAGES = sized({ ci: 20_000, full: 9_500_000 });

/** Takes many wrong things, so that there is much to say about them. */
const numbers = defineMethod({
  name: 'test.numbers',
  grant: 'tools',
  params: z.array(z.number()),
  result: z.object({ sum: z.number() }),
  idempotent: true,
});

/** Texts no honest peer would send, and what JSON.parse and the schemas find slowest. */
const BODIES: readonly string[] = [
  '',
  'null',
  'true',
  '0',
  '-0',
  '-1',
  '1e400',
  '0.5',
  '9'.repeat(100_000),
  '"x"',
  `"${'x'.repeat(BODY_BYTES_MAX - 2)}"`,
  '[]',
  '{}',
  '[null]',
  '[[],{},"",0]',
  '{"method":null,"params":null}',
  '{"method":7,"params":{}}',
  '{"method":["test.echo"],"params":{"text":"x"}}',
  '{"method":"test.echo"}',
  '{"method":"test.echo","params":null}',
  '{"method":"test.echo","params":[]}',
  '{"method":"test.echo","params":{"text":{"toString":"x"}}}',
  '{"method":"test.echo","params":{"__proto__":{"text":"x"}}}',
  '{"method":"test.echo","params":{"text":"a","text":"b"}}',
  '{"method":"test.echo","method":"nobody","params":{"text":"b"}}',
  '{"method":"__proto__","params":{}}',
  '{"method":"constructor","params":{}}',
  '{"__proto__":{"method":"test.echo","params":{"text":"x"}}}',
  `{"method":"${'m'.repeat(500_000)}","params":{}}`,
  '{"method":"tools.call","params":{"tool":"__proto__","input":{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}}}',
  '{"code":"busy","message":"x","retryAfterMs":-5}',
  '{"code":"nonsense","message":"x"}',
  `{"code":"internal","message":"${'m'.repeat(10_000)}"}`,
  '{"message":{"message":"x"}}',
  '\ufeff{}',
  '\u0000',
  '{"text":"\\ud800"}',
  '{"text":"x"',
  "{'text':'x'}",
  '['.repeat(BODY_BYTES_MAX),
  '['.repeat(500_000) + ']'.repeat(500_000),
  `${'{"a":'.repeat(150_000)}1${'}'.repeat(140_000)}`,
  `[${'1,'.repeat(500_000)}1]`,
  `{"method":"test.numbers","params":[${'"x",'.repeat(20_000)}1]}`,
  `{"method":"tools.call","params":{"tool":"x","input":{${wide(32_000)}}}}`,
  `{"method":"tools.list","params":{${wide(32_000)}}}`,
  `{${wide(90_000)}}`,
  `{${'"a":1,'.repeat(32_000)}"a":2}`,
  // Just under the number of values that are looked at, and just over it.
  `[${'0,'.repeat(BODY_VALUES_MAX - 3)}0]`,
  `[${'0,'.repeat(BODY_VALUES_MAX)}0]`,
  `[${'{},'.repeat(16_000)}{}]`,
];

function wide(members: number): string {
  return Array.from({ length: members }, (_, index) => `"k${index}":1`).join(',');
}

function serveAll(node: TestNode): { ran: number } {
  const state = { ran: 0 };
  node.router.serve(echo, ({ text }) => {
    state.ran += 1;
    if (typeof text !== 'string') throw new TypeError('a handler saw what its schema does not allow');
    return { text };
  });
  node.router.serve(numbers, (list) => ({ sum: list.reduce((sum, item) => sum + item, 0) }));
  node.router.serve(toolsList, () => ({ tools: [] }));
  node.router.serve(toolsChanged, () => ({}));
  node.router.serve(toolsCall, ({ input }) => {
    if (Object.getPrototypeOf(input) !== Object.prototype && Object.getPrototypeOf(input) !== null) {
      throw new TypeError('the prototype of an input was set from outside');
    }
    return { output: null };
  });
  return state;
}

test('every type of message with every kind of body: no crash, no stall over 50 ms, and others are answered', {
  timeout: 120_000,
}, async () => {
  await using network = new TestNetwork();
  const [bob, alice] = [network.add('bob'), network.add('alice')];
  serveAll(bob);
  const friend = await alice.dial(bob);
  // The best of three: what the work takes, not what else this machine does meanwhile. The first round is for the compiler.
  const bestMs = new Map<string, number>();
  for (const round of [0, 1, 2, 3]) {
    const timed = new Timed();
    let rogue = await dialAsRogue(bob.mesh, (far) => timed.through(far));
    for (const type of TYPES) {
      for (const body of BODIES) {
        if (!rogue.link.isOpen) rogue = await dialAsRogue(bob.mesh, (far) => timed.through(far));
        timed.worstMs = 0;
        rogue.say(type, body, { call: type === MESSAGE_TYPE.request ? 1 : 3 });
        await turns(2);
        const name = `${type} ${body.slice(0, 60)} ${body.length}`;
        if (round > 0) bestMs.set(name, Math.min(timed.worstMs, bestMs.get(name) ?? Number.POSITIVE_INFINITY));
      }
      expect(await friend.call(echo, { text: 'still there?' })).toEqual({ text: 'still there?' });
    }
  }
  expect(bob.internalErrors).toEqual([]);
  expect(bestMs.size).toBe(TYPES.length * BODIES.length);
  expect([...bestMs].filter(([, ms]) => ms > 50)).toEqual([]);
  measured('fuzz', { counts: { frames: 4 * bestMs.size }, peaks: { stallMs: Math.max(...bestMs.values()) } });
  expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
});

test(`${RANDOM_MESSAGES} messages put together at random: each request is answered or ends the session, and memory stays`, {
  timeout: sizedTimeout({ ci: 120_000, full: 7_200_000 }),
}, async () => {
  await using network = new TestNetwork();
  const [bob, alice] = [network.add('bob'), network.add('alice')];
  serveAll(bob);
  const friend = await alice.dial(bob);
  const random = seeded(7);
  const before = process.memoryUsage().rss;
  const small = BODIES.filter((body) => body.length < 1_000);
  let sent = 0;
  let sessions = 0;
  while (sent < RANDOM_MESSAGES) {
    const rogue = await dialAsRogue(bob.mesh);
    sessions += 1;
    const asked: number[] = [];
    while (rogue.link.isOpen && sent < RANDOM_MESSAGES) {
      const type = pick(random, TYPES);
      const call = type === MESSAGE_TYPE.request ? sent + 1 : Math.floor(random() * 2 ** 53);
      rogue.say(type, compose(random, small), { call, priority: pick(random, ['control', 'interactive', 'bulk'] as const) });
      if (type === MESSAGE_TYPE.request) asked.push(call);
      sent += 1;
      if (sent % 20 === 0) await turns(1);
    }
    await turns(2);
    if (rogue.link.isOpen) await Promise.all(asked.map((call) => rogue.answer(call)));
    rogue.link.close('the round is over');
    bob.forget();
  }
  expect(await friend.call(echo, { text: 'x' })).toEqual({ text: 'x' });
  expect(bob.internalErrors).toEqual([]);
  expect(sessions).toBeGreaterThan(100);
  const growth = process.memoryUsage().rss - before;
  expect(growth).toBeLessThan(256 * MIB);
  measured('fuzz', { counts: { frames: sent, sessions }, peaks: { growthMiB: growth / MIB } });
});

test('junk where a body must be a number or a reason ends the session and nothing else', async () => {
  for (const [type, body] of [
    [MESSAGE_TYPE.credit, '-1'],
    [MESSAGE_TYPE.credit, '1.5'],
    [MESSAGE_TYPE.credit, '"1"'],
    [MESSAGE_TYPE.credit, `[${'1,'.repeat(400_000)}1]`],
    [MESSAGE_TYPE.ping, '-1'],
    [MESSAGE_TYPE.ping, '1e9'],
    [MESSAGE_TYPE.goodbye, '{}'],
  ] as const) {
    await using network = new TestNetwork();
    const bob = network.add('bob');
    const rogue = await dialAsRogue(bob.mesh);
    rogue.say(type, body, { call: 1 });
    expect(await rogue.closed, `${type} ${body.slice(0, 20)}`).toBeTruthy();
    expect(bob.mesh.peers.size).toBe(0);
  }
});

test('what a schema has against 20,000 things is told in a few words, and the session goes on', async () => {
  await using network = new TestNetwork();
  const [bob, alice] = [network.add('bob'), network.add('alice')];
  serveAll(bob);
  const peer = await alice.dial(bob);
  const error = await rejection(peer.call(numbers, Array(20_000).fill('x')));
  expect(error).toMatchObject({ code: 'invalid', message: expect.stringContaining('test.numbers') });
  expect(error.message.length).toBeLessThan(2_500);
  expect(peer.isOpen).toBe(true);
});

test('an error of any length reaches the caller with its code', async () => {
  await using network = new TestNetwork();
  const [bob, alice] = [network.add('bob'), network.add('alice')];
  bob.router.serve(echo, ({ text }) => {
    throw new SkeinError('No such file: '.repeat(Number(text)), { code: 'not-found' });
  });
  const peer = await alice.dial(bob);
  for (const length of ['1', '1000', '200000']) {
    expect(await rejection(peer.call(echo, { text: length }))).toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('No such file'),
    });
  }
});

test('a body of more values than the bound is refused in a request, and as an answer', async () => {
  await using network = new TestNetwork();
  const [bob, alice] = [network.add('bob'), network.add('alice')];
  const many = defineMethod({ ...numbers, name: 'test.many', result: z.unknown() });
  let ran = 0;
  bob.router.serve(many, () => {
    ran += 1;
    return [];
  });
  const peer = await alice.dial(bob);
  const list = Array(BODY_VALUES_MAX + 1).fill(1);
  expect(await rejection(peer.call(many, list))).toMatchObject({ code: 'invalid' });
  expect(ran, 'it was refused before its handler').toBe(0);
  const rogue = await dialAsRogue(alice.mesh);
  rogue.say(MESSAGE_TYPE.ping, 'null');
  const { peer: bad } = await alice.event('peer-joined', ({ peer: { id } }) => id === rogue.identity.id);
  const call = rejection(bad.call(many, []));
  const request = await rogue.until(() => rogue.heard.find(({ header }) => header.type === MESSAGE_TYPE.request));
  rogue.say(MESSAGE_TYPE.result, JSON.stringify(list), { call: request.header.call });
  expect(await call).toMatchObject({ code: 'invalid', message: expect.stringContaining('values') });
  expect([peer.isOpen, bad.isOpen]).toEqual([true, true]);
});

test('two publications at once are both worked on, and both stopped when their peer leaves', async () => {
  await using network = new TestNetwork();
  const [bob, alice] = [network.add('bob'), network.add('alice')];
  const seen: string[] = [];
  const signals: AbortSignal[] = [];
  const both = Promise.withResolvers<void>();
  bob.router.serve(echo, ({ text }, { signal }) => {
    signals.push(signal);
    if (seen.push(text) === 2) both.resolve();
    return new Promise(() => {});
  });
  const peer = await alice.dial(bob);
  peer.publish(echo, { text: 'one' });
  peer.publish(echo, { text: 'two' });
  await both.promise;
  expect(seen).toEqual(['one', 'two']);
  await turns(5);
  expect(peer.isOpen).toBe(true);
  bob.mesh.drop(alice.identity.id, 'it was revoked');
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
});

test('what stands behind a goodbye in the same frame is not worked on', async () => {
  await using network = new TestNetwork();
  const bob = network.add('bob');
  const state = serveAll(bob);
  const rogue = await dialAsRogue(bob.mesh);
  rogue.say(MESSAGE_TYPE.goodbye, '{"code":"unavailable","message":"bye"}', { priority: 'control' });
  rogue.say(MESSAGE_TYPE.request, '{"method":"test.echo","params":{"text":"x"}}');
  await rogue.closed;
  expect(state.ran).toBe(0);
  expect((await bob.event('peer-left')).reason).toContain('bye');
});

test('a call number under way already is refused, and the first call is not disturbed', async () => {
  await using network = new TestNetwork();
  const bob = network.add('bob');
  const gate = Promise.withResolvers<void>();
  bob.router.serve(echo, async ({ text }) => {
    await gate.promise;
    return { text };
  });
  const rogue = await dialAsRogue(bob.mesh);
  const body = (text: string) => JSON.stringify({ method: 'test.echo', params: { text } });
  rogue.say(MESSAGE_TYPE.request, body('first'), { call: 9 });
  rogue.say(MESSAGE_TYPE.request, body('second'), { call: 9 });
  expect(JSON.parse((await rogue.answer(9)).body)).toMatchObject({ code: 'conflict' });
  rogue.heard.length = 0;
  gate.resolve();
  expect((await rogue.answer(9)).body).toBe('{"text":"first"}');
});

test('a callee that ignores its credit is stopped, and takes no memory of a caller that is slow to take', async () => {
  await using network = new TestNetwork();
  const alice = network.add('alice');
  const rogue = await dialAsRogue(alice.mesh);
  rogue.say(MESSAGE_TYPE.ping, 'null');
  const { peer } = await alice.event('peer-joined');
  const call = rejection(peer.call(echo, { text: '' }, { onPart: () => new Promise(() => {}) }));
  const request = await rogue.until(() => rogue.heard.find(({ header }) => header.type === MESSAGE_TYPE.request));
  const part = JSON.stringify({ text: 'x'.repeat(100_000) });
  let sent = 0;
  const stopped = () => rogue.heard.some(({ header }) => header.type === MESSAGE_TYPE.cancel);
  while (!stopped() && sent < 50 * MIB) {
    rogue.say(MESSAGE_TYPE.part, part, { call: request.header.call });
    sent += part.length;
    await turns(3);
  }
  expect(await call).toMatchObject({ code: 'invalid', message: expect.stringContaining('credit') });
  expect(sent).toBeLessThan(4 * MIB);
  expect(peer.isOpen).toBe(true);
});

test('a handler that emits without waiting is stopped after two windows, and one that waits twice at once never hangs', async () => {
  await using network = new TestNetwork();
  const [bob, alice] = [network.add('bob'), network.add('alice')];
  const chunk = { text: 'x'.repeat(32 * 1024) };
  bob.router.serve(echo, async ({ text }, context) => {
    if (text === 'careless') {
      for (let count = 0; count < 1_000; count += 1) void context.emit(chunk).catch(() => {});
      await context.emit(chunk);
    }
    const both = async () => {
      for (let count = 0; count < 40; count += 1) await context.emit(chunk);
    };
    await Promise.all([both(), both()]);
    return { text: 'done' };
  });
  const peer = await alice.dial(bob);
  let got = 0;
  const onPart = ({ text }: { readonly text: string }) => {
    got += text.length;
  };
  expect((await rejection(peer.call(echo, { text: 'careless' }, { onPart }))).code).toBe('busy');
  expect(got).toBeLessThan(3 * CREDIT_BYTES);
  got = 0;
  expect(await peer.call(echo, { text: 'careful' }, { onPart })).toEqual({ text: 'done' });
  expect(got).toBe(80 * chunk.text.length);
});

test('a call that is stopped while nothing more fits into the queue ends by itself, quietly', async () => {
  await using network = new TestNetwork();
  const bob = network.add('bob');
  const stop = new AbortController();
  const calls = await fillQueue(network, bob, stop.signal);
  stop.abort();
  const codes = new Set(await Promise.all(calls));
  expect([...codes].sort()).toEqual(['busy', 'canceled']);
});

/** Calls to a peer that takes nothing, with the queue to it filled to the last place; each ends with its error's code. */
async function fillQueue(network: TestNetwork, bob: TestNode, signal: AbortSignal): Promise<readonly Promise<string>[]> {
  const alice = network.add('alice', { through: (pipes) => takingOnly(3, pipes) });
  const peer = await alice.dial(bob);
  const calls = Array.from({ length: 17_000 }, () => rejection(peer.call(echo, { text: 'x' }, { signal })));
  await turns(2);
  expect(() => {
    for (let more = 0; more < 1_000; more += 1) peer.publish(echo, { text: 'x' });
  }).toThrow(expect.objectContaining({ code: 'busy' }));
  return calls.map(async (call) => (await call).code);
}

/** A way out that takes so many records and then none. */
function takingOnly(records: number, transport: Transport): Transport {
  return {
    schemes: transport.schemes,
    async dial(url, options) {
      const connection = await transport.dial(url, options);
      const send = connection.send.bind(connection);
      let sent = 0;
      connection.send = (record) => (++sent <= records ? send(record) : false);
      return connection;
    },
  };
}

function compose(random: () => number, bodies: readonly string[]): string {
  const kind = random();
  if (kind < 0.3) return pick(random, bodies);
  const method = pick(random, ['test.echo', 'test.numbers', 'tools.list', 'tools.call', 'tools.changed', 'nobody.home', '']);
  if (kind < 0.8) return `{"method":${JSON.stringify(method)},"params":${value(random, 4)}}`;
  return value(random, 5);
}

/** Text that is nearly always JSON, of any shape. */
function value(random: () => number, levels: number): string {
  const names = [
    'text',
    'tool',
    'input',
    'message',
    'code',
    'method',
    'params',
    '__proto__',
    'constructor',
    'length',
    'then',
    '',
  ];
  const kind = levels === 0 ? Math.floor(random() * 6) : Math.floor(random() * 9);
  const many = Math.floor(random() * 4);
  switch (kind) {
    case 0:
      return 'null';
    case 1:
      return pick(random, ['true', 'false']);
    case 2:
      return pick(random, ['0', '-1', '1e308', '1e999', '0.1', '9007199254740993', '-0']);
    case 3:
      return JSON.stringify(pick(random, ['', 'x', '\u0000', 'Ω', 'busy', 'not-found', '../../etc', 'x'.repeat(200)]));
    case 4:
      return pick(random, ['"\\ud800"', '"\\u0000"', '{"a":1,"a":2}', 'NaN', 'undefined', '01', '[1,]']);
    case 5:
      return '[]';
    case 6:
      return `[${Array.from({ length: many }, () => value(random, levels - 1)).join(',')}]`;
    default:
      return `{${Array.from({ length: many }, () => `${JSON.stringify(pick(random, names))}:${value(random, levels - 1)}`).join(',')}}`;
  }
}

function pick<T>(random: () => number, items: readonly T[]): T {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error('nothing to pick from');
  return item;
}

/** Numbers from 0 to 1 that are the same for the same seed. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}
