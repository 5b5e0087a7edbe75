import { openDatabase } from '@skein/engine';
import { SkeinError, type TaskEvent } from '@skein/protocol';
import { turns } from '@skein/testing';
import { describe, expect, test } from 'vitest';
import { call, hang, ScriptedBrain, say } from '../../test/scripted-brain.ts';
import { tool } from '../../test/test-agent.ts';
import {
  ALICE,
  aborted,
  agentExecutor,
  always,
  BOB,
  createTestTasks,
  done,
  draft,
  executor,
  ME,
  type TestTasks,
} from '../../test/test-tasks.ts';
import { sessionMigrations } from '../session/session-migrations.ts';
import type { Placement, TaskExecutor, TaskRef } from './task.ts';
import { taskMigrations } from './task-migrations.ts';

const never = new AbortController().signal;

async function watched(net: TestTasks, ref: TaskRef, after = 0): Promise<readonly TaskEvent[]> {
  const events: TaskEvent[] = [];
  for await (const { event } of net.runner.watch(ref, { after, signal: never })) events.push(event);
  return events;
}

/** An executor whose tasks run until they are let go, and those that do. */
function gate() {
  const running = new Map<string, () => void>();
  const began: string[] = [];
  const held = executor(async (task, { signal }) => {
    began.push(task.text);
    const { promise, resolve } = Promise.withResolvers<void>();
    running.set(task.text, resolve);
    await Promise.race([promise, aborted(signal)]).finally(() => running.delete(task.text));
    return done(task.text);
  });
  return { held, running, began, release: (text: string) => running.get(text)?.() };
}

/** Chooses the first of these that was not tried. */
function inOrder(...executors: readonly TaskExecutor[]): Placement {
  return { choose: (_, { tried }) => executors.find(({ owner }) => !tried.includes(owner)) };
}

const unavailable = (owner: TaskExecutor['owner'] = 'me') =>
  executor(async () => {
    throw new SkeinError('no brain answers', { code: 'unavailable' });
  }, owner);

describe('a task of this node', () => {
  test('runs, tells what happens, and leaves its turn in the conversation', async () => {
    const { executor: local } = agentExecutor({
      brain: new ScriptedBrain(call(['add', { a: 1 }]), say('2')),
      tools: [tool('add', (input) => Number(input.a) + 1)],
    });
    await using net = await createTestTasks({ placement: always(local) });
    const task = draft({ text: '1 + 1?' });
    await net.runner.submit(task);
    const types = (await watched(net, task)).map((event) => event.type);
    expect(types).toEqual(['turn-start', 'tool-call', 'step', 'tool-result', 'step', 'text-delta', 'step']);
    expect(net.journal.get(task)).toMatchObject({
      state: 'done',
      outcome: { text: '2', toolCalls: [{ name: 'add', ok: true }] },
    });
    const messages = net.sessions.read('s', { maxChars: 1e6 }).map(({ message }) => message.role);
    expect(messages).toEqual(['user', 'assistant', 'tool', 'assistant']);
  });

  test('begins with the conversation before it', async () => {
    const brain = new ScriptedBrain(say('one'), say('two'));
    await using net = await createTestTasks({ placement: always(agentExecutor({ brain }).executor) });
    await net.run(draft({ text: 'first' }));
    await net.run(draft({ text: 'second' }));
    expect(brain.requests[1]?.messages).toMatchObject([{ text: 'first' }, { text: 'one' }, { text: 'second' }]);
  });

  test('that fails keeps what its steps did in the conversation, and not the failure', async () => {
    const brain = new ScriptedBrain(call(['tick']), async function* () {
      yield { type: 'text-delta', text: 'half an' };
      throw new SkeinError('429', { code: 'busy' });
    });
    await using net = await createTestTasks({
      placement: always(agentExecutor({ brain, tools: [tool('tick', () => 1)] }).executor),
    });
    expect(await net.run(draft({ text: 'go' }))).toMatchObject({ state: 'failed', error: { code: 'busy', message: '429' } });
    const messages = net.sessions.read('s', { maxChars: 1e6 }).map(({ message }) => message);
    expect(messages).toMatchObject([{ text: 'go' }, { role: 'assistant', text: '' }, { role: 'tool', output: 1 }]);
  });

  test('that cannot be kept in its conversation still ends, saying why', async () => {
    const answering = executor(async () => done('x'.repeat(200)));
    await using net = await createTestTasks({ placement: always(answering) });
    const full = { appending: net.sessions.appending.bind(net.sessions) };
    net.sessions.appending = (sessionId, entries) => {
      if (JSON.stringify(entries).length > 200) throw new SkeinError('too long to keep', { code: 'too-large' });
      return full.appending(sessionId, entries);
    };
    const outcome = net.run(draft());
    await net.clock.advance(10);
    for (let tries = 0; tries < 20; tries += 1) await net.clock.advance(1_000);
    expect(await outcome).toMatchObject({ state: 'failed', error: { code: 'too-large' } });
  });

  test('whose conversation was deleted, and has no place any more, still ends', async () => {
    const [began, end] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const held = executor(async () => {
      began.resolve();
      await end.promise;
      return done();
    });
    await using net = await createTestTasks({ placement: always(held) });
    const outcome = net.run(draft());
    await began.promise;
    await net.sessions.delete('s');
    net.sessions.appending = () => () => {
      throw new SkeinError('There are 10000 conversations', { code: 'busy' });
    };
    end.resolve();
    for (let tries = 0; tries < 10; tries += 1) await net.clock.advance(1_000);
    expect(await outcome).toMatchObject({ state: 'failed', error: { code: 'busy' } });
  });

  test('whose steps are more than may be kept ends, saying so', async () => {
    const steps = ['one', 'two'].map((text) => ({
      message: { role: 'assistant' as const, text, toolCalls: [] },
      tainted: false,
    }));
    await using net = await createTestTasks({
      placement: always(executor(async () => done())),
      limits: { maxStepEntries: 1 },
    });
    expect(await net.run(draft({ steps }))).toMatchObject({ state: 'failed', error: { code: 'too-large' } });
  });

  test('counts the tokens that its brain reports', async () => {
    const brain = new ScriptedBrain(() => [
      { type: 'text-delta', text: 'ok' },
      { type: 'finish', reason: 'stop', usage: { inputTokens: 300, outputTokens: 20 } },
    ]);
    await using net = await createTestTasks({ placement: always(agentExecutor({ brain }).executor) });
    const task = draft();
    expect(await net.run(task)).toMatchObject({ tokens: 320 });
    expect(net.journal.get(task)).toMatchObject({ tokens: 320 });
  });
});

