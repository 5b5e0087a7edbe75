import { expect, test } from 'vitest';
import { CONTENDERS, findContender } from './contenders.ts';
import { measureCalls, median, quantile } from './measure.ts';
import { startPair } from './pair.ts';
import { createPayload, PAYLOAD_BYTES } from './payload.ts';
import { formatReport, rowOf } from './report.ts';

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
      { title: 'start', unit: 'ms', goal: 500, value: 12, problem: null },
      { title: 'stop', unit: 'ms', goal: 5, value: null, problem: 'it broke' },
    ],
    leftOut: ['b: not here'],
  });
  expect(text).toMatch(/A +500 +0\.50 +2000 +3000 +2\.00/);
  expect(text).toContain('start: 12.0 ms (goal: at most 500 ms)');
  expect(text).toContain('stop: it broke (goal: at most 5 ms)');
  expect(text).toContain('Left out: b: not here');
});
