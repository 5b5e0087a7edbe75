import { inspect } from 'node:util';
import type { BrainRequest } from '@skein/agent';
import { type ErrorCode, SkeinError } from '@skein/protocol';
import { type LlmFault, type LlmServer, measured, sized, sizedTimeout, startLlmServer } from '@skein/testing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { BrainTimeouts } from './limits.ts';
import { createProviderBrain } from './provider-brain.ts';

const STYLES = ['openai', 'anthropic', 'ollama', 'openai-compatible'] as const;
type Style = (typeof STYLES)[number];
const KEY = 'sk-canary-7f3a9c2e5b1d4860';
const REQUEST: BrainRequest = { system: '', messages: [{ role: 'user', text: 'hello' }], tools: [] };
const TEXT = 'A scripted answer of some length, so that faults fall into its middle.';
/** Faulty calls drawn from a seed. */
const CALLS = sized({ ci: 1_200, full: 10_000 });
/** Short where a deadline must end the call, wide where something else must: a busy machine may not mix them up. */
const SHORT = { firstPartMs: 80, idleMs: 60, totalMs: 160 };
const WIDE = { firstPartMs: 10_000, idleMs: 10_000, totalMs: 20_000 };
/** Faults that only a deadline ends. */
const ENDED_BY_DEADLINE: ReadonlySet<string> = new Set(['hang', 'drip'] satisfies LlmFault['type'][]);

interface Outcome {
  readonly error: SkeinError | undefined;
  readonly text: string;
  readonly ms: number;
}

async function ask(server: LlmServer, style: Style, model: string, timeouts: BrainTimeouts): Promise<Outcome> {
  const brain = createProviderBrain({
    provider: style,
    model,
    apiKey: KEY,
    baseUrl: `${server.url}/v1`,
    maxOutputBytes: 20_000,
    timeouts,
  });
  const start = performance.now();
  let text = '';
  try {
    for await (const part of brain.respond(REQUEST, { signal: new AbortController().signal })) {
      if (part.type === 'text-delta') text += part.text;
    }
  } catch (thrown) {
    if (!(thrown instanceof SkeinError)) throw new Error('It failed with an error of no code', { cause: thrown });
    return { error: thrown, text, ms: performance.now() - start };
  }
  return { error: undefined, text, ms: performance.now() - start };
}

/** Every fault, and the code it must end with; none where the answer must come through. */
const FAULTS: readonly (readonly [name: string, fault: LlmFault, code: ErrorCode | undefined])[] = [
  ['reset before the answer', { type: 'reset' }, 'unavailable'],
  ['reset in the answer', { type: 'reset', afterEvents: 5 }, 'unavailable'],
  ['hang before the answer', { type: 'hang' }, 'deadline-exceeded'],
  ['hang in the answer', { type: 'hang', afterEvents: 5 }, 'deadline-exceeded'],
  ['401', { type: 'status', status: 401, echoHeaders: true }, 'unauthenticated'],
  ['403', { type: 'status', status: 403, echoHeaders: true }, 'unauthenticated'],
  ['400', { type: 'status', status: 400, echoHeaders: true }, 'invalid'],
  ['402', { type: 'status', status: 402, echoHeaders: true }, 'unavailable'],
  ['404', { type: 'status', status: 404, echoHeaders: true }, 'invalid'],
  ['429', { type: 'status', status: 429, retryAfter: '1', echoHeaders: true }, 'busy'],
  ['500', { type: 'status', status: 500, echoHeaders: true }, 'unavailable'],
  ['503', { type: 'status', status: 503, retryAfter: '1', echoHeaders: true }, 'unavailable'],
  ['529', { type: 'status', status: 529, echoHeaders: true }, 'unavailable'],
  ['redirect', { type: 'redirect', location: 'http://127.0.0.1:9/' }, 'unavailable'],
  ['drip that never says a thing', { type: 'drip', bytes: 1, everyMs: 20 }, 'deadline-exceeded'],
  ['drip that does', { type: 'drip', bytes: 97, everyMs: 0 }, undefined],
  ['truncated', { type: 'truncated' }, 'unavailable'],
  ['wrong types', { type: 'wrong-types' }, 'unavailable'],
  ['empty body', { type: 'empty' }, 'unavailable'],
  ['HTML body', { type: 'html' }, 'unavailable'],
  ['error at the start of the stream', { type: 'stream-error' }, 'unavailable'],
  ['error in the stream', { type: 'stream-error', afterEvents: 5 }, 'unavailable'],
  ['flood of text', { type: 'flood', bytes: 20_000_000, shape: 'text' }, 'too-large'],
  ['flood without a line end', { type: 'flood', bytes: 20_000_000, shape: 'line' }, 'too-large'],
];

