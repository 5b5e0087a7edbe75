import { expect, test } from 'vitest';
import { ALICE, always, BOB, CAROL, createTestTasks, done, draft, executor, ME } from '../../test/test-tasks.ts';
import { adoptTasks } from './adopt-tasks.ts';
import { failedOutcome } from './task.ts';

test('the tasks of a former key are own: taken up again, counted as own, and done with what own tasks may use', async () => {
  await using before = await createTestTasks({ self: ALICE });
  const { database } = before;
  const [open, failed] = [draft({ origin: ALICE }), draft({ origin: ALICE })];
  const foreign = draft({ origin: BOB, path: [BOB, CAROL] });
  for (const task of [open, failed, foreign]) await before.journal.submit(task);
  await before.journal.finish(failed, failedOutcome('failed', { code: 'internal', message: 'no' }));
  expect(await adoptTasks(database, { from: [ALICE], to: ME })).toBe(2);
  await using after = await createTestTasks({ database, self: ME, placement: always(executor(async () => done())) });
  expect(after.journal.info({ origin: ALICE, id: open.id })).toBeUndefined();
  expect(after.journal.get({ origin: ME, id: open.id })).toMatchObject({ origin: ME, sender: ME, path: [ME] });
  const never = new AbortController().signal;
  expect(await after.runner.outcome({ origin: ME, id: open.id }, { signal: never })).toMatchObject({ state: 'done' });
  const again = await after.runner.retry({ origin: ME, id: failed.id }, { remainingMs: 60_000 });
  expect(await after.runner.outcome(again, { signal: never })).toMatchObject({ state: 'done' });
  // What others handed over is theirs, and there is nothing more to do.
  expect(after.journal.info(foreign)).toMatchObject({ origin: BOB, sender: CAROL, path: [BOB, CAROL] });
  expect(await adoptTasks(database, { from: [ALICE], to: ME })).toBe(0);
  expect(after.runner.openOf(ME)).toBe(0);
});

test('what a peer had handed over under its former key is found under the new one, and what still runs is left', async () => {
  await using net = await createTestTasks();
  const ended = draft({ origin: ALICE });
  const passed = draft({ origin: CAROL, path: [CAROL, ALICE] });
  const running = draft({ origin: ALICE });
  for (const task of [ended, passed, running]) await net.journal.submit(task);
  for (const task of [ended, passed]) await net.journal.finish(task, done());
  expect(await adoptTasks(net.database, { from: [ALICE], to: BOB, endedOnly: true })).toBe(2);
  expect(net.journal.handedOver(BOB, ended.id)).toMatchObject({ origin: BOB, path: [BOB], state: 'done' });
  expect(net.journal.handedOver(BOB, passed.id)).toMatchObject({ origin: CAROL, path: [CAROL, BOB] });
  expect(net.journal.info(running)).toMatchObject({ origin: ALICE, state: 'queued' });
});

test('a task that the new key has asked for meanwhile under the same id stays that one', async () => {
  await using net = await createTestTasks();
  const task = draft({ origin: ALICE });
  await net.journal.submit(task);
  await net.journal.submit({ ...task, origin: ME, path: [ME] });
  expect(await adoptTasks(net.database, { from: [ALICE], to: ME })).toBe(0);
  expect(net.journal.list().map(({ origin }) => origin)).toEqual([ME, ALICE]);
});
