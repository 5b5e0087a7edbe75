import { getEventListeners } from 'node:events';
import { SkeinError } from '@skein/protocol';
import { describe, expect, test } from 'vitest';
import { call, hang, ScriptedBrain, say } from '../../test/scripted-brain.ts';
import { collect, createTestAgent, eventsOf, tool } from '../../test/test-agent.ts';

const aborted = (signal: AbortSignal) => new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));

describe('a turn', () => {
  test('passes text on as it comes and ends with the whole answer', async () => {
    await using net = createTestAgent({ brain: new ScriptedBrain(say('Hel', 'lo')) });
    const events = await collect(net.ask('hi'));
    expect(events.map((event) => event.type)).toEqual(['turn-start', 'text-delta', 'text-delta', 'answer']);
    expect(events.at(-1)).toEqual({ type: 'answer', text: 'Hello', toolCalls: [] });
    expect(net.messages()).toEqual([
      { role: 'user', text: 'hi' },
      { role: 'assistant', text: 'Hello', toolCalls: [] },
    ]);
  });

  test('runs tools, gives their results back, and remembers all of it in the next turn', async () => {
    const brain = new ScriptedBrain(call(['add', { a: 1 }]), say('2'), say('as before'));
    await using net = createTestAgent({ brain, tools: [tool('add', (input) => Number(input.a) + 1)] });
    const events = await collect(net.ask('1 + 1?'));
    expect(eventsOf(events, 'tool-result')).toMatchObject([{ name: 'add', ok: true, output: 2, peer: null }]);
    expect(eventsOf(events, 'answer')).toMatchObject([{ text: '2', toolCalls: [{ name: 'add', ok: true }] }]);
    await collect(net.ask('again?'));
    expect(brain.requests[2]?.messages.map((message) => message.role)).toEqual([
      'user',
      'assistant',
      'tool',
      'assistant',
      'user',
    ]);
    expect(brain.requests[1]?.messages[2]).toMatchObject({ role: 'tool', output: 2, ok: true });
  });

  test('tells the brain its name, the date and the machines with their tools', async () => {
    const brain = new ScriptedBrain(say('ok'));
    const remote = tool('system_info', () => 1, { peer: { name: 'us-monitor', id: 'aaaa' } });
    await using net = createTestAgent({ brain, tools: [remote], options: { name: 'coordinator', instructions: 'Be kind.' } });
    await collect(net.ask('hi'));
    const system = brain.requests[0]?.system ?? '';
    for (const part of ['coordinator', String(new Date().getUTCFullYear()), 'us-monitor/system_info', 'Be kind.']) {
      expect(system).toContain(part);
    }
    expect(brain.requests[0]?.tools.map((offered) => offered.name)).toContain('us-monitor/system_info');
  });

  test('keeps what the user said before the brain is asked', async () => {
    const seen: unknown[] = [];
    await using net = createTestAgent({
      brain: new ScriptedBrain((request) => {
        seen.push(...net.messages());
        return say('ok')(request, new AbortController().signal);
      }),
    });
    await collect(net.ask('kept'));
    expect(seen).toEqual([{ role: 'user', text: 'kept' }]);
  });

  test.each(['', '   ', 'x'.repeat(40_000)])('with a text that cannot be taken is refused', async (text) => {
    const brain = new ScriptedBrain(say('ok'));
    await using net = createTestAgent({ brain });
    expect((await collect(net.ask(text))).map((event) => event.type)).toEqual(['error']);
    expect(brain.requests).toEqual([]);
    expect(net.sessions.list()).toEqual([]);
  });

  test('in a database that cannot be written is refused before the brain is asked', async () => {
    const brain = new ScriptedBrain(say('ok'));
    const net = createTestAgent({ brain });
    net.database.close();
    expect(await collect(net.ask('hi'))).toMatchObject([{ type: 'error', code: 'unavailable' }]);
    expect(brain.requests).toEqual([]);
  });
});