describe('a task of another node', () => {
  test('leaves nothing in the conversations of this one', async () => {
    const brain = new ScriptedBrain(say('hello'));
    const history = [{ message: { role: 'user', text: 'before' }, tainted: false }] as const;
    await using net = await createTestTasks({ placement: always(agentExecutor({ brain }).executor) });
    await net.run(draft({ origin: ALICE, history }));
    expect(brain.requests[0]?.messages).toMatchObject([{ text: 'before' }, { text: 'do it' }]);
    expect(net.sessions.list()).toEqual([]);
  });

  test('is neither offered nor given a tool that it may not use, nor told that there is one', async () => {
    let runs = 0;
    const brain = new ScriptedBrain(call(['secret_tool'], ['secret_tol'], ['open_tool']), say('ok'));
    const { executor: local } = agentExecutor({
      brain,
      tools: [tool('secret_tool', () => (runs += 1)), tool('open_tool', () => 'fine')],
      mayUse: (_, { name }) => name === 'open_tool',
    });
    await using net = await createTestTasks({ placement: always(local) });
    const task = draft({ origin: ALICE });
    await net.runner.submit(task);
    const results = (await watched(net, task)).filter((event) => event.type === 'tool-result');
    expect(brain.requests[0]?.tools.map(({ name }) => name)).toEqual(['open_tool']);
    expect(brain.requests[0]?.system).not.toContain('secret_tool');
    expect(results).toMatchObject([
      { name: 'secret_tool', ok: false, output: { code: 'denied' } },
      { name: 'secret_tol', ok: false, output: { error: expect.not.stringContaining('secret_tool') } },
      { name: 'open_tool', ok: true },
    ]);
    expect(runs).toBe(0);
  });

  test('is not told what this node remembers', async () => {
    const brain = new ScriptedBrain(say('ok'));
    const made = agentExecutor({ brain });
    await made.memory.write({ text: 'the harbour code is 1234', author: 'me', source: 'test', trusted: true });
    await using net = await createTestTasks({ placement: always(made.executor) });
    await net.run(draft({ text: 'harbour' }));
    await net.run(draft({ origin: ALICE, text: 'harbour' }));
    expect(brain.requests.map(({ system }) => system.includes('1234'))).toEqual([true, false]);
  });

  test('hands its path on to the tools, each call under a key of its own', async () => {
    const contexts: unknown[] = [];
    const look = tool('look', (_, { key, onBehalfOf }) => {
      contexts.push({ key, onBehalfOf });
      return null;
    });
    const { executor: local } = agentExecutor({
      brain: new ScriptedBrain(call(['look', { n: 1 }], ['look', { n: 2 }]), call(['look', { n: 3 }]), say('ok')),
      tools: [look],
    });
    await using net = await createTestTasks({ placement: always(local) });
    const task = draft({ origin: ALICE, path: [ALICE, BOB] });
    await net.run(task);
    expect(contexts).toEqual([1, 2, 3].map((n) => ({ key: `${task.id}:${n}`, onBehalfOf: [ALICE, BOB] })));
  });

  test('does not wait for a conversation of this node of the same name', async () => {
    const { held, began, release } = gate();
    await using net = await createTestTasks({ placement: always(held) });
    await net.runner.submit(draft({ text: 'mine' }));
    await net.runner.submit(draft({ origin: ALICE, text: 'theirs' }));
    await turns(8);
    expect(began).toEqual(['mine', 'theirs']);
    release('mine');
    release('theirs');
  });

  test('has a call that must never be repeated wait until its origin knows, and not run when it cannot be told', async () => {
    for (const reachable of [true, false]) {
      const steps: string[] = [];
      const { executor: local } = agentExecutor({
        brain: new ScriptedBrain(call(['pay']), say('ok')),
        tools: [tool('pay', () => steps.push('ran'), { effect: 'at-most-once' })],
      });
      await using net = await createTestTasks({
        placement: always(local),
        announce: async (_, { name }) => {
          steps.push(`told ${name}`);
          if (!reachable) throw new SkeinError('the origin is away', { code: 'unavailable' });
        },
      });
      const outcome = await net.run(draft({ origin: ALICE }));
      expect(outcome.state).toBe(reachable ? 'done' : 'failed');
      expect(steps).toEqual(reachable ? ['told pay', 'ran'] : ['told pay']);
    }
  });

  test('has the tokens of one hour, and then is refused until some of them are an hour old', async () => {
    const brain = new ScriptedBrain((request) => [
      { type: 'tool-call', call: { id: '', name: 'tick', input: { n: request.messages.length } } },
      { type: 'finish', reason: 'tool-calls', usage: { inputTokens: 900, outputTokens: 100 } },
    ]);
    const { executor: local } = agentExecutor({ brain, tools: [tool('tick', () => 1)], options: { maxSteps: 50 } });
    await using net = await createTestTasks({ placement: always(local), options: { maxTokensPerPeerHour: 5_000 } });
    const over = { code: 'busy', message: expect.stringContaining('maxTokensPerPeerHour') };
    expect(await net.run(draft({ origin: ALICE }))).toMatchObject({ state: 'failed', error: over, tokens: 5_000 });
    expect(brain.requests).toHaveLength(5);
    await expect(net.runner.submit(draft({ origin: ALICE }))).rejects.toMatchObject({ ...over, retryAfterMs: 3_660_000 });
    // What others have used, and what this node uses itself, is another matter.
    expect(await net.run(draft({ origin: BOB }))).toMatchObject({ error: over });
    expect(await net.run(draft())).toMatchObject({ error: { code: 'too-large' } });
    await net.clock.advance(3_660_000);
    expect(await net.run(draft({ origin: ALICE }))).toMatchObject({ error: over });
    expect(brain.requests.length).toBeLessThanOrEqual(5 + 5 + 50 + 5);
  });
});

