import { setTimeout as pause } from 'node:timers/promises';
import { type ErrorCode, SkeinError } from '@skein/protocol';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Brain, BrainPart } from './brain.ts';
import { type BreakerEvent, type BreakerState, CLOSED, DEFAULT_BREAKER, nextBreaker, waitOf } from './breaker.ts';
import { createFailoverBrain } from './failover.ts';

const REQUEST = { system: '', messages: [], tools: [] };
const FINISH: BrainPart = { type: 'finish', reason: 'stop' };
type Step = BrainPart | SkeinError | 'hang';

const error = (code: ErrorCode, retryAfterMs?: number) =>
  new SkeinError(`scripted ${code}`, { code, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
const says = (text: string): Step[] => [{ type: 'text-delta', text }, FINISH];

/** A brain that plays one list of steps a call, the last again and again. */
function scripted(name: string, ...calls: readonly Step[][]) {
  const seen = { asked: 0, left: 0 };
  const brain: Brain = {
    name,
    async *respond(_request, { signal }) {
      const steps = calls[Math.min(seen.asked, calls.length - 1)] ?? [];
      seen.asked += 1;
      try {
        for (const step of steps) {
          if (step instanceof SkeinError) throw step;
          if (step === 'hang') await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
          else yield step;
        }
      } finally {
        seen.left += 1;
      }
    },
  };
  return { brain, seen };
}

async function answer(brain: Brain, signal = new AbortController().signal): Promise<string> {
  let text = '';
  for await (const part of brain.respond(REQUEST, { signal })) if (part.type === 'text-delta') text += part.text;
  return text;
}

test.each(['unavailable', 'busy', 'deadline-exceeded'] as const)(
  '%s before any part goes on to the next brain',
  async (code) => {
    const switches: string[] = [];
    const first = scripted('first', [error(code)]);
    const brain = createFailoverBrain([first.brain, scripted('second', says('hello')).brain], {
      onSwitch: ({ from, to, error: { code } }) => switches.push(`${from} -> ${to}: ${code}`),
    });
    expect(await answer(brain)).toBe('hello');
    expect(switches).toEqual([`first -> second: ${code}`]);
  },
);

test.each(['invalid', 'unauthenticated', 'canceled', 'too-large'] as const)(
  '%s is final: another brain does not mend it',
  async (code) => {
    const second = scripted('second', says('no'));
    const brain = createFailoverBrain([scripted('first', [error(code)]).brain, second.brain]);
    await expect(answer(brain)).rejects.toMatchObject({ code });
    expect(second.seen.asked).toBe(0);
  },
);

test('after a part was handed out a failure is final, so that nobody reads two answers as one', async () => {
  const second = scripted('second', says('other'));
  const first = scripted('first', [{ type: 'text-delta', text: 'half' }, error('unavailable')]);
  await expect(answer(createFailoverBrain([first.brain, second.brain]))).rejects.toMatchObject({ code: 'unavailable' });
  expect(second.seen.asked).toBe(0);
});

test('a brain that hangs is left after its attempt, and told to stop', async () => {
  const first = scripted('first', ['hang']);
  const brain = createFailoverBrain([first.brain, scripted('second', says('hello')).brain], { attemptMs: 20 });
  expect(await answer(brain)).toBe('hello');
  expect(first.seen.left).toBe(1);
});

test('a brain that ignores its signal is left all the same', async () => {
  const deaf: Brain = {
    name: 'deaf',
    respond: () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => undefined) }) }),
  };
  const brain = createFailoverBrain([deaf, scripted('second', says('hello')).brain], { attemptMs: 20 });
  expect(await answer(brain)).toBe('hello');
});

test('the total deadline ends it, whichever brain is being asked', async () => {
  const brain = createFailoverBrain([scripted('a', ['hang']).brain, scripted('b', ['hang']).brain], {
    attemptMs: 60,
    totalMs: 90,
  });
  await expect(answer(brain)).rejects.toMatchObject({ code: 'deadline-exceeded', message: expect.stringContaining('90 ms') });
});

test('a brain that falls silent in its answer ends with the total deadline', async () => {
  const first = scripted('first', [{ type: 'text-delta', text: 'half' }, 'hang']);
  const brain = createFailoverBrain([first.brain, scripted('second', says('no')).brain], { attemptMs: 20, totalMs: 60 });
  await expect(answer(brain)).rejects.toMatchObject({ code: 'deadline-exceeded' });
});

test('an answer that began in time may go on longer than an attempt', async () => {
  const slow: Brain = {
    name: 'slow',
    async *respond() {
      yield { type: 'text-delta', text: 'at once, ' };
      await pause(60);
      yield { type: 'text-delta', text: 'then the rest' };
      yield FINISH;
    },
  };
  expect(await answer(createFailoverBrain([slow], { attemptMs: 20 }))).toBe('at once, then the rest');
});

