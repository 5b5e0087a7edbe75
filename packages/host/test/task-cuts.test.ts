import { describe, expect, test } from 'vitest';
import { type SkeinNode, until } from './faults/skein-node.ts';
import { type Ended, type Moment, startTaskPair, type TaskPair, untilWilling } from './faults/task-moments.ts';

/** A peer that is silent for so long is taken for dead. */
const DEAD_MS = 15_000;
/** What a deadline may be late by on a machine that has other things to do. */
const LATE_MS = 3_000;

/** What happens between two nodes; what it returns heals it. */
type Fault = (pair: TaskPair) => () => void;

const isDown =
  (way: 'to-target' | 'to-client' | 'both'): Fault =>
  ({ line }) => {
    line.weather = { held: way };
    return () => {
      line.weather = {};
    };
  };
const isStill =
  (who: 'origin' | 'worker'): Fault =>
  (pair) => {
    pair[who].freeze();
    return () => pair[who].thaw();
  };

type States = Readonly<Record<Moment, readonly string[]>>;

const ALL_DONE: States = {
  submitting: ['done'],
  announcing: ['done'],
  acting: ['done'],
  acted: ['done'],
  thinking: ['done'],
  telling: ['done'],
};
/** What nobody knows the end of is a tool that was running when they let go of each other. */
const AS_A_RULE: States = { ...ALL_DONE, acting: ['unknown'], acted: ['unknown'] };

interface LongFault {
  readonly fault: Fault;
  /** Who can say while it lasts that the other has left. */
  readonly sees: readonly ('origin' | 'worker')[];
  /** Where the end is another one than as a rule. */
  readonly ends: Partial<States>;
}

const LONG: Readonly<Record<string, LongFault>> = {
  'a line is down both ways': { fault: isDown('both'), sees: ['origin', 'worker'], ends: {} },
  'a line brings the worker nothing': {
    fault: isDown('to-target'),
    sees: ['origin', 'worker'],
    // It was heard to the end; but whether it was told to go on with what it announced, the origin cannot know.
    ends: { acted: ['done'], announcing: ['unknown'] },
  },
  'a line brings nothing of the worker': { fault: isDown('to-client'), sees: ['origin', 'worker'], ends: {} },
  'the worker is held still': { fault: isStill('worker'), sees: ['origin'], ends: {} },
  'the origin is held still': {
    fault: isStill('origin'),
    sees: ['worker'],
    // What came meanwhile may be read before the session is found to be over.
    ends: { acted: ['done', 'unknown'], announcing: ['done', 'unknown'] },
  },
};

