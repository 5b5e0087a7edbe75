import { BODY_BYTES_MAX, BODY_VALUES_MAX, CREDIT_BYTES, defineMethod, SkeinError } from '@skein/protocol';
import { meddleWith, rejection, TestNetwork, turns, VirtualClock } from '@skein/testing';
import { expect, test } from 'vitest';
import { z } from 'zod';
import type { CallContext } from '../src/index.ts';
import { echo } from './methods.ts';

test('a call reaches the peer under its proven name and its answer comes back', async () => {
  await using network = new TestNetwork();
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  bob.router.serve(echo, ({ text }, { peer }) => ({ text: `${peer.name} ${peer.id === alice.identity.id} ${text}` }));
  const peer = await alice.dial(bob);
  expect(peer.id).toBe(bob.identity.id);
  expect(await peer.call(echo, { text: 'hello' })).toEqual({ text: 'alice true hello' });
});

test('a thousand calls at once each get their own answer', async () => {
  await using network = new TestNetwork();
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  bob.router.serve(echo, async ({ text }) => {
    await turns(Number(text) % 5);
    return { text };
  });
  const peer = await alice.dial(bob);
  const texts = Array.from({ length: 1_000 }, (_, index) => String(index));
  const answers = await Promise.all(texts.map((text) => peer.call(echo, { text })));
  expect(answers.map(({ text }) => text)).toEqual(texts);
});

test('both sides may call over the one session', async () => {
  await using network = new TestNetwork();
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  for (const node of [alice, bob]) node.router.serve(echo, ({ text }) => ({ text: `${node.name}: ${text}` }));
  const toBob = await alice.dial(bob);
  const { peer: toAlice } = await bob.event('peer-joined');
  const answers = await Promise.all([toBob.call(echo, { text: 'x' }), toAlice.call(echo, { text: 'y' })]);
  expect(answers).toEqual([{ text: 'bob: x' }, { text: 'alice: y' }]);
});

test('parts come in order and before the result, however slowly they are taken', async () => {
  await using network = new TestNetwork();
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  bob.router.serve(echo, async ({ text }, context) => {
    for (const letter of text) await context.emit({ text: letter });
    return { text: 'done' };
  });
  const peer = await alice.dial(bob);
  const got: string[] = [];
  const onPart = async ({ text }: { readonly text: string }) => {
    await turns(1);
    got.push(text);
  };
  const result = await peer.call(echo, { text: 'abcdef' }, { onPart });
  expect([...got, result.text]).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'done']);
});

test('a peer that wants to be asked again at once, or in a year, is heeded within bounds', async () => {
  await using network = new TestNetwork();
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  bob.router.serve(echo, ({ text }) => {
    throw new SkeinError('full', { code: 'busy', retryAfterMs: Number(text) });
  });
  const peer = await alice.dial(bob);
  const waits = [];
  for (const text of ['0', '250', '31536000000']) waits.push((await rejection(peer.call(echo, { text }))).retryAfterMs);
  expect(waits).toEqual([100, 250, 3_600_000]);
});

test('an answer that is wrong in very many places is refused with the first of them', async () => {
  await using network = new TestNetwork();
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  const parts = { name: 'test.list', grant: 'tools', params: z.object({}), idempotent: true } as const;
  bob.router.serve(defineMethod({ ...parts, result: z.array(z.number()) }), () =>
    Array.from({ length: BODY_VALUES_MAX - 2 }, () => 1),
  );
  const peer = await alice.dial(bob);
  const error = await rejection(peer.call(defineMethod({ ...parts, result: z.array(z.string()) }), {}));
  expect(error).toMatchObject({ code: 'invalid', message: expect.stringContaining('does not fit') });
  expect(error.message.length).toBeLessThan(2_000);
});

test.each(['stops', 'is left'])('a caller that %s is given no part that was still to be taken', async (what) => {
  await using network = new TestNetwork();
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  bob.router.serve(echo, async ({ text }, context) => {
    for (const letter of text) await context.emit({ text: letter });
    return { text: 'done' };
  });
  const peer = await alice.dial(bob);
  const gate = Promise.withResolvers<void>();
  const stop = new AbortController();
  const got: string[] = [];
  const onPart = async ({ text }: { readonly text: string }) => {
    got.push(text);
    await gate.promise;
  };
  const call = rejection(peer.call(echo, { text: 'abcdef' }, { onPart, signal: stop.signal }));
  await turns(50);
  if (what === 'stops') stop.abort();
  else bob.mesh.drop(alice.identity.id, 'it goes');
  await call;
  gate.resolve();
  await turns(50);
  expect(got).toEqual(['a']);
});