describe('watching', () => {
  test('gives the same to those who come early, late and twice', async () => {
    const middle = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    const slow = executor(async (_, { emit }) => {
      await emit({ type: 'text-delta', text: 'a' });
      await emit({ type: 'step', entries: [{ message: { role: 'assistant', text: 'a', toolCalls: [] }, tainted: false }] });
      middle.resolve();
      await go.promise;
      await emit({ type: 'text-delta', text: 'b' });
      return done('ab');
    });
    await using net = await createTestTasks({ placement: always(slow) });
    const task = draft();
    await net.runner.submit(task);
    const early = watched(net, task);
    await middle.promise;
    const late = watched(net, task);
    go.resolve();
    expect((await early).map(({ type }) => type)).toEqual(['text-delta', 'step', 'text-delta']);
    expect(await late).toEqual(await early);
    // Once it has ended, the steps are what is left of it.
    expect((await watched(net, task)).map(({ type }) => type)).toEqual(['step']);
  });

  test('goes on after a number without telling anything twice', async () => {
    const talk = executor(async (_, { emit }) => {
      for (let n = 0; n < 20; n += 1) {
        await emit({ type: 'text-delta', text: `${n}` });
        if (n % 5 === 0) await emit({ type: 'step', entries: [] });
      }
      return done();
    });
    await using net = await createTestTasks({ placement: always(talk) });
    const task = draft();
    await net.runner.submit(task);
    const all: string[] = [];
    let at = 0;
    for (let more = true; more; ) {
      more = false;
      for await (const { seq, event } of net.runner.watch(task, { after: at, signal: never })) {
        expect(seq).toBeGreaterThan(at);
        at = seq;
        if (event.type === 'text-delta') all.push(event.text);
        more = true;
        if (all.length % 3 === 0) break;
      }
    }
    expect(all).toEqual(Array.from({ length: 20 }, (_, n) => `${n}`));
  });

  test('one who is slow misses some of what is live and none of the steps, and memory stays bounded', async () => {
    const flood = executor(async (_, { emit }) => {
      for (let n = 0; n < 400; n += 1) {
        await emit({ type: 'tool-output', id: 'x', delta: 'y'.repeat(20_000) });
        if (n % 100 === 0) await emit({ type: 'intent', id: `${n}`, name: 'step' });
      }
      return done();
    });
    await using net = await createTestTasks({ placement: always(flood) });
    const task = draft();
    await net.runner.submit(task);
    const watching = net.runner.watch(task, { signal: never });
    const first = await watching.next();
    await net.runner.outcome(task, { signal: never });
    const events = [first.value];
    for await (const event of watching) events.push(event);
    const intents = events.flatMap((told) =>
      told !== undefined && 'event' in told && told.event.type === 'intent' ? [told.event.id] : [],
    );
    expect(intents).toEqual(['0', '100', '200', '300']);
    expect(events.length).toBeLessThan(120);
  });

  test('ends with its signal, and of a task that is not known at once', async () => {
    await using net = await createTestTasks({ placement: always(agentExecutor({ brain: new ScriptedBrain(hang) }).executor) });
    const task = draft();
    await net.runner.submit(task);
    const controller = new AbortController();
    const watching = net.runner.watch(task, { signal: controller.signal });
    await watching.next();
    const read = watching.next();
    controller.abort();
    await expect(read).rejects.toMatchObject({ code: 'canceled' });
    await expect(net.runner.watch(draft(), { signal: never }).next()).rejects.toMatchObject({ code: 'not-found' });
  });
});