describe('tool calls', () => {
  test('of one step overlap', async () => {
    const both = Promise.withResolvers<string>();
    let running = 0;
    const meet = (name: string) =>
      tool(name, () => {
        running += 1;
        if (running === 2) both.resolve('met');
        return both.promise;
      });
    await using net = createTestAgent({
      brain: new ScriptedBrain(call(['left'], ['right']), say('ok')),
      tools: [meet('left'), meet('right')],
    });
    const events = await collect(net.ask('go'));
    expect(eventsOf(events, 'tool-result').map((event) => event.output)).toEqual(['met', 'met']);
  });

  test('run at most so many at a time', async () => {
    let running = 0;
    let most = 0;
    const count = tool('count', async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      return null;
    });
    const calls = Array.from({ length: 20 }, (_, n) => ['count', { n }] as const);
    await using net = createTestAgent({
      brain: new ScriptedBrain(call(...calls), say('ok')),
      tools: [count],
      options: { maxParallelTools: 3 },
    });
    expect(eventsOf(await collect(net.ask('go')), 'tool-result')).toHaveLength(20);
    expect(most).toBe(3);
  });

  test('begin while the brain still speaks', async () => {
    const ran = Promise.withResolvers<void>();
    const brain = new ScriptedBrain(async function* () {
      yield { type: 'tool-call', call: { id: '1', name: 'ping', input: {} } };
      await ran.promise;
      yield { type: 'finish', reason: 'tool-calls' };
    }, say('ok'));
    const ping = tool('ping', () => {
      ran.resolve();
      return 'pong';
    });
    await using net = createTestAgent({ brain, tools: [ping] });
    expect((await collect(net.ask('go'))).at(-1)).toMatchObject({ type: 'answer' });
  });

  test('pass partial output on before their result', async () => {
    const chatty = tool('chatty', async (_, { emit }) => {
      await emit('one ');
      await emit('two');
      return 'done';
    });
    await using net = createTestAgent({ brain: new ScriptedBrain(call(['chatty']), say('ok')), tools: [chatty] });
    const types = (await collect(net.ask('go'))).map((event) => event.type);
    expect(types).toEqual(['turn-start', 'tool-call', 'tool-output', 'tool-output', 'tool-result', 'text-delta', 'answer']);
  });

  test.each([
    ['a tool that does not exist', 'shell_exce', /no tool .*shell_exce.* nearest are shell_exec/],
    ['a tool that throws', 'throws', /it broke/],
    ['a tool that returns what is not JSON', 'circular', /not JSON/],
    ['input that the schema refuses', 'memory_search', /memory_search/],
  ])('of %s give the brain a result that says so', async (_, name, words) => {
    const brain = new ScriptedBrain(call([name, { wrong: true }]), say('sorry'));
    const circular: { self?: unknown } = {};
    circular.self = circular;
    await using net = createTestAgent({
      brain,
      tools: [
        tool('throws', () => {
          throw new Error('it broke');
        }),
        { ...tool('circular', () => null), run: async () => circular as never },
        tool('shell_exec', () => null),
      ],
    });
    const events = await collect(net.ask('go'));
    expect(events.at(-1)).toMatchObject({ type: 'answer', toolCalls: [{ name, ok: false }] });
    const result = brain.requests[1]?.messages.at(-1);
    expect(result).toMatchObject({ role: 'tool', ok: false });
    expect(JSON.stringify(result)).toMatch(words);
  });

  test('with the same id are told apart', async () => {
    const brain = new ScriptedBrain(
      () => [
        { type: 'tool-call', call: { id: '', name: 'echo', input: { n: 1 } } },
        { type: 'tool-call', call: { id: '', name: 'echo', input: { n: 2 } } },
        { type: 'finish', reason: 'tool-calls' },
      ],
      say('ok'),
    );
    await using net = createTestAgent({ brain, tools: [tool('echo', (input) => Number(input.n))] });
    await collect(net.ask('go'));
    const [, assistant, ...results] = net.messages();
    const ids = assistant?.role === 'assistant' ? assistant.toolCalls.map((one) => one.id) : [];
    expect(new Set(ids).size).toBe(2);
    expect(results.slice(0, 2).map((result) => result.role === 'tool' && [result.callId, result.output])).toEqual([
      [ids[0], 1],
      [ids[1], 2],
    ]);
  });

  test('whose output is too long are cut, with a note', async () => {
    const brain = new ScriptedBrain(call(['long'], ['wide']), say('ok'));
    await using net = createTestAgent({
      brain,
      tools: [tool('long', () => 'x'.repeat(1_000_000)), tool('wide', () => Array.from({ length: 100_000 }, (_, n) => n))],
      options: { maxToolOutputChars: 1_000 },
    });
    await collect(net.ask('go'));
    for (const message of brain.requests[1]?.messages.slice(2) ?? []) {
      expect(JSON.stringify(message).length).toBeLessThan(1_300);
      expect(JSON.stringify(message)).toMatch(/cut here: \d+ (?:characters|items) in all/);
    }
  });

  test('that flood partial output without waiting are bounded', async () => {
    const flood = tool('flood', (_, { emit }) => {
      for (let n = 0; n < 200_000; n += 1) void emit('0123456789');
      return 'done';
    });
    await using net = createTestAgent({
      brain: new ScriptedBrain(call(['flood']), say('ok')),
      tools: [flood],
      options: { maxDeltaChars: 50_000 },
    });
    const events = await collect(net.ask('go'));
    const shown = eventsOf(events, 'tool-output').map((event) => event.delta);
    expect(shown.join('').length).toBeLessThan(50_100);
    expect(shown.at(-1)).toMatch(/more output is not shown/);
    expect(events.at(-1)).toMatchObject({ type: 'answer' });
  });

  test('that talk on without waiting, whose turn was canceled, do not end the process', async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', note);
    const talking = tool('talking', (_, { emit }) => {
      for (let n = 0; n < 10_000; n += 1) void emit('0123456789');
      return new Promise<never>(() => {});
    });
    await using net = createTestAgent({ brain: new ScriptedBrain(call(['talking'])), tools: [talking] });
    const stop = new AbortController();
    const turn = collect(net.ask('go', { signal: stop.signal }), (event) => {
      if (event.type === 'tool-output') stop.abort();
    });
    await expect(turn).rejects.toMatchObject({ code: 'canceled' });
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
  });

  test('that take too long are stopped and the turn goes on', async () => {
    const stopped = Promise.withResolvers<void>();
    const slow = tool('slow', async (_, { signal }) => {
      await aborted(signal);
      stopped.resolve();
      return new Promise<never>(() => {});
    });
    const brain = new ScriptedBrain(call(['slow']), say('sorry'));
    await using net = createTestAgent({ brain, tools: [slow], options: { toolTimeoutMs: 20 } });
    expect((await collect(net.ask('go'))).at(-1)).toMatchObject({ type: 'answer' });
    expect(brain.requests[1]?.messages.at(-1)).toMatchObject({ ok: false, output: { code: 'deadline-exceeded' } });
    await stopped.promise;
  });

  test('repeated word for word are not run without end', async () => {
    let runs = 0;
    const again = tool('again', () => {
      runs += 1;
      return runs;
    });
    const brain = new ScriptedBrain(call(['again']), call(['again']), call(['again']), call(['again']), say('ok'));
    await using net = createTestAgent({ brain, tools: [again] });
    const events = await collect(net.ask('go'));
    expect(runs).toBe(3);
    expect(eventsOf(events, 'tool-result').map((event) => event.ok)).toEqual([true, true, true, false]);
  });

  test('without number end the turn', async () => {
    let runs = 0;
    const brain = new ScriptedBrain(async function* () {
      for (let n = 0; ; n += 1) yield { type: 'tool-call', call: { id: `${n}`, name: 'tick', input: { n } } };
    });
    await using net = createTestAgent({ brain, tools: [tool('tick', () => (runs += 1))], options: { maxToolCalls: 20 } });
    expect((await collect(net.ask('go'))).at(-1)).toMatchObject({ type: 'error', code: 'too-large' });
    expect(runs).toBeLessThanOrEqual(20);
  });
});

