import { measured, sized, sizedTimeout } from '@skein/testing';
import { expect, test } from 'vitest';
import { CONTENDERS, findContender } from './contenders.ts';
import { type Measured, QUICK_PACE } from './figure.ts';
import { memorySpread } from './figures/memory.ts';
import { networks } from './figures/networks.ts';
import { durableTasks } from './figures/tasks.ts';
import { measureCalls, median, quantile } from './measure.ts';
import { startPair } from './pair.ts';
import { createPayload, PAYLOAD_BYTES } from './payload.ts';
import { Places } from './places.ts';
import { formatReport, rowOf } from './report.ts';
import { measureIdlePeers } from './sessions.ts';

test('an argument has exactly the stated size', () => {
  for (const number of [0, 7, 999, 12_345]) {
    expect(Buffer.byteLength(JSON.stringify(createPayload(number)))).toBe(PAYLOAD_BYTES);
  }
});

test('medians and quantiles are those of the sorted values', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(quantile([1, 2, 3, 4], 0.99)).toBe(4);
  expect(median([])).toBeNaN();
});

test('calls are kept in flight at the stated number, and counted', async () => {
  let now = 0;
  let most = 0;
  let calls = 0;
  const caller = {
    async call(argument: ReturnType<typeof createPayload>) {
      calls += 1;
      now += 1;
      most = Math.max(most, now);
      await new Promise(setImmediate);
      now -= 1;
      return argument;
    },
    async [Symbol.asyncDispose]() {},
  };
  const { callsPerSecond, p50Us, p99Us } = await measureCalls(caller, { inFlight: 5, durationMs: 50 });
  expect(most).toBe(5);
  expect(callsPerSecond).toBeLessThanOrEqual(calls / 0.05);
  expect(p99Us).toBeGreaterThanOrEqual(p50Us);
});

test('an answer that is not the argument fails the run', async () => {
  const caller = { call: async () => createPayload(1), async [Symbol.asyncDispose]() {} };
  const wrong = { ...caller, call: async () => ({ ...createPayload(1), text: 'other' }) };
  await expect(measureCalls(wrong, { inFlight: 1, durationMs: 10 })).rejects.toThrow('not its argument');
});

test.for(CONTENDERS.map((contender) => contender.name))('%s answers calls between two processes', async (name, { skip }) => {
  const contender = findContender(name);
  const missing = contender.missing();
  if (missing !== null) skip(missing);
  await using pair = await startPair(contender, []);
  const { callsPerSecond } = await pair.measure({ inFlight: 4, durationMs: 100 });
  expect(callsPerSecond).toBeGreaterThan(10);
});

test('at most the stated number are in at once, the others in line', async () => {
  const places = new Places(2);
  const order: string[] = [];
  const doors = Array.from({ length: 4 }, () => Promise.withResolvers<void>());
  const all = doors.map(({ promise }, place) =>
    places.run(async () => {
      order.push(`in ${place}`);
      await promise;
    }),
  );
  await new Promise(setImmediate);
  expect(order).toEqual(['in 0', 'in 1']);
  doors[1]?.reject(new Error('left'));
  await expect(all[1]).rejects.toThrow('left');
  await new Promise(setImmediate);
  expect(order).toEqual(['in 0', 'in 1', 'in 2']);
  for (const { resolve } of doors) resolve();
  await Promise.allSettled(all);
  expect(order).toHaveLength(4);
});

test('durable tasks are accepted and finished, in a quick run too', { timeout: 120_000 }, async () => {
  const figures = valuesOf(await durableTasks.measure(QUICK_PACE));
  expect(figures).toEqual({
    'tasks accepted': expect.any(Number),
    'task accepted at 1000/s, p50': expect.any(Number),
    'task accepted at 1000/s, p99': expect.any(Number),
    'tasks finished, 4 at once': expect.any(Number),
    'tasks finished, 256 at once': expect.any(Number),
  });
  expect(figures['tasks accepted']).toBeGreaterThan(100);
  expect(figures['tasks finished, 4 at once']).toBeGreaterThan(10);
  expect(figures['task accepted at 1000/s, p99']).toBeGreaterThanOrEqual(figures['task accepted at 1000/s, p50'] ?? 0);
});