describe('which task is next', () => {
  test('as many as there are places, of one conversation one at a time and in order', async () => {
    const { held, began, release } = gate();
    await using net = await createTestTasks({ placement: always(held), options: { capacity: 2 } });
    for (const [text, session] of [
      ['a1', 'a'],
      ['a2', 'a'],
      ['b1', 'b'],
      ['c1', 'c'],
    ] as const) {
      await net.runner.submit(draft({ text, session }));
    }
    await turns(8);
    expect(began).toEqual(['a1', 'b1']);
    expect(net.runner.load()).toEqual({ running: 2, queued: 2, capacity: 2 });
    release('b1');
    await turns(8);
    expect(began).toEqual(['a1', 'b1', 'c1']);
    release('a1');
    await turns(8);
    expect(began.at(-1)).toBe('a2');
  });

  test('of one node the more urgent, and what waits long enough all the same', async () => {
    const { held, began, release } = gate();
    await using net = await createTestTasks({ placement: always(held), options: { capacity: 1 } });
    const submit = (text: string, priority: 'urgent' | 'normal' | 'low') =>
      net.runner.submit(draft({ text, session: text.replace(' ', '-'), priority, remainingMs: 3_600_000 }));
    await submit('first', 'normal');
    await turns(8);
    await submit('low', 'low');
    await submit('normal', 'normal');
    await submit('urgent', 'urgent');
    release('first');
    await turns(8);
    expect(began.at(-1)).toBe('urgent');
    await net.clock.advance(120_000);
    await submit('urgent later', 'urgent');
    release('urgent');
    await turns(8);
    expect(began.at(-1)).toBe('low');
  });

  test('a node that hands over many does not keep another waiting', async () => {
    const { held, began, release } = gate();
    await using net = await createTestTasks({ placement: always(held), options: { capacity: 2 } });
    for (let n = 0; n < 50; n += 1) {
      await net.runner.submit(draft({ origin: ALICE, text: `alice ${n}`, session: `${n}`, priority: 'urgent' }));
    }
    await turns(8);
    for (let n = 0; n < 3; n += 1)
      await net.runner.submit(draft({ origin: BOB, text: `bob ${n}`, session: `${n}`, priority: 'low' }));
    await net.runner.submit(draft({ text: 'mine' }));
    for (let round = 0; round < 6; round += 1) {
      release(began[round] ?? '');
      await turns(8);
    }
    const soon = began.slice(1, 7);
    expect(soon.filter((text) => text.startsWith('bob'))).toHaveLength(3);
    expect(soon).toContain('mine');
  });

  test('another node never has the last place: this node, or a third one, begins there at once', async () => {
    for (const origin of [ME, BOB]) {
      const { held, began, release } = gate();
      await using net = await createTestTasks({ placement: always(held), options: { capacity: 3 } });
      for (let n = 0; n < 20; n += 1) {
        await net.runner.submit(draft({ origin: ALICE, text: `alice ${n}`, session: `${n}`, priority: 'urgent' }));
      }
      await turns(8);
      expect(began).toEqual(['alice 0', 'alice 1']);
      expect(net.runner.load()).toEqual({ running: 2, queued: 18, capacity: 3 });
      expect([ALICE, BOB, ME].map((sender) => net.runner.freeFor(sender))).toEqual([0, 1, 1]);
      await net.runner.submit(draft({ origin, text: 'other', priority: 'low' }));
      await turns(8);
      expect(began).toEqual(['alice 0', 'alice 1', 'other']);
      expect([ALICE, BOB, ME].map((sender) => net.runner.freeFor(sender))).toEqual([0, 0, 0]);
      // The place that comes free is again not hers, but the one of hers is.
      release('other');
      await turns(8);
      expect(began).toHaveLength(3);
      release('alice 0');
      await turns(8);
      expect(began.slice(3)).toEqual(['alice 2']);
    }
  });

  test('the place that is kept is found behind however much another node has wait, and whatever this one has elsewhere', async () => {
    const { held, began } = gate();
    const far = gate();
    const away = executor((task, context) => far.held.run(task, context), BOB);
    const placement: Placement = {
      choose: ({ session }, { localFree }) => (session.startsWith('away') ? away : localFree ? held : 'wait'),
    };
    await using net = await createTestTasks({ placement, options: { capacity: 2 } });
    for (let n = 0; n < 5; n += 1) await net.runner.submit(draft({ text: `away ${n}`, session: `away-${n}` }));
    for (let n = 0; n < 40; n += 1) {
      await net.runner.submit(draft({ origin: ALICE, text: `alice ${n}`, session: `${n}`, priority: 'urgent' }));
    }
    await turns(8);
    await net.runner.submit(draft({ text: 'mine', priority: 'low' }));
    await turns(8);
    expect(far.began).toHaveLength(5);
    expect(began).toEqual(['alice 0', 'mine']);
  });

  test('its own work may have every place, and another node the only one', async () => {
    for (const [origin, capacity] of [
      [ME, 3],
      [ALICE, 1],
    ] as const) {
      const { held, began } = gate();
      await using net = await createTestTasks({ placement: always(held), options: { capacity } });
      for (let n = 0; n < 5; n += 1) await net.runner.submit(draft({ origin, text: `${n}`, session: `${n}` }));
      await turns(8);
      expect(began).toHaveLength(capacity);
    }
  });

  test('what goes to other nodes takes no place here', async () => {
    const { held, began } = gate();
    const away = executor((task, context) => held.run(task, context), BOB);
    await using net = await createTestTasks({ placement: always(away), options: { capacity: 2 } });
    for (let n = 0; n < 6; n += 1) await net.runner.submit(draft({ origin: ALICE, text: `${n}`, session: `${n}` }));
    await turns(8);
    expect(began).toHaveLength(6);
    expect(net.runner.freeFor(ALICE)).toBe(1);
  });

  test('tells each change of its load', async () => {
    const loads: unknown[] = [];
    const { held, release } = gate();
    await using net = await createTestTasks({
      placement: always(held),
      options: { capacity: 1 },
      onLoadChanged: ({ running, queued }) => loads.push([running, queued]),
    });
    await net.runner.submit(draft({ text: 'a', session: 'a' }));
    await net.runner.submit(draft({ text: 'b', session: 'b' }));
    await turns(8);
    release('a');
    await turns(8);
    release('b');
    await turns(8);
    expect(loads.at(-1)).toEqual([0, 0]);
    expect(loads).toContainEqual([1, 1]);
    expect(new Set(loads.map((load, at) => JSON.stringify(load) === JSON.stringify(loads[at - 1])))).toEqual(new Set([false]));
  });
});

