import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConversationEntry } from '@skein/protocol';
import { turns, VirtualClock } from '@skein/testing';
import { describe, expect, test } from 'vitest';
import { ALICE, BOB, createTestTasks, done, draft, executor, ME } from '../../test/test-tasks.ts';
import { failedOutcome } from './task.ts';

const never = new AbortController().signal;
const answered = (text: string): ConversationEntry => ({ message: { role: 'assistant', text, toolCalls: [] }, tainted: false });
const resultOf = (callId: string): ConversationEntry => ({
  message: { role: 'tool', callId, name: 'pay', output: 1, ok: true },
  tainted: false,
});

/** A directory with a database that is opened over and over, as a node that restarts does. */
function disk() {
  const directory = mkdtempSync(join(tmpdir(), 'skein-tasks-'));
  return {
    path: join(directory, 'a.db'),
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}

describe('submitting', () => {
  test('is answered once it is on the disk', async () => {
    using file = disk();
    const task = draft({ origin: ALICE, text: 'keep me', path: [ALICE, BOB], history: [answered('before')] });
    {
      await using net = await createTestTasks({ path: file.path });
      expect(await net.journal.submit(task)).toMatchObject({
        duplicate: false,
        task: { state: 'queued', owner: 'me', sender: BOB },
      });
    }
    await using net = await createTestTasks({ path: file.path });
    expect(net.journal.get(task)).toMatchObject({ text: 'keep me', path: [ALICE, BOB], history: [answered('before')] });
  });

  test('the same again changes nothing; the same id with other words, or a lower attempt, is a conflict', async () => {
    await using net = await createTestTasks();
    const task = draft({ attempt: 2 });
    await net.journal.submit(task);
    const again = await net.journal.submit({ ...task, remainingMs: 5, steps: [answered('x')] });
    expect(again).toMatchObject({ duplicate: true, task: { attempt: 2, deadlineAtMs: net.clock.now() + 600_000 } });
    for (const other of [
      { text: 'something else' },
      { session: 't' },
      { source: 'chat' },
      { attempt: 1 },
      { interactive: true },
    ]) {
      await expect(net.journal.submit({ ...task, ...other })).rejects.toMatchObject({ code: 'conflict' });
    }
    // Ids are the origin's own: another's is another task.
    expect(await net.journal.submit({ ...task, origin: ALICE, path: [ALICE] })).toMatchObject({ duplicate: false });
  });

  test('a higher attempt of one that is done gets its answer, and bars the attempts before', async () => {
    await using net = await createTestTasks();
    const task = draft();
    await net.journal.submit(task);
    await net.journal.finish(task, done('the answer'));
    expect(await net.journal.submit({ ...task, attempt: 5 })).toMatchObject({
      duplicate: true,
      task: { state: 'done', attempt: 5 },
    });
    expect(net.journal.get(task)?.outcome).toMatchObject({ text: 'the answer' });
    await expect(net.journal.submit({ ...task, attempt: 4 })).rejects.toMatchObject({ code: 'conflict' });
  });

  test.each([
    ['an empty text', { text: ' ' }, 'invalid'],
    ['a session that is no id', { session: 'a b' }, 'invalid'],
    ['a path that begins elsewhere', { path: [ALICE] }, 'invalid'],
    ['no time left', { remainingMs: 0 }, 'deadline-exceeded'],
    ['no time at all', { remainingMs: Number.NaN }, 'deadline-exceeded'],
    ['more than is taken', { text: 'x'.repeat(2_000_001) }, 'too-large'],
  ])('%s is refused', async (_, wrong, code) => {
    await using net = await createTestTasks();
    await expect(net.journal.submit(draft(wrong))).rejects.toMatchObject({ code });
    expect(net.journal.list()).toEqual([]);
  });

  test('beyond the bounds is busy, says when to come back, and leaves room for this node and for others', async () => {
    await using net = await createTestTasks({ limits: { maxOpen: 6, maxOpenPerSender: 4 } });
    const submit = (origin = ME) => net.journal.submit(draft({ origin }));
    const full = { code: 'busy', retryAfterMs: expect.any(Number) };
    const flood = await Promise.allSettled(Array.from({ length: 20 }, () => submit(ALICE)));
    expect(flood.filter(({ status }) => status === 'fulfilled')).toHaveLength(4);
    await submit(BOB);
    await submit(BOB);
    await expect(submit(BOB)).rejects.toMatchObject(full);
    for (let n = 0; n < 6; n += 1) await submit();
    await expect(submit()).rejects.toMatchObject(full);
    const [one] = net.journal.list({ origin: ALICE, limit: 1 });
    if (one !== undefined) await net.journal.finish(one, done());
    await submit(ALICE);
    await expect(submit(ALICE)).rejects.toMatchObject(full);
  });

  test('bounds are counted anew from the disk, and duplicates take no place', async () => {
    using file = disk();
    const task = draft({ origin: ALICE });
    {
      await using net = await createTestTasks({ path: file.path });
      await net.journal.submit(task);
    }
    await using net = await createTestTasks({ path: file.path, limits: { maxOpenPerSender: 2 } });
    for (let n = 0; n < 5; n += 1) expect(await net.journal.submit(task)).toMatchObject({ duplicate: true });
    await net.journal.submit(draft({ origin: ALICE }));
    await expect(net.journal.submit(draft({ origin: ALICE }))).rejects.toMatchObject({ code: 'busy' });
  });
});

describe('what has ended', () => {
  test('is kept by number and by age; its name stays until no duplicate can come', async () => {
    await using net = await createTestTasks({ limits: { maxEnded: 5, maxEndedAgeMs: 86_400_000 } });
    const first = draft({ text: 'the first', remainingMs: 3_600_000 });
    const finish = async (task = draft()) => {
      await net.journal.submit(task);
      await net.journal.finish(task, done('an answer'));
    };
    await finish(first);
    for (let n = 0; n < 20; n += 1) await finish();
    expect(net.journal.get(first)).toMatchObject({ text: '', outcome: { state: 'done', error: { code: 'not-found' } } });
    expect(net.journal.list().filter((task) => net.journal.get(task)?.text !== '').length).toBeLessThan(11);
    expect(await net.journal.submit(first)).toMatchObject({ duplicate: true, task: { state: 'done' } });
    await net.clock.advance(2 * 86_400_000);
    for (let n = 0; n < 5; n += 1) await finish();
    expect(net.journal.get(first)).toBeUndefined();
    expect(net.journal.list()).toHaveLength(5);
  });

  test('and cannot be forgotten yet makes the node busy at the bound, and no task run twice', async () => {
    await using net = await createTestTasks({ limits: { maxEnded: 2, maxKnown: 4 } });
    for (let n = 0; n < 4; n += 1) {
      const task = draft();
      await net.journal.submit(task);
      await net.journal.finish(task, done());
    }
    await expect(net.journal.submit(draft())).rejects.toMatchObject({ code: 'busy' });
    await net.clock.advance(30 * 86_400_000);
    expect(await net.journal.submit(draft()), 'once no duplicate can come').toMatchObject({ duplicate: false });
  });

  test('is unknown: taken up again, the brain is told that the end of the call is not known', async () => {
    await using net = await createTestTasks();
    const task = draft();
    await net.journal.submit(task);
    const { task: info, fence, nextSeq } = await net.journal.begin(net.journal.list()[0] ?? expect.fail(), { owner: 'me' });
    const calls: ConversationEntry = {
      message: { role: 'assistant', text: '', toolCalls: [{ id: '1', name: 'pay', input: {} }] },
      tainted: false,
    };
    await net.journal.step(fence, { seq: nextSeq, event: { type: 'step', entries: [calls] }, tokens: 3 });
    await net.journal.step(fence, { seq: nextSeq + 1, event: { type: 'intent', id: '1', name: 'pay' }, tokens: 0 });
    await net.journal.finish(info, failedOutcome('unknown', { code: 'unavailable', message: 'cut off' }));
    const retried = await net.journal.retry(task, { remainingMs: 1_000 });
    expect(retried).toMatchObject({ state: 'queued', attempt: 2 });
    const begun = await net.journal.begin(retried, { owner: 'me' });
    expect(begun.steps).toMatchObject([calls, { message: { role: 'tool', callId: '1', ok: false } }]);
    expect(JSON.stringify(begun.steps.at(-1))).toMatch(/nobody knows whether it took effect/);
    expect(begun.nextSeq).toBeGreaterThan(nextSeq + 2);
  });
});

describe('a run', () => {
  test('that lost its task, by a new one or its end, can neither add nor end', async () => {
    await using net = await createTestTasks();
    const task = draft();
    const { task: info } = await net.journal.submit(task);
    const first = await net.journal.begin(info, { owner: ALICE });
    const second = await net.journal.begin(info, { owner: BOB, next: true });
    const event = { type: 'step', entries: [answered('x')] } as const;
    const step = { seq: first.nextSeq, event: { ...event, entries: [...event.entries] }, tokens: 0 };
    for (const late of [
      net.journal.step(first.fence, step),
      net.journal.finish(first.fence, done()),
      net.journal.release(first.fence),
      net.journal.begin(info, { owner: ALICE }),
    ]) {
      await expect(late).rejects.toMatchObject({ code: 'conflict' });
    }
    await net.journal.step(second.fence, { ...step, seq: second.nextSeq });
    await net.journal.finish(second.fence, done());
    await expect(net.journal.step(second.fence, { ...step, seq: second.nextSeq + 1 })).rejects.toMatchObject({
      code: 'conflict',
    });
    expect(net.journal.steps(task)).toMatchObject([{ seq: second.nextSeq, attempt: 2, event }]);
  });

  test('puts what it did into the conversation with its end, whole steps only', async () => {
    await using net = await createTestTasks();
    const task = draft({ text: 'pay both' });
    const { fence, nextSeq } = await net.journal.begin((await net.journal.submit(task)).task, { owner: 'me' });
    const calls = ['1', '2'].map((id) => ({ id, name: 'pay', input: {} }));
    const entries: ConversationEntry[] = [
      { message: { role: 'assistant', text: '', toolCalls: calls }, tainted: false },
      resultOf('1'),
    ];
    await net.journal.step(fence, { seq: nextSeq, event: { type: 'step', entries }, tokens: 0 });
    expect(net.sessions.read('s', { maxChars: 1e6 })).toHaveLength(1);
    await net.journal.finish(fence, failedOutcome('canceled', { code: 'canceled', message: 'stop' }));
    expect(net.sessions.read('s', { maxChars: 1e6 }).map(({ message }) => message)).toMatchObject([
      { text: 'pay both' },
      { toolCalls: [{ id: '1' }] },
      { callId: '1' },
    ]);
  });
});

test('a task of another node is read again whatever its conversation is called', async () => {
  await using net = await createTestTasks();
  const task = draft({ origin: ALICE, session: 'half a pair: \ud83d' });
  await net.journal.submit(task);
  expect(net.journal.info(task)).toMatchObject({ state: 'queued' });
  expect(await net.journal.recover()).toHaveLength(1);
});

test('a task that one node handed over is not another’s to take over', async () => {
  await using net = await createTestTasks();
  const task = draft({ origin: ALICE });
  await net.journal.submit(task);
  await net.journal.finish(task, { ...done(), state: 'failed' });
  const again = { ...task, attempt: 2, path: [ALICE, BOB] };
  await expect(net.journal.submit(again)).rejects.toMatchObject({ code: 'conflict' });
  expect(net.journal.openOf(BOB)).toBe(0);
});

test('a stored task or step that was changed on the disk is noticed', async () => {
  await using net = await createTestTasks();
  const task = draft();
  const { fence, nextSeq } = await net.journal.begin((await net.journal.submit(task)).task, { owner: 'me' });
  await net.journal.step(fence, { seq: nextSeq, event: { type: 'step', entries: [answered('x')] }, tokens: 0 });
  for (const [table, column, back] of [
    ['task_steps', 'body', 'steps'],
    ['task_texts', 'body', 'get'],
    ['tasks', 'state', 'get'],
  ] as const) {
    const before = net.database.get(`SELECT ${column} AS value FROM ${table}`)?.value ?? null;
    await net.database.write((writer) => writer.run(`UPDATE ${table} SET ${column} = replace(${column}, 'n', 'm')`));
    expect(() => net.journal[back](task)).toThrow(/damaged/);
    await net.database.write((writer) => writer.run(`UPDATE ${table} SET ${column} = ?`, before));
  }
});

describe('after a restart', () => {
  const ask = executor(async (task, { steps }) => done(`${task.text} ${steps.length} ${task.attempt}`));

  test('what was queued and what ran goes on, from its steps, at its attempt', async () => {
    using file = disk();
    const [queued, running] = [draft({ text: 'queued', session: '1' }), draft({ text: 'running', session: '2' })];
    {
      await using net = await createTestTasks({ path: file.path });
      await net.journal.submit(queued);
      const { fence, nextSeq } = await net.journal.begin((await net.journal.submit(running)).task, { owner: 'me' });
      await net.journal.step(fence, { seq: nextSeq, event: { type: 'step', entries: [resultOf('1')] }, tokens: 0 });
    }
    await using net = await createTestTasks({ path: file.path, placement: { choose: () => ask } });
    expect(await net.runner.outcome(queued, { signal: never })).toMatchObject({ text: 'queued 0 1' });
    expect(await net.runner.outcome(running, { signal: never })).toMatchObject({ text: 'running 1 1' });
  });

  test('the time that passed counts against the deadline', async () => {
    using file = disk();
    const task = draft({ remainingMs: 60_000 });
    const clock = new VirtualClock();
    {
      await using net = await createTestTasks({ path: file.path, clock });
      await net.journal.submit(task);
    }
    clock.wallOffsetMs += 61_000;
    await using net = await createTestTasks({ path: file.path, clock, placement: { choose: () => 'wait' } });
    const outcome = net.runner.outcome(task, { signal: never });
    await clock.advance(1);
    expect(await outcome).toMatchObject({ error: { code: 'deadline-exceeded' } });
  });

  test.for([3_600_000, -3_600_000])(
    'a clock set by %i ms, before the process ended or after, leaves the time that is left alone',
    async (setMs) => {
      for (const setInLife of [0, 1, 2]) {
        using file = disk();
        const clock = new VirtualClock();
        const tasks = Array.from({ length: 2 }, () => draft({ remainingMs: 60_000 }));
        for (const [life, task] of tasks.entries()) {
          await using net = await createTestTasks({ path: file.path, clock, boot: 'a' });
          await net.journal.recover();
          if (life === setInLife) clock.wallOffsetMs += setMs;
          await net.journal.submit(task);
          await clock.advance(10_000);
        }
        if (setInLife === 2) clock.wallOffsetMs += setMs;
        await using net = await createTestTasks({ path: file.path, clock, boot: 'a', placement: { choose: () => 'wait' } });
        const states = () => tasks.map((task) => net.journal.get(task)?.state);
        // The second came 10 s after the first, which has waited for 20.
        for (const [ms, expected] of [
          [39_000, ['queued', 'queued']],
          [2_000, ['failed', 'queued']],
          [8_000, ['failed', 'queued']],
          [2_000, ['failed', 'failed']],
        ] as const) {
          await clock.advance(ms);
          await turns(8);
          expect(states(), `set in life ${setInLife}`).toEqual(expected);
        }
      }
    },
  );

  test('after a boot the wall clock alone tells how long it took', async () => {
    using file = disk();
    const clock = new VirtualClock();
    const task = draft({ remainingMs: 60_000 });
    {
      await using net = await createTestTasks({ path: file.path, clock, boot: 'a' });
      await net.journal.submit(task);
    }
    clock.wallOffsetMs += 50_000;
    await using net = await createTestTasks({ path: file.path, clock, boot: 'b', placement: { choose: () => 'wait' } });
    await clock.advance(9_000);
    expect(net.journal.get(task)?.state).toBe('queued');
    await clock.advance(1_001);
    expect(net.journal.get(task)?.state).toBe('failed');
  });

  test('a task that ends the process each time is not begun without end', async () => {
    using file = disk();
    const task = draft();
    let begun = 0;
    for (let life = 0; life < 7; life += 1) {
      const net = await createTestTasks({ path: file.path });
      if (life === 0) await net.journal.submit(task);
      // As a process that is killed while it runs: begun, and never released.
      const [found] = await net.journal.recover();
      if (found !== undefined && found.crashes < 5) {
        await net.journal.begin(found.task, { owner: 'me' });
        begun += 1;
      }
      net.database.close();
    }
    await using net = await createTestTasks({ path: file.path, placement: { choose: () => ask } });
    expect(begun).toBe(5);
    expect(net.journal.get(task)).toMatchObject({ state: 'failed', outcome: { error: { code: 'unavailable' } } });
  });

  test('one that another node has is asked of that node first, at the same attempt; elsewhere it is the next', async () => {
    for (const [chosen, attempt] of [
      [ALICE, 1],
      [BOB, 2],
    ] as const) {
      using file = disk();
      const task = draft({ text: 'far' });
      {
        await using net = await createTestTasks({ path: file.path });
        await net.journal.begin((await net.journal.submit(task)).task, { owner: ALICE });
      }
      const owners: unknown[] = [];
      await using net = await createTestTasks({
        path: file.path,
        placement: {
          choose: ({ owner }) => {
            owners.push(owner);
            return { ...ask, owner: chosen };
          },
        },
      });
      expect(await net.runner.outcome(task, { signal: never })).toMatchObject({ text: `far 0 ${attempt}` });
      expect(owners).toEqual([ALICE]);
    }
  });

  test('one that another node has goes to no other while a call ran there that must never be repeated', async () => {
    using file = disk();
    const task = draft();
    {
      await using net = await createTestTasks({ path: file.path });
      const { fence, nextSeq } = await net.journal.begin((await net.journal.submit(task)).task, { owner: ALICE });
      await net.journal.step(fence, { seq: nextSeq, event: { type: 'intent', id: '1', name: 'pay' }, tokens: 0 });
    }
    await using net = await createTestTasks({ path: file.path, placement: { choose: () => ask } });
    expect(await net.runner.outcome(task, { signal: never })).toMatchObject({ state: 'unknown' });
  });

  test('what other nodes have used in the last hour still counts', async () => {
    using file = disk();
    const task = draft({ origin: ALICE });
    const clock = new VirtualClock();
    {
      await using net = await createTestTasks({ path: file.path, clock });
      const { fence, nextSeq } = await net.journal.begin((await net.journal.submit(task)).task, { owner: 'me' });
      await net.journal.step(fence, { seq: nextSeq, event: { type: 'step', entries: [] }, tokens: 1_000 });
    }
    await using net = await createTestTasks({
      path: file.path,
      clock,
      placement: { choose: () => 'wait' },
      options: { maxTokensPerPeerHour: 1_000 },
    });
    await expect(net.runner.submit(draft({ origin: ALICE }))).rejects.toMatchObject({ code: 'busy' });
    await net.runner.submit(draft({ origin: BOB }));
  });
});
