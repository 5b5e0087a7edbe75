import { SkeinError, type ToolDescriptor } from '@skein/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { boilEgg, Conversation, NETWORK, offer, runTool, systemInfo, weather } from '../../../test/intents-network.ts';
import type { BrainPart, BrainRequest, Message } from '../brain.ts';
import { createIntentsBrain } from './intents-brain.ts';

async function respond(request: Partial<BrainRequest>): Promise<BrainPart[]> {
  const whole = { system: '', messages: [], tools: NETWORK, ...request };
  return collect(createIntentsBrain().respond(whole, { signal: new AbortController().signal }));
}

async function collect(stream: AsyncIterable<BrainPart>): Promise<BrainPart[]> {
  const parts: BrainPart[] = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

function textOf(parts: readonly BrainPart[]): string {
  return parts.map((part) => (part.type === 'text-delta' ? part.text : '')).join('');
}

const asked: Message = { role: 'user', text: 'how full is the disk on every machine?' };

describe('the intents brain', () => {
  test('streams an answer in several pieces and finishes once', async () => {
    const { parts } = await new Conversation({ brain: createIntentsBrain() }).ask('what can you do?');
    expect(parts.filter((part) => part.type === 'text-delta').length).toBeGreaterThan(2);
    expect(parts.at(-1)).toMatchObject({ type: 'finish', reason: 'stop' });
  });

  test('calls the nodes in one step, so that they work at the same time', async () => {
    const parts = await respond({ messages: [asked] });
    expect(parts.map((part) => part.type)).toEqual(['tool-call', 'tool-call', 'finish']);
    expect(parts.at(-1)).toMatchObject({ type: 'finish', reason: 'tool-calls' });
  });

  test('keeps nothing between requests: another one goes on from the messages alone', async () => {
    const messages: Message[] = [];
    for (const [request, calls] of [
      ['how full is the disk on us-monitor?', ['us-monitor/system_info']],
      ['and on eu-monitor?', ['eu-monitor/system_info']],
      ['which of them has the most free memory?', ['us-monitor/system_info', 'eu-monitor/system_info']],
    ] as const) {
      const conversation = new Conversation({ brain: createIntentsBrain() });
      conversation.messages.push(...structuredClone(messages));
      expect((await conversation.ask(request)).calls).toEqual(calls);
      messages.splice(0, messages.length, ...conversation.messages);
    }
  });

  test('follows up what another brain did', async () => {
    const call = { id: 'x1', name: 'us-monitor/list_files', input: { path: '/srv' } };
    const messages: Message[] = [
      { role: 'user', text: 'zeig mir /srv' },
      { role: 'assistant', text: '', toolCalls: [call] },
      { role: 'tool', callId: 'x1', name: call.name, ...runTool(call.name, call.input) },
      { role: 'assistant', text: 'Drei Dateien.', toolCalls: [] },
      { role: 'user', text: 'and on eu-monitor?' },
    ];
    const [part] = await respond({ messages });
    expect(part).toMatchObject({ type: 'tool-call', call: { name: 'eu-monitor/list_files', input: { path: '/srv' } } });
  });

  test('takes over in the middle of a turn that another brain began', async () => {
    const call = { id: 'x1', name: 'us-monitor/system_info', input: {} };
    const messages: Message[] = [
      { role: 'user', text: 'something only a model understands' },
      { role: 'assistant', text: '', toolCalls: [call] },
      { role: 'tool', callId: 'x1', name: call.name, ...runTool(call.name, {}) },
    ];
    expect(textOf(await respond({ messages }))).toContain('us-monitor:\nhostname: host-us-monitor');
  });

  test('names each node that failed, with the reason, beside those that answered', async () => {
    const cases = [
      [{ error: 'the connection was lost', code: 'unavailable' }, 'eu-monitor did not answer: the connection was lost'],
      [{ error: 'no grant for it', code: 'denied' }, 'eu-monitor refused: no grant for it'],
      [{ error: 'no such disk', code: 'not-found' }, 'eu-monitor could not do it: no such disk'],
      ['broken', 'eu-monitor did not answer: broken'],
    ] as const;
    for (const [output, words] of cases) {
      const conversation = new Conversation({
        brain: createIntentsBrain(),
        run: (name, input) => (name.startsWith('eu-') ? { output, ok: false } : runTool(name, input)),
      });
      const { text } = await conversation.ask('how full is the disk on every machine?');
      expect(text).toContain('us-monitor: disk used 75%');
      expect(text).toContain(words);
    }
  });

  test('compares those that answered and says who did not', async () => {
    const tools = [...NETWORK, ...offer([systemInfo], 'ap-monitor')];
    const conversation = new Conversation({
      brain: createIntentsBrain(),
      tools,
      run: (name, input) =>
        name.startsWith('ap-') ? { output: { error: 'gone', code: 'unavailable' }, ok: false } : runTool(name, input),
    });
    const { text } = await conversation.ask('which machine has the most free memory?');
    expect(text).toContain('eu-monitor has the most free memory of those that answered: 5 GiB.');
    expect(text).toContain('ap-monitor did not answer: gone');
  });

  test('answers with what came back although its node has left meanwhile', async () => {
    const calls = ['us-monitor', 'eu-monitor'].map((peer) => ({ id: peer, name: `${peer}/system_info`, input: {} }));
    const messages: Message[] = [
      { role: 'user', text: 'which machine has the most free memory?' },
      { role: 'assistant', text: '', toolCalls: calls },
      ...calls.map(({ id, name }): Message => ({ role: 'tool', callId: id, name, ...runTool(name, {}) })),
    ];
    const tools = NETWORK.filter((tool) => tool.peer !== 'eu-monitor');
    expect(textOf(await respond({ messages, tools }))).toContain('eu-monitor has the most free memory: 5 GiB.');
  });

  test('says when a call has no result', async () => {
    const call = { id: 'x1', name: 'us-monitor/system_info', input: {} };
    const messages: Message[] = [asked, { role: 'assistant', text: '', toolCalls: [call] }];
    expect(textOf(await respond({ messages }))).toContain('us-monitor: no result is on record.');
  });

  test('says that there is nothing it could do when no tool is offered', async () => {
    expect(textOf(await respond({ messages: [asked], tools: [] }))).toContain('no tools are offered to me right now');
    expect(textOf(await respond({ tools: [] }))).toContain('No tools are offered');
  });

  test('gives each call of a conversation an id of its own', async () => {
    const conversation = new Conversation({ brain: createIntentsBrain() });
    for (let turn = 0; turn < 4; turn += 1) await conversation.ask('how full is the disk on every machine?');
    const ids = conversation.messages.flatMap((message) =>
      message.role === 'assistant' ? message.toolCalls.map(({ id }) => id) : [],
    );
    expect(new Set(ids).size).toBe(8);
  });

  test('stops when it is told to, before it starts and between two pieces', async () => {
    const request = { system: '', messages: [{ role: 'user', text: 'help' } as const], tools: NETWORK };
    const before = createIntentsBrain().respond(request, { signal: AbortSignal.abort() });
    await expect(collect(before)).rejects.toMatchObject({ code: 'canceled' });
    const stop = new AbortController();
    const seen: BrainPart[] = [];
    const reading = (async () => {
      for await (const part of createIntentsBrain().respond(request, { signal: stop.signal })) {
        seen.push(part);
        stop.abort(new SkeinError('enough', { code: 'deadline-exceeded' }));
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: 'deadline-exceeded' });
    expect(seen).toHaveLength(1);
  });
});

const WORDS = [
  ...'how full is the disk on us-monitor eu-monitor and of them which has most least free memory run read list file remember'.split(
    ' ',
  ),
  ...'that all every machine except not again there it what about fetch boil soft egg for 4 minutes in weather , ; : ? . then too'.split(
    ' ',
  ),
  ...'/etc/hosts https://example.com "a b" \'c\' “d” {path} {"a":1} us-monitor/read_file mars-1 compare vs the other one both yes'.split(
    ' ',
  ),
];
const TOOLS = [...NETWORK, ...offer([boilEgg], 'kitchen'), ...offer([weather])];
const sentence = fc.array(fc.constantFrom(...WORDS), { maxLength: 14 }).map((words) => words.join(' '));
const request = fc.oneof(
  { weight: 4, arbitrary: sentence },
  fc.string({ maxLength: 60, unit: 'grapheme' }),
  fc.string({ unit: 'binary' }),
);
const json = fc.oneof(
  sentence,
  fc.json({ maxDepth: 3 }).map((text) => JSON.parse(text)),
);

function requiredKeys(tool: ToolDescriptor | undefined): string[] {
  return Array.isArray(tool?.input.required) ? tool.input.required.map(String) : [];
}

describe('whatever is said and whatever tools answer', () => {
  test('it never throws, finishes once and last, calls only what is offered with the keys it requires, and answers', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 4 }), json, fc.boolean(), async (requests, output, ok) => {
        const conversation = new Conversation({ brain: createIntentsBrain(), tools: TOOLS, run: () => ({ output, ok }) });
        for (const one of requests) {
          const { parts, text } = await conversation.ask(one);
          const finishes = parts.filter((part) => part.type === 'finish');
          const isStepped = parts.some((part) => part.type === 'tool-call');
          expect(finishes).toHaveLength(isStepped ? 2 : 1);
          expect(parts.at(-1)?.type).toBe('finish');
          expect(text).not.toBe('');
          expect(text.isWellFormed()).toBe(true);
          for (const part of parts) {
            if (part.type !== 'tool-call') continue;
            const tool = TOOLS.find((candidate) => candidate.name === part.call.name);
            expect(tool).toBeDefined();
            expect(Object.keys(Object(part.call.input))).toEqual(expect.arrayContaining(requiredKeys(tool)));
            expect(JSON.stringify(part.call.input)).toBeDefined();
          }
        }
      }),
      { numRuns: 400 },
    );
  });

  test('what tools put out changes no call', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(sentence, { minLength: 2, maxLength: 4 }), json, async (requests, output) => {
        const plain = new Conversation({ brain: createIntentsBrain(), tools: TOOLS });
        const other = new Conversation({ brain: createIntentsBrain(), tools: TOOLS, run: () => ({ output, ok: true }) });
        for (const one of requests) expect((await other.ask(one)).calls).toEqual((await plain.ask(one)).calls);
      }),
      { numRuns: 150 },
    );
  });

  test('the same messages and tools give the same parts', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 3 }), async (requests) => {
        const messages = requests.map((text): Message => ({ role: 'user', text }));
        expect(await respond({ messages })).toEqual(await respond({ messages }));
      }),
      { numRuns: 100 },
    );
  });

  test('tools of any shape are taken as they come', async () => {
    const example = fc.record({
      say: fc.oneof(sentence, fc.string({ maxLength: 200 })),
      input: fc.dictionary(fc.string({ maxLength: 8 }), fc.oneof(fc.constant('{path}'), fc.constant('{ }'), fc.string())),
      field: fc.string({ maxLength: 20 }),
    });
    const tool = fc.record({
      name: fc.stringMatching(/^[a-zA-Z0-9_-]{1,20}$/),
      description: fc.string(),
      input: fc.dictionary(fc.constantFrom('type', 'properties', 'required'), json),
      effect: fc.constantFrom('read' as const, 'at-most-once' as const),
      examples: fc.array(example, { maxLength: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(tool, { maxLength: 6 }), sentence, json, async (tools, one, output) => {
        const offered = [...offer(tools), ...offer(tools, 'us-monitor')];
        const conversation = new Conversation({
          brain: createIntentsBrain(),
          tools: offered,
          run: () => ({ output, ok: true }),
        });
        await conversation.ask(one);
        await conversation.ask(tools[0]?.examples[0]?.say ?? one);
      }),
      { numRuns: 300 },
    );
  });
});

test('256 tools of 16 examples and a long request cost a fraction of a second', async () => {
  const tools = Array.from({ length: 256 }, (_, index) => ({
    ...systemInfo,
    name: `node-${index % 16}/tool_${index}`,
    peer: `node-${index % 16}`,
    examples: Array.from({ length: 16 }, (_item, at) => ({
      say: `how tall is tower${at} number${index} {text}`,
      input: { text: '{text}' },
    })),
  }));
  const text = 'how tall is towr3 nmber7 the and wide unknown words on node-3 '.repeat(60);
  const times: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    const before = process.cpuUsage();
    await respond({ tools, messages: [{ role: 'user', text }] });
    const { user, system } = process.cpuUsage(before);
    times.push((user + system) / 1_000);
  }
  // A few hundredths on a machine of its own; comparing everything with everything would take many seconds.
  expect(Math.min(...times)).toBeLessThan(500);
});