describe('cancel', () => {
  test.each(['queued', 'running'])('ends a task that is %s', async (state) => {
    const { held, running, release } = gate();
    await using net = await createTestTasks({ placement: always(held), options: { capacity: 1 } });
    const first = draft({ text: 'first', session: '1' });
    const second = draft({ text: 'second', session: '2' });
    await net.runner.submit(first);
    await net.runner.submit(second);
    await turns(8);
    const task = state === 'queued' ? second : first;
    const outcome = net.runner.outcome(task, { signal: never });
    expect(await net.runner.cancel(task)).toBe('canceled');
    expect(await outcome).toMatchObject({ state: 'canceled', error: { code: 'canceled' } });
    await turns(8);
    expect([...running.keys()]).toEqual([state === 'queued' ? 'first' : 'second']);
    release('first');
    release('second');
  });

  test('ends one at the very moment it is taken in, or begun', async () => {
    const { held, began } = gate();
    await using net = await createTestTasks({ placement: always(held) });
    for (let later = 0; later < 6; later += 1) {
      const task = draft({ session: `${later}`, text: `${later}` });
      await net.runner.submit(task);
      await turns(later);
      expect(await net.runner.cancel(task)).toBe('canceled');
      expect(net.journal.get(task)?.outcome).toMatchObject({ state: 'canceled' });
    }
    expect(began.length).toBeGreaterThan(0);
    expect(net.runner.load()).toMatchObject({ running: 0, queued: 0 });
  });

  test('of one that has ended says how it did; of one that is not known, that', async () => {
    await using net = await createTestTasks({ placement: always(executor(async () => done())) });
    const task = draft();
    await net.run(task);
    expect(await net.runner.cancel(task)).toBe('done');
    await expect(net.runner.cancel(draft())).rejects.toMatchObject({ code: 'not-found' });
  });

  test('says so when a call was running of which nobody knows the end', async () => {
    const begun = Promise.withResolvers<void>();
    const pay = tool(
      'pay',
      (_, { signal }) => {
        begun.resolve();
        return aborted(signal);
      },
      { effect: 'at-most-once' },
    );
    const { executor: local } = agentExecutor({ brain: new ScriptedBrain(call(['pay']), say('ok')), tools: [pay] });
    await using net = await createTestTasks({ placement: always(local) });
    const task = draft();
    await net.runner.submit(task);
    await begun.promise;
    expect(await net.runner.cancel(task)).toBe('canceled');
    expect(net.journal.get(task)?.outcome?.error?.message).toMatch(/pay was running: nobody knows/);
  });
});

describe('a deadline', () => {
  test('ends what runs and what waits', async () => {
    const { held } = gate();
    await using net = await createTestTasks({ placement: always(held), options: { capacity: 1 } });
    const tasks = [
      draft({ text: 'runs', session: '1', remainingMs: 5_000 }),
      draft({ text: 'waits', session: '2', remainingMs: 4_000 }),
    ];
    for (const task of tasks) await net.runner.submit(task);
    const outcomes = tasks.map((task) => net.runner.outcome(task, { signal: never }));
    await turns(8);
    await net.clock.advance(3_999);
    expect(tasks.map((task) => net.journal.get(task)?.state)).toEqual(['running', 'queued']);
    await net.clock.advance(2_000);
    const late = { state: 'failed', error: { code: 'deadline-exceeded' } };
    expect(await Promise.all(outcomes)).toMatchObject([late, late]);
  });

  test('how long ago the last node failed is told by a clock that does not jump', async () => {
    const told: number[] = [];
    const choose: Placement['choose'] = (_, { tried, sinceFailureMs }) => {
      if (tried.length === 0) return unavailable(ALICE);
      told.push(sinceFailureMs);
      return 'wait';
    };
    await using net = await createTestTasks({ placement: { choose } });
    await net.runner.submit(draft());
    await turns(8);
    for (const setMs of [3_600_000, -7_200_000]) {
      net.clock.wallOffsetMs += setMs;
      await net.clock.advance(1_000);
      net.runner.wake();
      await turns(8);
    }
    expect([told[0], ...told.slice(-2)]).toEqual([0, 1_000, 2_000]);
  });

  test('is not moved by a wall clock that jumps', async () => {
    const { held, release } = gate();
    await using net = await createTestTasks({ placement: always(held) });
    const task = draft({ remainingMs: 60_000 });
    const outcome = net.run(task);
    await turns(8);
    net.clock.wallOffsetMs += 3_600_000;
    await net.clock.advance(1_000);
    net.clock.wallOffsetMs -= 7_200_000;
    await net.clock.advance(1_000);
    release('do it');
    expect(await outcome).toMatchObject({ state: 'done' });
  });

  test('is kept though nobody can take the task, and the executor takes no notice', async () => {
    await using nobody = await createTestTasks({ placement: { choose: () => undefined } });
    await using deaf = await createTestTasks({ placement: always(executor(() => new Promise(() => {}))) });
    for (const net of [nobody, deaf]) {
      const outcome = net.run(draft({ remainingMs: 1_000 }));
      await turns(8);
      await net.clock.advance(1_001);
      expect(await outcome).toMatchObject({ error: { code: 'deadline-exceeded' } });
    }
  });
});

