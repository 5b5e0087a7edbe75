import { clockShimMissing } from '@skein/testing';
import { describe, expect, test } from 'vitest';
import { ClockedNodes } from './faults/clocks.ts';
import { until } from './faults/skein-node.ts';
import { type Moment, startTaskPair, type TaskPair, untilWilling } from './faults/task-moments.ts';

const HOUR_MS = 3_600_000;
/** What a deadline may be late by on a machine that has other things to do. */
const LATE_MS = 5_000;
const missing = clockShimMissing();

describe.skipIf(missing !== null)(
  `tasks on nodes with clocks that are set meanwhile${missing === null ? '' : ` (${missing})`}`,
  { concurrent: true, timeout: 110_000 },
  () => {
    test('jumps at every moment of a task: all are done at the first attempt, acted once, and stand in order', async () => {
      const nodes = new ClockedNodes();
      await using pair = await startTaskPair({}, nodes);
      const names: string[] = [];
      for (const [who, aheadMs] of [
        ['origin', HOUR_MS],
        ['origin', -HOUR_MS],
        ['worker', -HOUR_MS],
        ['worker', HOUR_MS],
      ] as const) {
        const name = `round${names.length}`;
        names.unshift(name);
        const round = pair.round(name);
        await round.reach();
        nodes.clockOf(pair[who]).set(aheadMs);
        round.begun();
        round.over();
        for (const { moment, told, origin, worker, effects } of await round.ended()) {
          expect(told, moment).toMatchObject({ type: 'answer', text: 'Done.' });
          expect([origin, worker], moment).toMatchObject(Array(2).fill({ state: 'done', attempt: 1 }));
          expect(effects, moment).toBe(1);
          const entries = origin.steps.flatMap(({ event }) => (event.type === 'step' ? event.entries : []));
          expect(
            entries.map(({ message }) => message.role),
            moment,
          ).toEqual(['assistant', 'tool', 'assistant']);
          // What a call took is told by a clock that was not set.
          for (const { ms } of told?.type === 'answer' ? told.toolCalls : []) {
            expect(ms, moment).toBeGreaterThanOrEqual(0);
            expect(ms, moment).toBeLessThan(60_000);
          }
        }
      }
      for (const node of [pair.origin, pair.worker]) {
        const listed = (await node.client.tasks()).map(({ session }) => session.split('-')[0] ?? '');
        expect(listed.filter((name, place) => name !== listed[place - 1])).toEqual(names);
      }
    });

    test('jumps while tasks hang: each ends when the time it was given has passed', async () => {
      const turnTimeoutMs = 12_000;
      const nodes = new ClockedNodes();
      await using pair = await startTaskPair({ turnTimeoutMs }, nodes);
      const round = pair.round('late');
      await round.reach(['announcing', 'thinking']);
      nodes.clockOf(pair.origin).set(HOUR_MS);
      nodes.clockOf(pair.worker).set(-HOUR_MS);
      for (const { moment, told, tookMs, origin } of await round.ended()) {
        expect(told, moment).toMatchObject({ type: 'error', code: 'deadline-exceeded' });
        expect(origin.state, moment).toBe('failed');
        expect(tookMs, moment).toBeGreaterThan(turnTimeoutMs - 100);
        expect(tookMs, moment).toBeLessThan(turnTimeoutMs + LATE_MS);
      }
    });

    test('jumps between a crash and the next start: nothing is lost, and nothing happens twice', async () => {
      const nodes = new ClockedNodes();
      await using pair = await startTaskPair({}, nodes);
      for (const [who, aheadMs] of [
        ['worker', -HOUR_MS],
        ['origin', 2 * HOUR_MS],
        ['origin', -HOUR_MS],
      ] as const) {
        const name = `${who}${aheadMs > 0 ? 'On' : 'Back'}`;
        const round = pair.round(name);
        const moments: readonly Moment[] = ['announcing', 'thinking'];
        await round.reach(moments);
        // Who asks a node that crashes is told nothing by it.
        const told = round.told().catch(() => undefined);
        const seen = pair.origin.events.length;
        await pair[who].kill();
        nodes.clockOf(pair[who]).set(aheadMs);
        if (who === 'worker') {
          // What it had waits for it to come back, and not until some time of a clock.
          await pair.origin.event(({ type }) => type === 'peer-left', seen);
          nodes.clockOf(pair.origin).jump(HOUR_MS);
        }
        await pair[who].start();
        round.begun({ submits: false });
        round.over();
        await untilWilling(pair.origin);
        await until(`all of ${name} have ended`, async () => (await statesOf(pair, name)).every(isOver));
        await told;
        expect(await statesOf(pair, name), name).toEqual(moments.map(() => 'done'));
        for (const moment of moments) expect(round.effects(moment), `${name} ${moment}`).toBe(1);
      }
    });

    test('goes back an hour between a crash and the next start: the time that a task was given is no longer for it', async () => {
      const turnTimeoutMs = 20_000;
      const nodes = new ClockedNodes();
      await using pair = await startTaskPair({ turnTimeoutMs }, nodes);
      const round = pair.round('back');
      const startedMs = performance.now();
      await round.reach(['thinking']);
      const told = round.told().catch(() => undefined);
      await pair.origin.kill();
      nodes.clockOf(pair.origin).set(-HOUR_MS);
      await pair.origin.start();
      await until('it has ended', async () => (await statesOf(pair, 'back')).every(isOver));
      await told;
      expect(await statesOf(pair, 'back')).toEqual(['failed']);
      expect(performance.now() - startedMs).toBeGreaterThan(turnTimeoutMs - 100);
      expect(performance.now() - startedMs).toBeLessThan(turnTimeoutMs + LATE_MS);
    });
  },
);

async function statesOf({ origin }: TaskPair, round: string): Promise<readonly string[]> {
  return (await origin.client.tasks()).flatMap(({ session, state }) => (session.startsWith(`${round}-`) ? [state] : []));
}

function isOver(state: string): boolean {
  return !['queued', 'running', 'forwarded'].includes(state);
}