describe('a brain', () => {
  test('that never stops calling tools ends at the step limit, saying so', async () => {
    let runs = 0;
    const brain = new ScriptedBrain((request, signal) => call(['tick', { n: request.messages.length }])(request, signal));
    await using net = createTestAgent({ brain, tools: [tool('tick', () => (runs += 1))], options: { maxSteps: 4 } });
    const events = await collect(net.ask('go'));
    expect(events.at(-1)).toMatchObject({ type: 'error', code: 'too-large', message: expect.stringContaining('4 steps') });
    expect(runs).toBe(3);
  });

  test('that has used up the tokens of a turn is not asked again, and what its tools did is kept', async () => {
    const brain = new ScriptedBrain((request) => [
      { type: 'tool-call', call: { id: '1', name: 'tick', input: { n: request.messages.length } } },
      { type: 'finish', reason: 'tool-calls', usage: { inputTokens: 300, outputTokens: 100 } },
    ]);
    await using net = createTestAgent({ brain, tools: [tool('tick', () => 1)], options: { maxTurnTokens: 1_000 } });
    expect((await collect(net.ask('go'))).at(-1)).toMatchObject({
      type: 'error',
      code: 'too-large',
      message: expect.stringContaining('1200 tokens'),
    });
    expect(brain.requests).toHaveLength(3);
    expect(net.messages().filter((message) => message.role === 'tool')).toHaveLength(3);
  });

  test('that hangs and ignores its signal ends by the deadline', async () => {
    await using net = createTestAgent({ brain: new ScriptedBrain(hang), options: { turnTimeoutMs: 30 } });
    expect((await collect(net.ask('go'))).at(-1)).toMatchObject({ type: 'error', code: 'deadline-exceeded' });
    expect(net.messages()).toEqual([{ role: 'user', text: 'go' }]);
  });

  test('that fails gives an error with its code, stored nowhere as an answer', async () => {
    const brain = new ScriptedBrain(async function* () {
      yield { type: 'text-delta', text: 'I will' };
      throw new SkeinError('429 from the provider', { code: 'busy' });
    });
    await using net = createTestAgent({ brain });
    expect((await collect(net.ask('go'))).at(-1)).toEqual({ type: 'error', code: 'busy', message: '429 from the provider' });
    expect(net.messages()).toEqual([{ role: 'user', text: 'go' }]);
  });

  test.each([
    ['stops in the middle', () => [{ type: 'text-delta', text: 'half' }] as const],
    ['says nothing', say()],
    ['is filtered', () => [{ type: 'finish', reason: 'filtered' }] as const],
  ])('that %s gives an error, not an answer', async (_, script) => {
    await using net = createTestAgent({ brain: new ScriptedBrain(script) });
    expect((await collect(net.ask('go'))).at(-1)).toMatchObject({ type: 'error', code: 'unavailable' });
    expect(net.messages()).toHaveLength(1);
  });

  test('that never stops speaking is stopped', async () => {
    const brain = new ScriptedBrain(async function* () {
      for (;;) yield { type: 'text-delta', text: 'blah '.repeat(100) };
    });
    await using net = createTestAgent({ brain, options: { maxAnswerChars: 10_000 } });
    expect((await collect(net.ask('go'))).at(-1)).toMatchObject({ type: 'error', code: 'too-large' });
  });

  test('is sent no more of the conversation than the bound', async () => {
    const brain = new ScriptedBrain(say('y'.repeat(900)));
    await using net = createTestAgent({ brain, options: { maxHistoryChars: 5_000 } });
    for (let n = 0; n < 12; n += 1) await collect(net.ask(`${n} ${'x'.repeat(900)}`));
    const last = brain.requests.at(-1)?.messages ?? [];
    expect(JSON.stringify(last).length).toBeLessThan(6_000);
    expect(last[0]?.role).toBe('user');
    expect(last.at(-1)).toMatchObject({ text: expect.stringMatching(/^11 /) });
  });
});