/** Anthropic's error event says "overloaded", which is busy; told as the first event its package makes it a status. */
function expectedCode(style: Style, name: string, code: ErrorCode | undefined): ErrorCode | undefined {
  return style === 'anthropic' && name === 'error in the stream' ? 'busy' : code;
}

const MATRIX = STYLES.flatMap((style) => FAULTS.map(([name, fault, code]) => ({ style, name, fault, code })));

test.each(MATRIX)('$style, $name: ends by its deadline with $code and shows no key', async ({ style, name, fault, code }) => {
  await using server = await startLlmServer({ script: [{ text: TEXT, fault }] });
  const timeouts = code === 'deadline-exceeded' ? SHORT : WIDE;
  const { error, text, ms } = await ask(server, style, 'scripted', timeouts);

  expect(error?.code).toBe(expectedCode(style, name, code));
  expect(ms).toBeLessThan(5_000);
  if (code === undefined) expect(text).toBe(TEXT);
  expectNoKey(error);
  if (name === '503' || name === '429') expect(error?.retryAfterMs).toBe(1_000);
});

test(`${CALLS} faulty calls, drawn from a seed, all end by their deadline with a code or the whole answer`, {
  timeout: sizedTimeout({ ci: 30_000, full: 900_000 }),
}, async () => {
  const drawn = fc.sample(
    fc.record({
      style: fc.constantFrom(...STYLES),
      fault: fc.oneof(
        { weight: 1, arbitrary: fc.constant(undefined) },
        { weight: 8, arbitrary: fc.constantFrom(...FAULTS).map(([, fault]) => fault) },
        {
          weight: 4,
          arbitrary: fc.record({
            type: fc.constantFrom('reset' as const, 'hang' as const, 'stream-error' as const),
            afterEvents: fc.nat({ max: 14 }),
          }),
        },
        {
          weight: 2,
          arbitrary: fc.record({ type: fc.constant('status' as const), status: fc.integer({ min: 400, max: 599 }) }),
        },
      ),
    }),
    { numRuns: CALLS, seed: 20_260_101 },
  );
  // The model's name carries the index of the fault, so that calls in any order meet theirs.
  await using server = await startLlmServer({
    script: (request) => {
      const fault = drawn[Number(request.model)]?.fault;
      return { text: TEXT, ...(fault === undefined ? {} : { fault }) };
    },
  });
  const queue = drawn.entries();
  const outcomes: Outcome[] = [];
  async function work(): Promise<void> {
    for (const [index, { style, fault }] of queue) {
      const timeouts = fault !== undefined && ENDED_BY_DEADLINE.has(fault.type) ? SHORT : WIDE;
      outcomes.push(await ask(server, style, String(index), timeouts));
    }
  }
  await Promise.all(Array.from({ length: 24 }, work));

  expect(outcomes).toHaveLength(CALLS);
  for (const { error, text, ms } of outcomes) {
    if (error === undefined) expect(text).toBe(TEXT);
    expectNoKey(error);
    // A busy machine is late by its own doing: the bound is wide against the deadline, narrow against a hang.
    expect(ms).toBeLessThan(SHORT.totalMs + 5_000);
  }
  const codes = new Set(outcomes.map(({ error }) => error?.code));
  expect([...codes].sort()).toEqual([
    'busy',
    'deadline-exceeded',
    'invalid',
    'too-large',
    'unauthenticated',
    'unavailable',
    undefined,
  ]);
  measured('providers', {
    counts: { calls: CALLS },
    peaks: { lateMs: Math.max(...outcomes.map(({ ms }) => ms)) - SHORT.totalMs },
  });
});

/** What a log, a terminal and a peer would see of it. */
function expectNoKey(error: SkeinError | undefined): void {
  const seen = inspect(error, { depth: 20, showHidden: true }) + JSON.stringify(error) + JSON.stringify(error?.toPublic());
  expect(seen).not.toContain(KEY);
  expect(seen).not.toContain(KEY.slice(0, 12));
  expect(seen.toLowerCase()).not.toContain('bearer');
}