test('the caller’s stop reaches the brain, asks no other and is nobody’s failure', async () => {
  const controller = new AbortController();
  const first = scripted('first', ['hang'], says('back'));
  const second = scripted('second', says('no'));
  const brain = createFailoverBrain([first.brain, second.brain], { breaker: { maxFailures: 1 } });
  const asked = answer(brain, controller.signal);
  controller.abort();
  await expect(asked).rejects.toMatchObject({ code: 'canceled' });
  expect(await answer(brain)).toBe('back');
  expect(second.seen.asked).toBe(0);
});

test('a reader that leaves closes the brain’s answer', async () => {
  const first = scripted('first', [{ type: 'text-delta', text: 'half' }, 'hang']);
  for await (const _ of createFailoverBrain([first.brain]).respond(REQUEST, { signal: new AbortController().signal })) break;
  await expect.poll(() => first.seen.left).toBe(1);
});

test('a brain that ends without a finish did not answer', async () => {
  const brain = createFailoverBrain([scripted('first', []).brain, scripted('second', says('hello')).brain]);
  expect(await answer(brain)).toBe('hello');
});

test('five failures open the breaker; after the pause one probe is let through and closes it', async () => {
  let now = 0;
  const failing = Array.from({ length: 5 }, () => [error('unavailable')]);
  const first = scripted('first', ...failing, says('back'));
  const brain = createFailoverBrain([first.brain, scripted('second', says('stand-in')).brain], { now: () => now });
  for (let call = 0; call < 20; call++) expect(await answer(brain)).toBe('stand-in');
  expect(first.seen.asked).toBe(5);

  now += DEFAULT_BREAKER.openMs;
  expect(await answer(brain)).toBe('back');
  expect(await answer(brain)).toBe('back');
});

test('while a probe is under way others are not sent after it', async () => {
  let now = 0;
  const first = scripted('first', [error('unavailable')], ['hang']);
  const brain = createFailoverBrain([first.brain, scripted('second', says('stand-in')).brain], {
    now: () => now,
    breaker: { maxFailures: 1, openMs: 1_000 },
  });
  await answer(brain);
  now += 1_000;
  const controller = new AbortController();
  const probe = answer(brain, controller.signal);
  expect(await answer(brain)).toBe('stand-in');
  expect(first.seen.asked).toBe(2);
  controller.abort();
  await expect(probe).rejects.toMatchObject({ code: 'canceled' });
});

test('a brain that said when to come back is left alone until then', async () => {
  let now = 0;
  const first = scripted('first', [error('busy', 60_000)], says('back'));
  const brain = createFailoverBrain([first.brain, scripted('second', says('stand-in')).brain], { now: () => now });
  for (now = 0; now < 60_000; now += 20_000) expect(await answer(brain)).toBe('stand-in');
  expect(await answer(brain)).toBe('back');
});

test('with every brain out it says so at once, and when the next try is', async () => {
  const first = scripted('first', [error('busy', 30_000)]);
  const brain = createFailoverBrain([first.brain], { now: () => 0 });
  await expect(answer(brain)).rejects.toMatchObject({ code: 'busy' });
  await expect(answer(brain)).rejects.toMatchObject({ code: 'unavailable', retryAfterMs: 30_000 });
  expect(first.seen.asked).toBe(1);
});

test('whatever happens, a breaker opens within five failures in a row and lets a probe through within ten minutes', () => {
  const event: fc.Arbitrary<BreakerEvent> = fc.oneof(
    fc.constantFrom<BreakerEvent>({ type: 'admitted' }, { type: 'succeeded' }, { type: 'failed' }, { type: 'abandoned' }),
    fc.record({ type: fc.constant('failed' as const), retryAfterMs: fc.nat({ max: 10_000_000 }) }),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(event, fc.nat({ max: 100_000 })), { maxLength: 60 }), (history) => {
      let state: BreakerState = CLOSED;
      let now = 0;
      let row = 0;
      for (const [happened, pauseMs] of history) {
        now += pauseMs;
        state = nextBreaker(state, happened, now, DEFAULT_BREAKER);
        if (happened.type === 'failed') row += 1;
        if (happened.type === 'succeeded') row = 0;
        if (happened.type === 'failed' && row >= 5) expect(waitOf(state, now, 1_000)).toBeGreaterThan(0);
        if (row === 0) expect(state).toEqual(CLOSED);
        expect(waitOf(state, now + 600_000, 600_000)).toBe(0);
      }
    }),
  );
});