describe('stopping', () => {
  const waiting = () => {
    const started = Promise.withResolvers<AbortSignal>();
    const wait = tool('wait', async (_, { signal, emit }) => {
      started.resolve(signal);
      await emit('started');
      return new Promise<never>(() => {});
    });
    return { started: started.promise, wait };
  };

  test('by the signal throws, and stops a tool that takes no notice', async () => {
    const { started, wait } = waiting();
    await using net = createTestAgent({ brain: new ScriptedBrain(call(['wait'])), tools: [wait] });
    const controller = new AbortController();
    const turn = collect(net.ask('go', { signal: controller.signal }));
    const toolSignal = await started;
    controller.abort();
    await expect(turn).rejects.toMatchObject({ code: 'canceled' });
    expect(toolSignal.aborted).toBe(true);
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
    expect(net.messages()).toEqual([{ role: 'user', text: 'go' }]);
  });

  test('by leaving the loop stops what runs', async () => {
    const { started, wait } = waiting();
    await using net = createTestAgent({ brain: new ScriptedBrain(call(['wait'])), tools: [wait] });
    for await (const event of net.ask('go')) if (event.type === 'tool-output') break;
    expect((await started).aborted).toBe(true);
  });

  test('while a read waits ends that read', async () => {
    await using net = createTestAgent({ brain: new ScriptedBrain(hang) });
    const turn = net.ask('go');
    await turn.next();
    const read = turn.next();
    await turn.return?.();
    expect(await read).toMatchObject({ done: true });
    expect(await turn.next()).toMatchObject({ done: true });
  });

  test('the agent ends its turns and takes no more', async () => {
    const { started, wait } = waiting();
    const net = createTestAgent({ brain: new ScriptedBrain(call(['wait'])), tools: [wait] });
    const turn = collect(net.ask('go'));
    await started;
    await net[Symbol.asyncDispose]();
    expect((await turn).at(-1)).toMatchObject({ type: 'error', code: 'unavailable' });
    expect((await collect(net.ask('more'))).at(-1)).toMatchObject({ type: 'error', code: 'unavailable' });
  });

  test('a failed step stops the tools it began', async () => {
    const { started, wait } = waiting();
    const brain = new ScriptedBrain(async function* () {
      yield { type: 'tool-call', call: { id: '1', name: 'wait', input: {} } };
      await started;
      throw new SkeinError('gone', { code: 'unavailable' });
    });
    await using net = createTestAgent({ brain, tools: [wait] });
    expect((await collect(net.ask('go'))).at(-1)).toMatchObject({ type: 'error', code: 'unavailable' });
    expect((await started).aborted).toBe(true);
  });
});