describe('placing', () => {
  test('goes to another when the first cannot be reached, from its steps and under the next attempt', async () => {
    const steps = [{ message: { role: 'assistant', text: 'half', toolCalls: [] }, tainted: false }] as const;
    const first = executor(async (_, { emit }) => {
      await emit({
        type: 'step',
        entries: [...steps].map((entry) => ({ ...entry, message: { ...entry.message, toolCalls: [] } })),
      });
      throw new SkeinError('gone', { code: 'unavailable' });
    }, ALICE);
    const seen: unknown[] = [];
    const second = executor(async (task, context) => {
      seen.push(task.attempt, context.steps);
      return done('whole');
    }, BOB);
    await using net = await createTestTasks({ placement: inOrder(first, second) });
    const task = draft();
    expect(await net.run(task)).toMatchObject({ state: 'done', text: 'whole' });
    expect(seen).toEqual([2, steps]);
    expect(net.journal.get(task)).toMatchObject({ attempt: 2, owner: BOB });
  });

  test('goes to another though the disk refuses for a moment', async () => {
    const here = executor(async () => done('here'));
    await using net = await createTestTasks({ placement: inOrder(unavailable(ALICE), here) });
    const keep = net.journal.release.bind(net.journal);
    let refusals = 2;
    net.journal.release = async (fence) => {
      refusals -= 1;
      if (refusals >= 0) throw new SkeinError('the disk is full', { code: 'unavailable' });
      return keep(fence);
    };
    const outcome = net.run(draft());
    for (let tries = 0; tries < 5; tries += 1) await net.clock.advance(1_000);
    expect(await outcome).toMatchObject({ state: 'done', text: 'here' });
  });

  test('that cannot be put back at all is told to those who watch', async () => {
    await using net = await createTestTasks({ placement: inOrder(unavailable(ALICE)) });
    net.journal.release = async () => {
      throw new SkeinError('the disk is full', { code: 'unavailable' });
    };
    const outcome = expect(net.run(draft())).rejects.toMatchObject({ message: 'the disk is full' });
    for (let tries = 0; tries < 10; tries += 1) await net.clock.advance(1_000);
    await outcome;
  });

  test('a task whose row is damaged stops no other, and not the process', async () => {
    let open = false;
    const here = executor(async ({ text }) => done(text));
    await using net = await createTestTasks({ placement: { choose: () => (open ? here : 'wait') } });
    const [damaged, whole] = [draft({ session: '1' }), draft({ session: '2', text: 'whole' })];
    await net.runner.submit(damaged);
    await net.runner.submit(whole);
    await net.database.write((writer) => writer.run("UPDATE tasks SET title = 'x' WHERE id = ?", damaged.id));
    open = true;
    net.runner.wake();
    expect(await net.runner.outcome(whole, { signal: never })).toMatchObject({ text: 'whole' });
    for (let tries = 0; tries < 10; tries += 1) await net.clock.advance(1_000);
    expect(net.errors).toMatchObject(Array.from({ length: 5 }, () => ({ code: 'corrupt' })));
  });

  test('ends as unknown when it cannot be reached while a call ran that must never be repeated', async () => {
    const first = executor(async (_, { emit }) => {
      await emit({ type: 'intent', id: '1', name: 'pay' });
      throw new SkeinError('gone', { code: 'unavailable' });
    }, ALICE);
    let again = 0;
    const second = executor(async () => {
      again += 1;
      return done();
    }, BOB);
    await using net = await createTestTasks({ placement: inOrder(first, second) });
    expect(await net.run(draft())).toMatchObject({ state: 'unknown', error: { message: expect.stringContaining('pay') } });
    expect(again).toBe(0);
  });

  test('ends with the last failure when nobody is left, and after so many tries', async () => {
    const failed = { state: 'failed', error: { code: 'unavailable', message: 'no brain answers' } };
    await using none = await createTestTasks({ placement: inOrder(unavailable(), unavailable(ALICE)) });
    expect(await none.run(draft())).toMatchObject(failed);
    let tries = 0;
    const counting = executor(async () => {
      tries += 1;
      throw new SkeinError('no brain answers', { code: 'unavailable' });
    }, ALICE);
    await using same = await createTestTasks({ placement: always(counting), options: { maxTries: 3 } });
    expect(await same.run(draft())).toMatchObject(failed);
    expect(tries).toBe(3);
  });

  test('one who has no room has not had it: it waits as long as it may, under the same attempt', async () => {
    let room = false;
    const attempts: number[] = [];
    const full = executor(async (task) => {
      attempts.push(task.attempt);
      if (!room) throw new SkeinError('full', { code: 'busy', retryAfterMs: 1_000 });
      return done('there');
    }, ALICE);
    await using net = await createTestTasks({ placement: always(full), options: { maxTries: 2 } });
    const task = draft({ remainingMs: 60_000 });
    const outcome = net.run(task);
    while (attempts.length < 5) await turns(8);
    room = true;
    expect(await outcome).toMatchObject({ state: 'done', text: 'there' });
    expect(new Set(attempts)).toEqual(new Set([1]));
    // Where there is room only when its time is over, another may be asked, and nobody waits for nothing.
    room = false;
    const late = draft({ remainingMs: 500 });
    expect(await net.run(late)).toMatchObject({ state: 'failed', error: { code: 'unavailable', message: 'full' } });
  });

  test("another node's task goes back to it, which chooses who is next", async () => {
    await using net = await createTestTasks({
      placement: inOrder(
        unavailable(),
        executor(async () => done(), BOB),
      ),
    });
    expect(await net.run(draft({ origin: ALICE }))).toMatchObject({ state: 'failed', error: { code: 'unavailable' } });
  });

  test('goes elsewhere when all places are taken, where the placement says so', async () => {
    const { held, release } = gate();
    const over = executor(async () => done('elsewhere'), ALICE);
    await using net = await createTestTasks({
      placement: { choose: (_, { localFree }) => (localFree ? held : over) },
      options: { capacity: 1 },
    });
    const first = net.run(draft({ session: '1', text: 'here' }));
    expect(await net.run(draft({ session: '2' }))).toMatchObject({ text: 'elsewhere' });
    release('here');
    await first;
  });

  test('waits, and is asked about again when something changed', async () => {
    let open = false;
    const ready = executor(async () => done());
    await using net = await createTestTasks({ placement: { choose: () => (open ? ready : 'wait') } });
    const outcome = net.run(draft());
    await turns(8);
    expect(net.runner.load()).toMatchObject({ queued: 1, running: 0 });
    open = true;
    net.runner.wake();
    expect(await outcome).toMatchObject({ state: 'done' });
  });
});

