import type { TaskEvent } from '@skein/protocol';
import { expect, test } from 'vitest';
import { ToldEvents } from './told-events.ts';

const called: TaskEvent = {
  type: 'step',
  entries: [
    {
      message: { role: 'assistant', text: 'Looking.', toolCalls: [{ id: 'c', name: 'us/df', input: { path: '/' } }] },
      tainted: false,
    },
  ],
};
const answered: TaskEvent = {
  type: 'step',
  entries: [{ message: { role: 'tool', callId: 'c', name: 'us/df', output: 'full', ok: true }, tainted: true }],
};
const call = { id: 'c', name: 'us/df', peer: 'us' } as const;

function told(...events: readonly TaskEvent[]) {
  const teller = new ToldEvents();
  return events.flatMap((event) => teller.take(event));
}

test('a step whose events are gone is told as what it held', () => {
  expect(told(called, { type: 'intent', id: 'c', name: 'us/df' }, answered)).toEqual([
    { type: 'text-delta', text: 'Looking.' },
    { type: 'tool-call', ...call, input: { path: '/' } },
    { type: 'tool-result', ...call, ok: true, ms: 0, output: 'full' },
  ]);
});

test('a step that was told while it was made is not told again', () => {
  const live: readonly TaskEvent[] = [
    { type: 'text-delta', text: 'Looking.' },
    { type: 'tool-call', ...call, input: { path: '/' } },
    { type: 'tool-result', ...call, ok: true, ms: 7, output: 'full' },
  ];
  expect(told(...live, called, answered)).toEqual(live);
});

test('what another node did with its own tool is told as that node’s, with the time it took', () => {
  const step: TaskEvent = {
    type: 'step',
    entries: [
      {
        message: { role: 'assistant', text: '', toolCalls: [{ id: 'c', name: 'df', input: {} }] },
        tainted: true,
        worker: 'eu',
      },
      { message: { role: 'tool', callId: 'c', name: 'df', output: 'full', ok: true }, tainted: true, worker: 'eu', ms: 1_240 },
    ],
  };
  expect(told(step)).toEqual([
    { type: 'tool-call', id: 'c', name: 'df', peer: 'eu', input: {} },
    { type: 'tool-result', id: 'c', name: 'df', peer: 'eu', ok: true, ms: 1_240, output: 'full' },
  ]);
});

test('a call that is taken up again after a restart is told once, and the next step is told as its own', () => {
  const again: TaskEvent = { type: 'tool-call', ...call, input: { path: '/' } };
  const next: TaskEvent = {
    type: 'step',
    entries: [{ message: { role: 'assistant', text: 'Full.', toolCalls: [] }, tainted: true }],
  };
  expect(told(called, again, answered, next).map(({ type }) => type)).toEqual([
    'text-delta',
    'tool-call',
    'tool-result',
    'text-delta',
  ]);
});