describe('turns of one conversation', () => {
  test('run one after the other, in order', async () => {
    let running = 0;
    const brain = new ScriptedBrain(async function* (request) {
      running += 1;
      expect(running).toBe(1);
      await new Promise((resolve) => setImmediate(resolve));
      yield { type: 'text-delta', text: `answer ${request.messages.length}` };
      running -= 1;
      yield { type: 'finish', reason: 'stop' };
    });
    await using net = createTestAgent({ brain });
    const turns = await Promise.all(['a', 'b', 'c'].map((text) => collect(net.ask(text))));
    expect(turns.map((events) => events.at(-1))).toMatchObject([
      { text: 'answer 1' },
      { text: 'answer 3' },
      { text: 'answer 5' },
    ]);
  });

  test('beyond the bound are refused as busy; those of other conversations are not', async () => {
    await using net = createTestAgent({ brain: new ScriptedBrain(hang), options: { maxWaitingTurns: 1, turnTimeoutMs: 100 } });
    const turns = [net.ask('1'), net.ask('2'), net.ask('3'), net.ask('other', { sessionId: 't' })].map((turn) => collect(turn));
    const ends = (await Promise.all(turns)).map((events) => events.at(-1));
    expect(ends).toMatchObject([
      { code: 'deadline-exceeded' },
      { code: 'deadline-exceeded' },
      { code: 'busy' },
      { code: 'deadline-exceeded' },
    ]);
  });
});