describe('handed over again', () => {
  test('the same attempt is answered with what came of it, and run once', async () => {
    let runs = 0;
    await using net = await createTestTasks({
      placement: always(
        executor(async () => {
          runs += 1;
          return done(`run ${runs}`);
        }),
      ),
    });
    const task = draft({ origin: ALICE });
    const both = await Promise.all([net.runner.submit(task), net.runner.submit(task)]);
    expect(both.map(({ duplicate }) => duplicate).sort()).toEqual([false, true]);
    await net.runner.outcome(task, { signal: never });
    expect(await net.runner.submit(task)).toMatchObject({ duplicate: true, task: { state: 'done' } });
    expect(await net.runner.outcome(task, { signal: never })).toMatchObject({ text: 'run 1' });
    expect(runs).toBe(1);
  });

  test('a higher attempt stops the run of the one before, and goes on from the steps it brings', async () => {
    const began: unknown[] = [];
    const slow = executor(async (task, { steps, signal }) => {
      began.push([task.attempt, steps.length]);
      if (task.attempt === 1) await aborted(signal);
      return done(`attempt ${task.attempt}`);
    });
    await using net = await createTestTasks({ placement: always(slow) });
    const task = draft({ origin: ALICE });
    await net.runner.submit(task);
    const outcome = net.runner.outcome(task, { signal: never });
    await turns(8);
    const steps = [{ message: { role: 'user', text: 'x' }, tainted: false }] as const;
    await net.runner.submit({ ...task, attempt: 3, steps });
    expect(await outcome).toMatchObject({ text: 'attempt 3' });
    expect(began).toEqual([
      [1, 0],
      [3, 1],
    ]);
    await expect(net.runner.submit({ ...task, attempt: 2 })).rejects.toMatchObject({ code: 'conflict' });
  });

  test('a run that was overtaken can write nothing more', async () => {
    const emits: Promise<unknown>[] = [];
    const late = Promise.withResolvers<void>();
    const deaf = executor(async (task, { emit }) => {
      if (task.attempt > 1) return done('second');
      await late.promise;
      emits.push(emit({ type: 'step', entries: [] }).catch((thrown: unknown) => thrown));
      return done('first');
    });
    await using net = await createTestTasks({ placement: always(deaf) });
    const task = draft({ origin: ALICE });
    await net.runner.submit(task);
    await turns(8);
    await net.runner.submit({ ...task, attempt: 2 });
    expect(await net.runner.outcome(task, { signal: never })).toMatchObject({ text: 'second' });
    late.resolve();
    await turns(8);
    expect(await emits[0]).toMatchObject({ code: 'conflict' });
    expect(net.journal.get(task)?.outcome).toMatchObject({ text: 'second' });
  });
});

describe('confirming', () => {
  test('reaches the call that asks, and only for its own task', async () => {
    const opened: unknown[] = [];
    const { executor: local } = agentExecutor({
      brain: new ScriptedBrain((request, signal) =>
        (request.messages.at(-1)?.role === 'tool' ? say('ok') : call(['open_door']))(request, signal),
      ),
      tools: [tool('open_door', () => opened.push(1), { effect: 'idempotent' })],
      options: { confirmBeforeAct: true },
    });
    await using net = await createTestTasks({ placement: always(local) });
    const [mine, other] = [draft({ interactive: true }), draft({ interactive: true, origin: ALICE })];
    await net.runner.submit(mine);
    await net.runner.submit(other);
    for await (const { event } of net.runner.watch(other, { signal: never })) if (event.type === 'confirm-request') break;
    for await (const { event } of net.runner.watch(mine, { signal: never })) {
      if (event.type !== 'confirm-request') continue;
      expect(await net.runner.confirm(other, event.id, true)).toBe(false);
      expect(await net.runner.confirm(mine, 'guess', true)).toBe(false);
      expect(opened).toEqual([]);
      expect(await net.runner.confirm(mine, event.id, true)).toBe(true);
    }
    expect(opened).toEqual([1]);
    await net.runner.cancel(other);
  });
});

