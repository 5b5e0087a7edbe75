import { TASK_TEXT_CHARS_MAX } from '@skein/protocol';
import { rejection } from '@skein/testing';
import { expect, test } from 'vitest';
import { createTestTasks, draft, ALICE as PEER } from '../../test/test-tasks.ts';
import { checkRequestText } from './request-text.ts';

test('a text up to the bound passes as it is; an empty and a longer one do not', () => {
  const longest = 'x'.repeat(TASK_TEXT_CHARS_MAX);
  expect(checkRequestText(longest)).toBe(longest);
  expect(() => checkRequestText(`${longest}x`)).toThrow(/32001 characters is over the 32000 taken/);
  expect(() => checkRequestText(' \n')).toThrow(/nothing to answer/);
});

test('a task with a text that is too long is not accepted, whoever hands it over, and leaves nothing behind', async () => {
  await using tasks = await createTestTasks({ placement: { choose: () => 'wait' } });
  for (const origin of [draft().origin, PEER]) {
    const task = draft({ origin, text: 'x'.repeat(TASK_TEXT_CHARS_MAX + 1) });
    expect((await rejection(tasks.runner.submit(task))).code).toBe('too-large');
    expect(tasks.journal.info(task)).toBeUndefined();
  }
  expect(tasks.sessions.list()).toEqual([]);
  expect((await tasks.runner.submit(draft({ text: 'x'.repeat(TASK_TEXT_CHARS_MAX) }))).duplicate).toBe(false);
});