test('a fact is seen by four other processes, in a quick run too', { timeout: 120_000 }, async () => {
  const figures = valuesOf(await memorySpread.measure(QUICK_PACE));
  const [p50 = 0, p99 = 0] = Object.values(figures);
  expect(p50).toBeGreaterThan(0);
  expect(p50).toBeLessThan(2_000);
  expect(p99).toBeGreaterThanOrEqual(p50);
});

test('leaders that go are followed, and idle networks cost something, in a quick run too', {
  timeout: sizedTimeout({ ci: 300_000, full: 1_200_000 }),
}, async () => {
  const pace = { ...QUICK_PACE, kills: sized({ ci: 1, full: 20 }), freezes: sized({ ci: 1, full: 3 }) };
  const figures = valuesOf(await networks.measure(pace));
  for (const mode of ['auto', 'quorum']) {
    // A silence is told from a closed socket, and neither is waited for as long as a call's own deadline.
    const closedMs = figures[`failover, ${mode}, worst of ${pace.kills} killed leaders`] ?? Number.NaN;
    const silentMs = figures[`failover, ${mode}, worst of ${pace.freezes} silent leaders`] ?? Number.NaN;
    expect(closedMs).toBeGreaterThan(0);
    expect(closedMs).toBeLessThan(5_000);
    expect(silentMs).toBeGreaterThan(1_000);
    expect(silentMs).toBeLessThan(30_000);
    measured('failover', { counts: { killed: pace.kills, silenced: pace.freezes }, peaks: { closedMs, silentMs } });
  }
  expect(figures[`call whose worker is killed, worst of ${2 * pace.kills}`]).toBeLessThan(5_000);
  for (const count of [3, 5, 8]) {
    expect(figures[`idle mesh of ${count}, sockets a pair`]).toBeGreaterThanOrEqual(1);
    expect(figures[`idle mesh of ${count}, sockets a pair`]).toBeLessThan(2);
    expect(figures[`idle mesh of ${count}, messages a pair`]).toBeGreaterThan(1);
    expect(figures[`idle mesh of ${count}, messages a pair`]).toBeLessThan(100);
    expect(figures[`idle mesh of ${count}, traffic a pair`]).toBeGreaterThan(100);
    expect(figures[`idle mesh of ${count}, CPU a node`]).toBeGreaterThan(0);
    expect(figures[`idle mesh of ${count}, CPU a node`]).toBeLessThan(100);
  }
});

test('a session that is idle costs its node at most 40 KiB', {
  timeout: sizedTimeout({ ci: 30_000, full: 900_000 }),
}, async () => {
  const sessions = sized({ ci: 200, full: 10_000 });
  const kib = await measureIdlePeers(sessions);
  expect(kib).toBeGreaterThan(1);
  // What a few sessions cost is mostly what the memory is divided into.
  if (sessions >= 1_000) expect(kib).toBeLessThan(40);
  measured('sessions', { counts: { sessions }, peaks: { kibEach: kib } });
});

function valuesOf(measured: readonly Measured[]): Record<string, number> {
  for (const { value } of measured) expect(value).not.toBeNaN();
  return Object.fromEntries(measured.map(({ title, value }) => [title, value ?? Number.NaN]));
}

test('a contender that cannot start is told by its name, and nothing stays behind', async () => {
  await expect(startPair({ ...findContender('bare-echo'), name: 'nothing' }, [])).rejects.toThrow('ended with 1');
});

test('the table shows each contender beside the bare echo', () => {
  const measured = { callsPerSecond: 500, p50Us: 2_000, p99Us: 3_000 };
  const text = formatReport({
    node: 'v24',
    cpu: 'some',
    cores: 2,
    roundMs: 1,
    rows: [rowOf({ name: 'a', title: 'A', inFlight: 1, rounds: [measured], ratios: [0.5] })],
    signatures: { signUs: 1, verifyUs: 2 },
    signedFloorUs: 1_000,
    figures: [
      { title: 'start', unit: 'ms', goal: 500, bound: 'at most', value: 12, problem: null },
      { title: 'stop', unit: 'ms', goal: 5, bound: 'at most', value: null, problem: 'it broke' },
    ],
    leftOut: ['b: not here'],
  });
  expect(text).toMatch(/A +500 +0\.50 +2000 +3000 +2\.00/);
  expect(text).toContain('start: 12.0 ms (goal: at most 500 ms)');
  expect(text).toContain('stop: it broke (goal: at most 5 ms)');
  expect(text).toContain('Left out: b: not here');
});