describe('taken up again by a person', () => {
  test('a failed task goes on from its steps under the next attempt', async () => {
    let fail = true;
    const runs: number[] = [];
    const brain = new ScriptedBrain(call(['count']), async function* () {
      if (fail) throw new SkeinError('later', { code: 'busy' });
      yield { type: 'text-delta', text: 'counted' };
      yield { type: 'finish', reason: 'stop' };
    });
    const { executor: local } = agentExecutor({ brain, tools: [tool('count', () => runs.push(1))] });
    await using net = await createTestTasks({ placement: always(local) });
    const task = draft({ text: 'go' });
    expect(await net.run(task)).toMatchObject({ state: 'failed' });
    fail = false;
    await net.runner.retry(task, { remainingMs: 60_000 });
    expect(await net.runner.outcome(task, { signal: never })).toMatchObject({ state: 'done', text: 'counted' });
    expect(runs).toHaveLength(1);
    expect(net.journal.get(task)?.attempt).toBe(2);
    const roles = net.sessions.read('s', { maxChars: 1e6 }).map(({ message }) => message.role);
    expect(roles).toEqual(['user', 'assistant', 'tool', 'assistant']);
  });

  test('is refused for one that is done, that runs, or that is of another node', async () => {
    await using net = await createTestTasks({ placement: always(executor(async () => done())) });
    const [own, other] = [draft(), draft({ origin: ALICE })];
    await net.run(own);
    await net.run(other);
    await expect(net.runner.retry(own, { remainingMs: 1 })).rejects.toMatchObject({ code: 'conflict' });
    await expect(net.runner.retry(other, { remainingMs: 1 })).rejects.toMatchObject({ code: 'denied' });
    await expect(net.runner.retry(draft(), { remainingMs: 1 })).rejects.toMatchObject({ code: 'not-found' });
  });
});

describe('starting', () => {
  test('goes on with its own tasks, and ends those of others, whose sessions are over, before it takes any in', async () => {
    const database = openDatabase({ path: ':memory:', migrations: [...sessionMigrations, ...taskMigrations] });
    const { held } = gate();
    const before = await createTestTasks({ database, placement: always(held) });
    const [own, running, waiting] = [
      draft({ session: '1' }),
      draft({ origin: ALICE, session: '2' }),
      draft({ origin: ALICE, path: [ALICE, BOB], session: '3' }),
    ];
    for (const task of [own, running, waiting]) await before.runner.submit(task);
    await turns(8);
    await before.runner[Symbol.asyncDispose]();
    const ran: string[] = [];
    const local = executor(async ({ id }) => {
      ran.push(id);
      return done();
    });
    await using after = await createTestTasks({ database, placement: always(local) });
    expect([running, waiting].map((task) => after.journal.get(task))).toMatchObject([
      { state: 'canceled', outcome: { error: { code: 'unavailable' } } },
      { state: 'canceled', outcome: { error: { code: 'unavailable' } } },
    ]);
    expect(after.runner.openOf(ALICE) + after.runner.openOf(BOB)).toBe(0);
    expect(await after.runner.outcome(own, { signal: never })).toMatchObject({ state: 'done' });
    expect(ran).toEqual([own.id]);
    // Whoever still wants it says so.
    expect(await after.run({ ...running, attempt: 2 })).toMatchObject({ state: 'done' });
    expect(ran).toEqual([own.id, running.id]);
  });
});

describe('stopping', () => {
  test('leaves what runs in the journal, and tells those who watch', async () => {
    const { held } = gate();
    const net = await createTestTasks({ placement: always(held) });
    const task = draft();
    await net.runner.submit(task);
    const outcome = net.runner.outcome(task, { signal: never });
    outcome.catch(() => undefined);
    await turns(8);
    await net.runner[Symbol.asyncDispose]();
    await expect(outcome).rejects.toMatchObject({ code: 'unavailable' });
    expect(net.journal.get(task)).toMatchObject({ state: 'queued' });
    await expect(net.runner.submit(draft())).rejects.toMatchObject({ code: 'unavailable' });
    net.database.close();
  });

  test('waits a little for a call that must never be repeated, so that its end is known', async () => {
    const begun = Promise.withResolvers<void>();
    const paid = Promise.withResolvers<void>();
    const pay = tool(
      'pay',
      async () => {
        begun.resolve();
        await paid.promise;
        return 'paid';
      },
      { effect: 'at-most-once' },
    );
    const { executor: local } = agentExecutor({ brain: new ScriptedBrain(call(['pay']), hang), tools: [pay] });
    const net = await createTestTasks({ placement: always(local) });
    const task = draft();
    await net.runner.submit(task);
    await begun.promise;
    const stopped = net.runner[Symbol.asyncDispose]();
    await turns(8);
    paid.resolve();
    await stopped;
    const kept = net.journal.steps(task).flatMap(({ event }) => (event.type === 'step' ? event.entries : []));
    expect(kept.at(-1)).toMatchObject({ message: { role: 'tool', output: 'paid' } });
    net.database.close();
  });
});

test('the node of these tests is none of the others', () => {
  expect(new Set([ME, ALICE, BOB]).size).toBe(3);
});