test('a caller that does not take parts stops the callee after one window of credit', async () => {
  await using network = new TestNetwork();
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  const chunk = 'x'.repeat(16 * 1024);
  let emitted = 0;
  bob.router.serve(echo, async (_params, context) => {
    for (; emitted < 1_000; emitted += 1) await context.emit({ text: chunk });
    return { text: 'done' };
  });
  const peer = await alice.dial(bob);
  const gate = Promise.withResolvers<void>();
  const call = peer.call(echo, { text: '' }, { onPart: () => gate.promise });
  await turns(300);
  expect(emitted).toBeLessThanOrEqual(Math.ceil(CREDIT_BYTES / chunk.length) + 1);
  gate.resolve();
  expect(await call).toEqual({ text: 'done' });
  expect(emitted).toBe(1_000);
});

test('a caller that stops is rejected at once and the work over there is told', async () => {
  await using network = new TestNetwork();
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  const started = Promise.withResolvers<CallContext>();
  bob.router.serve(echo, (_params, context) => {
    started.resolve(context);
    return new Promise(() => {});
  });
  const peer = await alice.dial(bob);
  const stop = new AbortController();
  const call = rejection(peer.call(echo, { text: '' }, { signal: stop.signal }));
  const { signal } = await started.promise;
  const stopped = new Promise((resolve) => signal.addEventListener('abort', resolve));
  stop.abort();
  expect((await call).code).toBe('canceled');
  await stopped;
  expect(SkeinError.from(signal.reason).code).toBe('canceled');
});

test('a call stopped in the turn it was made never outlives its cancel', async () => {
  await using network = new TestNetwork();
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  const contexts: CallContext[] = [];
  bob.router.serve(echo, (_params, context) => {
    contexts.push(context);
    return new Promise(() => {});
  });
  const peer = await alice.dial(bob);
  const stop = new AbortController();
  const call = rejection(peer.call(echo, { text: '' }, { signal: stop.signal }));
  stop.abort();
  expect((await call).code).toBe('canceled');
  await turns(20);
  expect(contexts.every(({ signal }) => signal.aborted)).toBe(true);
});

test('a call ends at its deadline on both sides', async () => {
  await using network = new TestNetwork();
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  const ended = Promise.withResolvers<unknown>();
  bob.router.serve(echo, (_params, { signal }) => {
    signal.addEventListener('abort', () => ended.resolve(signal.reason));
    return new Promise(() => {});
  });
  const peer = await alice.dial(bob);
  expect((await rejection(peer.call(echo, { text: '' }, { timeoutMs: 30 }))).code).toBe('deadline-exceeded');
  await ended.promise;
});

test('what its sender gives no time for ends after a minute all the same', async () => {
  const clock = new VirtualClock();
  await using network = new TestNetwork(clock);
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  const started = Promise.withResolvers<CallContext>();
  bob.router.serve(echo, (_params, context) => {
    started.resolve(context);
    return new Promise(() => {});
  });
  const peer = await alice.dial(bob);
  peer.publish(echo, { text: '' });
  const { signal } = await started.promise;
  await clock.advance(59_000);
  expect(signal.aborted).toBe(false);
  await clock.advance(1_000);
  expect(SkeinError.from(signal.reason)).toMatchObject({
    code: 'deadline-exceeded',
    message: 'test.echo took longer than 60000 ms, and its caller gave it no time',
  });
  expect(peer.isOpen).toBe(true);
});

test('a call may take no longer than its callee gives it, whatever time its caller does', async () => {
  const clock = new VirtualClock();
  await using network = new TestNetwork(clock);
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  const signals: AbortSignal[] = [];
  bob.router.serve(
    echo,
    (_params, { signal }) => {
      signals.push(signal);
      return new Promise(() => {});
    },
    { limit: { timeoutMs: () => 2_000, setting: 'some.setting' } },
  );
  const peer = await alice.dial(bob);
  const long = rejection(peer.call(echo, { text: '' }, { timeoutMs: 600_000 }));
  const short = rejection(peer.call(echo, { text: '' }, { timeoutMs: 1_000 }));
  await turns(20);
  await clock.advance(1_000);
  expect((await short).message).not.toContain('some.setting');
  expect(signals.map(({ aborted }) => aborted)).toEqual([false, true]);
  await clock.advance(1_000);
  expect(await long).toMatchObject({
    code: 'deadline-exceeded',
    message: 'test.echo took longer than the 2000 ms it may take here (some.setting)',
  });
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
});

test('an error keeps its code and words; one that is the peer’s own fault keeps its words to itself', async () => {
  await using network = new TestNetwork();
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  bob.router.serve(echo, ({ text }) => {
    if (text === 'known') throw new SkeinError('There is no such file', { code: 'not-found' });
    throw new TypeError('secret path /home/bob');
  });
  const peer = await alice.dial(bob);
  expect(await rejection(peer.call(echo, { text: 'known' }))).toMatchObject({
    code: 'not-found',
    message: 'There is no such file',
  });
  const inner = await rejection(peer.call(echo, { text: 'unknown' }));
  expect(inner.code).toBe('internal');
  expect(inner.message).not.toContain('secret');
  expect(bob.internalErrors.map(({ message }) => message)).toEqual(['secret path /home/bob']);
});

