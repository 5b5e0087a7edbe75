import { type Clock, systemClock } from '@skein/mesh';
import { toolsList } from '@skein/protocol';
import { clockShimMissing } from '@skein/testing';
import { describe, expect, test } from 'vitest';
import { bareMesh } from './bare-mesh.ts';
import { Clocks } from './faults/clocks.ts';
import { type FaultNode, FaultNodes } from './faults/fault-node.ts';
import { until } from './faults/skein-node.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** What something may be late by on a machine that has other things to do. */
const LATE_MS = 3_000;
/** All that a node's process has seen, whatever its clock said then. */
const EVER = { sinceMs: Number.NEGATIVE_INFINITY };
const CALLS = { tool: 'worker/echo', inFlight: 4, bodyBytes: 300, timeoutMs: 20_000 };
const missing = clockShimMissing();

/** A worker and a boss that dials it, each on a machine with a clock of its own; and a key that the worker trusts. */
async function startPair() {
  await using stack = new AsyncDisposableStack();
  const nodes = stack.use(new FaultNodes());
  const clocks = stack.use(new Clocks(nodes.root));
  const make = (name: string) => nodes.make(name, { env: clocks.env(name) });
  const [worker, boss, other] = [make('worker'), make('boss'), make('other')];
  worker.trusts([boss, { trust: 'tool' }], [other, { trust: 'tool' }]);
  await worker.start();
  boss.trusts([worker, { trust: 'tool', url: worker.url }]);
  await boss.start();
  await boss.event('tools-changed', EVER);
  const kept = stack.move();
  return {
    ...{ worker, boss, other },
    clockOf: (node: FaultNode) => clocks.of(node),
    /** How often either said that the other left. */
    partings: () => worker.count('peer-left', EVER.sinceMs) + boss.count('peer-left', EVER.sinceMs),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

describe.skipIf(missing !== null)(
  `two nodes with clocks that are set while they run${missing === null ? '' : ` (${missing})`}`,
  { concurrent: true, timeout: 110_000 },
  () => {
    test('one jumps in the middle of calls, or is put right bit by bit: they go on, end at their deadline, and no peer is lost', async () => {
      await using pair = await startPair();
      const { worker, boss } = pair;
      for (const node of [worker, boss]) {
        const busy = boss.load({ ...CALLS, durationMs: 4_000, everyMs: 20 });
        for (const aheadMs of [61_000, -61_000, HOUR_MS, -HOUR_MS, 0]) {
          const late = boss.load({ ...CALLS, tool: 'worker/hang', inFlight: 1, durationMs: 1, timeoutMs: 500 });
          pair.clockOf(node).set(aheadMs);
          const { failures, worstFailureMs } = await late;
          expect(failures, `${node.name} ${aheadMs}`).toEqual({ 'deadline-exceeded': 1 });
          expect(worstFailureMs).toBeGreaterThan(495);
          expect(worstFailureMs).toBeLessThan(500 + LATE_MS);
        }
        const { answered, failures } = await busy;
        expect(failures).toEqual({});
        expect(answered).toBeGreaterThan(10);
      }
      pair.clockOf(worker).run(1.1);
      pair.clockOf(boss).run(0.9);
      expect((await boss.load({ ...CALLS, durationMs: 2_000, everyMs: 50 })).failures).toEqual({});
      expect(pair.partings()).toBe(0);
    });

    test('both jump while nothing is said: they stay, one that is dead is found so in time, and an hour apart they meet again', async () => {
      await using pair = await startPair();
      const { worker, boss } = pair;
      // Longer in all than the silence after which a peer counts as dead.
      for (const aheadMs of [HOUR_MS, -HOUR_MS, 61_000, -61_000]) {
        pair.clockOf(worker).set(aheadMs);
        pair.clockOf(boss).set(-aheadMs);
        const sinceMs = performance.now();
        await until('it was silent for a while', () => performance.now() - sinceMs > 4_000);
      }
      expect(pair.partings()).toBe(0);
      const frozenMs = performance.now();
      worker.freeze();
      pair.clockOf(boss).set(HOUR_MS);
      await boss.event('peer-left', EVER);
      // It was heard 13.5 s before at most.
      expect(performance.now() - frozenMs).toBeGreaterThan(900);
      expect(performance.now() - frozenMs).toBeLessThan(15_000 + LATE_MS);
      worker.thaw();
      await until('they have met', () => boss.count('peer-joined', EVER.sinceMs) >= 2);
      await answered(boss);
    });

    test('all clocks of one run too fast, and calls leave no silence: nothing is refused', async () => {
      await using pair = await startPair();
      // So fast that after 28 s a message would be too far ahead, if nobody had measured the clock anew.
      pair.clockOf(pair.worker).drift(1.18);
      const { failures } = await pair.boss.load({ ...CALLS, inFlight: 1, durationMs: 30_000, everyMs: 250 });
      expect(failures).toEqual({});
      expect(pair.partings()).toBe(0);
    });

    test('one starts an hour off, and is then put right: they meet and go on; messages too old or too far ahead are refused all the same', async () => {
      await using pair = await startPair();
      const { worker, boss, other } = pair;
      for (const [node, aheadMs] of [
        [worker, HOUR_MS],
        [boss, -HOUR_MS],
      ] as const) {
        await node.kill();
        pair.clockOf(node).set(aheadMs);
        await node.start();
        await answered(boss);
        const busy = boss.load({ ...CALLS, durationMs: 500 });
        pair.clockOf(node).set(0);
        expect((await busy).failures).toEqual({});
      }
      for (const [shiftMs, aheadMs] of [
        [-61_000, -61_000],
        [-61_000, HOUR_MS],
        [6_000, 6_000],
        [6_000, HOUR_MS],
      ] as const) {
        let itsShiftMs = 0;
        const clock: Clock = { ...systemClock, monotonicMs: () => performance.now() + itsShiftMs };
        await using mesh = bareMesh(other, undefined, clock);
        const peer = await mesh.dial(worker.url, { signal: AbortSignal.timeout(10_000) });
        await peer.call(toolsList, {});
        // Whoever wants old messages taken for new has the clock of their receiver set.
        pair.clockOf(worker).set(aheadMs);
        await peer.call(toolsList, {});
        const before = worker.count('peer-left', EVER.sinceMs);
        itsShiftMs = shiftMs;
        await expect(peer.call(toolsList, {}, { timeoutMs: 10_000 })).rejects.toMatchObject({ code: 'unavailable' });
        await until('it is gone', () => worker.count('peer-left', EVER.sinceMs) > before);
        const reason = expect.stringMatching(/a frame was refused: A message is -?\d+ ms old/);
        expect(worker.last('peer-left')).toMatchObject({ name: 'other', reason });
      }
    });
  },
);

function answered(boss: FaultNode): Promise<void> {
  return until('calls are answered', async () => (await boss.load({ ...CALLS, durationMs: 1 })).answered > 0);
}