describe.concurrent('tasks at every moment that another node does, when', { timeout: 120_000 }, () => {
  // The longest first: they wait more than they work, and run side by side.
  test('there is silence that ends before anybody lets go: all are done at the first attempt, and acted once', async () => {
    await using pair = await startTaskPair();
    const { origin, worker } = pair;
    const left = watchLeft(origin, worker);
    for (const [name, fault, silentMs] of [
      ['both', isDown('both'), 4_000],
      ['toWorker', isDown('to-target'), 11_000],
      ['toOrigin', isDown('to-client'), 4_000],
      ['workerStill', isStill('worker'), 11_000],
      ['originStill', isStill('origin'), 4_000],
    ] as const) {
      const round = pair.round(name);
      await round.reach();
      const heal = fault(pair);
      const sinceMs = performance.now();
      // One that is held still is asked nothing.
      round.begun({ submits: name !== 'originStill' });
      await until('it was long enough', () => performance.now() - sinceMs > silentMs);
      heal();
      round.over();
      const ended = await round.ended();
      assertAgreed(ended, ALL_DONE);
      for (const { moment, origin: own } of ended) expect(own.attempt, moment).toBe(1);
    }
    expect(left.count()).toBe(0);
  });

  test.for(Object.entries(LONG))(
    '%s: they go on where they were or end as unknown, and acted once',
    async ([, { fault, ...is }]) => {
      await using pair = await startTaskPair();
      const { origin } = pair;
      const round = pair.round('long');
      await round.reach();
      const left = watchLeft(...is.sees.map((who) => pair[who]));
      const sinceMs = performance.now();
      const heal = fault(pair);
      round.begun({ submits: is.sees.includes('origin') });
      await left.all();
      expect(performance.now() - sinceMs).toBeLessThan(DEAD_MS + LATE_MS);
      heal();
      round.over();
      await untilWilling(origin);
      const ended = await round.ended();
      assertAgreed(ended, { ...AS_A_RULE, ...is.ends });
      // A person takes up what nobody knew the end of: it is answered, and nothing is done once more.
      await Promise.all(
        ended.filter(({ origin: own }) => own.state === 'unknown').map(({ origin: own }) => origin.client.retryTask(own.id)),
      );
      for (const [place, again] of (await round.ended()).entries()) {
        expect(again.origin.state, again.moment).toBe('done');
        expect(again.effects, again.moment).toBe(ended[place]?.effects);
      }
    },
  );

  test.for([
    ['a line stays down', isDown('both')],
    ['the worker does not wake up', isStill('worker')],
  ] as const)('%s until their time is over: each ends by then, and nothing of it happens afterwards', async ([, fault]) => {
    const turnTimeoutMs = DEAD_MS + 8_000;
    await using pair = await startTaskPair({ turnTimeoutMs });
    const round = pair.round('late');
    await round.reach();
    const heal = fault(pair);
    round.begun();
    const told = await round.told();
    const effects = told.map(({ moment }) => round.effects(moment));
    heal();
    round.over();
    await untilWilling(pair.origin);
    const ended = await round.ended();
    for (const [place, { moment, told: last, tookMs, origin, worker }] of ended.entries()) {
      expect(tookMs, moment).toBeLessThan(turnTimeoutMs + LATE_MS);
      expect(last, moment).toMatchObject({ type: 'error', code: expect.stringMatching(/^(deadline-exceeded|unavailable)$/) });
      const isOpen = AS_A_RULE[moment].includes('unknown');
      // Their time may be over before they have let go of each other.
      expect(isOpen ? ['unknown', 'failed'] : ['failed'], moment).toContain(origin.state);
      if (isOpen) expect(last, moment).toMatchObject({ message: expect.stringContaining('nobody knows whether') });
      expect(['canceled', 'failed', 'done', undefined], moment).toContain(worker?.state);
      expect(round.effects(moment), moment).toBe(effects[place]);
      expect(effects[place], moment).toBe(moment === 'submitting' || moment === 'announcing' ? 0 : 1);
    }
  });
});

/** From now on, which of these nodes say that a peer left. */
function watchLeft(...nodes: readonly SkeinNode[]) {
  const from = nodes.map((node) => ({ node, after: node.events.length }));
  return {
    all: () => Promise.all(from.map(({ node, after }) => node.event(({ type }) => type === 'peer-left', after))),
    count: () => from.flatMap(({ node, after }) => node.events.slice(after)).filter(({ type }) => type === 'peer-left').length,
  };
}

/** One end that both sides can stand by, one effect at most, and no answer without it. */
function assertAgreed(ended: readonly Ended[], states: States): void {
  for (const { moment, told, origin, worker, effects } of ended) {
    expect(states[moment], moment).toContain(origin.state);
    if (origin.state === 'done') {
      expect(told, moment).toMatchObject({ type: 'answer', text: 'Done.' });
      expect(worker?.state, moment).toBe('done');
      expect(effects, moment).toBe(1);
    } else {
      expect(told, moment).toMatchObject({ type: 'error', message: expect.stringContaining('nobody knows whether') });
      expect(['canceled', 'done'], moment).toContain(worker?.state);
      expect(effects, moment).toBeLessThanOrEqual(moment === 'announcing' ? 0 : 1);
      // The node where it was to run does know whether it began.
      const isKnown = worker?.outcome?.error?.message.includes('nobody knows') !== true;
      if (worker?.state === 'canceled') expect(isKnown, moment).toBe(effects === 0);
    }
  }
}