test('a method nobody serves and parameters that do not fit are refused by name', async () => {
  await using network = new TestNetwork();
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  const peer = await alice.dial(bob);
  expect(await rejection(peer.call(echo, { text: '' }))).toMatchObject({
    code: 'not-found',
    message: expect.stringContaining('test.echo'),
  });
  let ran = false;
  bob.router.serve(echo, () => {
    ran = true;
    return { text: '' };
  });
  // @ts-expect-error The compiler would not let this out; another implementation might.
  expect(await rejection(peer.call(echo, { text: 7 }))).toMatchObject({
    code: 'invalid',
    message: expect.stringContaining('text'),
  });
  expect(ran).toBe(false);
});

test('a result that does not fit the method is the peer’s failure, not an answer', async () => {
  await using network = new TestNetwork();
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  // @ts-expect-error A peer may answer anything.
  bob.router.serve(echo, () => ({ text: 7 }));
  const peer = await alice.dial(bob);
  expect(await rejection(peer.call(echo, { text: '' }))).toMatchObject({
    code: 'invalid',
    message: expect.stringContaining('bob'),
  });
});

test('a handler that answers with what JSON cannot hold fails by itself', async () => {
  await using network = new TestNetwork();
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  const loop: { text: string; self?: unknown } = { text: 'x' };
  loop.self = loop;
  bob.router.serve(echo, () => loop);
  const peer = await alice.dial(bob);
  expect((await rejection(peer.call(echo, { text: '' }))).code).toBe('internal');
  expect(peer.isOpen).toBe(true);
});

test('a body above the bound is refused where it is made, in both directions', async () => {
  await using network = new TestNetwork();
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  bob.router.serve(echo, () => ({ text: 'x'.repeat(BODY_BYTES_MAX) }));
  const peer = await alice.dial(bob);
  expect((await rejection(peer.call(echo, { text: 'x'.repeat(BODY_BYTES_MAX) }))).code).toBe('too-large');
  expect((await rejection(peer.call(echo, { text: '' }))).code).toBe('too-large');
  expect(peer.isOpen).toBe(true);
});

test.each([
  ['nested deeper than 32 levels', 32, 1],
  ['of more than 32768 values', 1, BODY_VALUES_MAX],
])('an answer or a part %s is refused where it is made, by that name', async (why, levels, values) => {
  await using network = new TestNetwork();
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  const shapes = z.object({ levels: z.number(), values: z.number() });
  const loose = defineMethod({ name: 'test.shape', grant: 'tools', params: shapes, result: z.unknown(), idempotent: true });
  const inParts = defineMethod({ ...loose, name: 'test.parts', part: z.unknown() });
  // One level more than asked for, and one value more for each level.
  const shaped = ({ levels, values }: z.infer<typeof shapes>) => {
    let shape: unknown = Array(values).fill('[[[[');
    for (let level = 1; level < levels; level += 1) shape = [shape];
    return { shape };
  };
  bob.router.serve(loose, shaped);
  bob.router.serve(inParts, async (shape, context) => {
    await context.emit(shaped(shape));
    return 'done';
  });
  const peer = await alice.dial(bob);
  for (const method of [loose, inParts]) {
    const error = await rejection(peer.call(method, { levels, values }, { onPart: () => undefined }));
    expect(error).toMatchObject({ code: 'too-large', message: expect.stringContaining(why) });
    const most = levels > 1 ? { levels: levels - 1, values } : { levels, values: values - 2 };
    await peer.call(method, most, { onPart: () => undefined });
  }
  expect(peer.isOpen).toBe(true);
});

test('nesting deeper than 32 is refused before any handler sees it', async () => {
  await using network = new TestNetwork();
  const [alice, bob] = [network.add('alice'), network.add('bob')];
  let ran = 0;
  const loose = { ...echo, name: 'test.loose', params: z.unknown() };
  bob.router.serve(loose, () => {
    ran += 1;
    return { text: '' };
  });
  const peer = await alice.dial(bob);
  const nested = (levels: number) => JSON.parse(`${'['.repeat(levels)}${']'.repeat(levels)}`);
  expect((await rejection(peer.call(loose, nested(1_000)))).code).toBe('invalid');
  await peer.call(loose, nested(31));
  expect(ran).toBe(1);
});

test('over its rate a peer is told when to come back, and nothing is dropped silently', async () => {
  await using network = new TestNetwork();
  const [alice, bob] = [network.add('alice'), network.add('bob', { limits: { maxMessagesPerSecond: 50 } })];
  bob.router.serve(echo, ({ text }) => ({ text }));
  const peer = await alice.dial(bob);
  const outcomes = await Promise.allSettled(Array.from({ length: 200 }, () => peer.call(echo, { text: 'x' })));
  const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [SkeinError.from(outcome.reason)] : []));
  expect(outcomes.length - refused.length).toBeGreaterThanOrEqual(50);
  expect(refused.length).toBeGreaterThan(100);
  expect(refused.every(({ code, retryAfterMs }) => code === 'busy' && (retryAfterMs ?? 0) > 0)).toBe(true);
});

test('over its share of work a peer is refused; handlers that ignore their cancel still count', async () => {
  await using network = new TestNetwork();
  const [alice, bob] = [network.add('alice'), network.add('bob', { limits: { maxConcurrentCalls: 3 } })];
  bob.router.serve(echo, () => new Promise(() => {}));
  const peer = await alice.dial(bob);
  const stop = new AbortController();
  const calls = [1, 2, 3].map(() => rejection(peer.call(echo, { text: '' }, { signal: stop.signal })));
  expect((await rejection(peer.call(echo, { text: '' }))).code).toBe('busy');
  stop.abort();
  await Promise.all(calls);
  expect((await rejection(peer.call(echo, { text: '' }))).code).toBe('busy');
});

test('who connects anew has no new burst of messages', async () => {
  const clock = new VirtualClock();
  await using network = new TestNetwork(clock);
  const [alice, bob] = [network.add('alice'), network.add('bob', { limits: { maxMessagesPerSecond: 50 } })];
  bob.router.serve(echo, ({ text }) => ({ text }));
  const first = await alice.dial(bob);
  for (let calls = 0; calls < 50; calls += 1) await first.call(echo, { text: 'x' });
  first.close('to come again');
  await bob.event('peer-left');
  const second = await alice.dial(bob);
  expect(await rejection(second.call(echo, { text: 'x' }))).toMatchObject({
    code: 'busy',
    message: expect.stringContaining('50 messages a second'),
  });
  await clock.advance(1_000);
  expect(await second.call(echo, { text: 'x' })).toEqual({ text: 'x' });
});

test('calls that go on after their session count in the next one, until they end', async () => {
  await using network = new TestNetwork();
  const [alice, bob] = [network.add('alice'), network.add('bob', { limits: { maxConcurrentCalls: 3 } })];
  const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let running = 0;
  bob.router.serve(echo, async ({ text }) => {
    running += 1;
    if (running === 3) begun.resolve();
    await gate.promise;
    return { text };
  });
  const first = await alice.dial(bob);
  const calls = [1, 2, 3].map(() => rejection(first.call(echo, { text: 'deaf' })));
  await begun.promise;
  first.close('to come again');
  await Promise.all([...calls, bob.event('peer-left')]);
  const second = await alice.dial(bob);
  expect((await rejection(second.call(echo, { text: 'x' }, { timeoutMs: 1_000 }))).code).toBe('busy');
  gate.resolve();
  await turns(2);
  expect(await second.call(echo, { text: 'x' })).toEqual({ text: 'x' });
});

test('what waits for one peer is bounded, and the sender is told', async () => {
  await using network = new TestNetwork();
  let open = true;
  const hold = meddleWith(network.pipes, (record) => (open ? [record] : []));
  const [alice, bob] = [network.add('alice', { through: () => hold }), network.add('bob')];
  bob.router.serve(echo, ({ text }) => ({ text }));
  const peer = await alice.dial(bob);
  await peer.call(echo, { text: '' });
  open = false;
  const calls = Array.from({ length: 40 }, () => rejection(peer.call(echo, { text: 'x'.repeat(500_000) })));
  expect((await Promise.race(calls)).code).toBe('busy');
  peer.close('the test is over');
  await Promise.all(calls);
});

test('short of memory a node finishes what it has and takes nothing new, and takes work again after', async () => {
  await using network = new TestNetwork();
  let short = false;
  const [alice, bob] = [network.add('alice'), network.add('bob', { limits: { isShortOfMemory: () => short } })];
  const gate = Promise.withResolvers<void>();
  bob.router.serve(echo, async ({ text }) => {
    if (text === 'slow') await gate.promise;
    return { text };
  });
  const peer = await alice.dial(bob);
  const slow = peer.call(echo, { text: 'slow' });
  await peer.call(echo, { text: 'quick' });
  short = true;
  expect(await rejection(peer.call(echo, { text: 'new' }))).toMatchObject({ code: 'busy', retryAfterMs: 1_000 });
  gate.resolve();
  expect(await slow).toEqual({ text: 'slow' });
  short = false;
  expect(await peer.call(echo, { text: 'again' })).toEqual({ text: 'again' });
});
