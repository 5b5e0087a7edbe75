import type { Json } from '@skein/protocol';
import { describe, expect, test } from 'vitest';
import {
  Conversation,
  httpGet,
  listFiles,
  memorySearch,
  memoryWrite,
  NETWORK,
  offer,
  runTool,
  shellExec,
  systemInfo,
} from '../../../test/intents-network.ts';
import { createForgetTool } from '../../memory/forget-tool.ts';
import type { BrainPart, Message } from '../brain.ts';
import { createIntentsBrain } from './intents-brain.ts';

const GIB = 1024 ** 3;
const brain = createIntentsBrain({ thisNode: 'desk' });
// Proven: only what it declares is read, and nothing of it run.
const { descriptor: memoryForget } = createForgetTool({ memory: {} as never });
const MEMORY = offer([memoryWrite, memorySearch, memoryForget]);

async function answerTo(messages: readonly Message[], options: { peers?: readonly string[]; tools?: typeof NETWORK } = {}) {
  const request = { system: '', messages, tools: NETWORK, ...options };
  const parts: BrainPart[] = [];
  for await (const part of brain.respond(request, { signal: new AbortController().signal })) parts.push(part);
  return {
    text: parts.map((part) => (part.type === 'text-delta' ? part.text : '')).join(''),
    calls: parts.flatMap((part) => (part.type === 'tool-call' ? [part.call] : [])),
  };
}

describe('what is remembered', () => {
  const fact = (more: Record<string, Json>): Json => ({
    id: '11e26dc2-75a5-4f0e-9b53-2d1c1c1c1c1c',
    text: 'the train leaves at 8:15',
    tags: [],
    author: 'me',
    source: 'said in a conversation',
    trusted: true,
    at: '2026-11-21T12:36:07.123Z',
    ...more,
  });
  const told = async (facts: readonly Json[]) => {
    const conversation = new Conversation({ brain, tools: MEMORY, run: () => ({ output: { facts }, ok: true }) });
    return (await conversation.ask('what do you remember about the train?')).text;
  };

  test('is told as a line each: the text, whose, when, and the beginning of its id', async () => {
    const author = 's2tyots2aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa';
    const text = `<data from="${author}: said in a conversation">\nit leaves from &lt;data> platform 4\n</data>`;
    const facts = [
      fact({}),
      fact({ id: '7f00aa11-1', text, author, authorName: 'desktop', trusted: false, foundAt: 'desktop' }),
    ];
    expect(await told(facts)).toBe(
      'desk:\n- the train leaves at 8:15 (written here, 2026-11-21 12:36 UTC, id 11e26dc2)\n' +
        '- it leaves from <data> platform 4 (desktop, 2026-11-21 12:36 UTC, id 7f00aa11)',
    );
  });

  test('is told with whole ids where their beginnings are alike, and marks edits and lost trust', async () => {
    const author = 'z'.repeat(52);
    const facts = [fact({ concurrent: true }), fact({ id: '11e26dc2-other', author, authorRevoked: true })];
    const text = await told(facts);
    expect(text).toContain('edited in two places at once, id 11e26dc2-75a5-4f0e-9b53-2d1c1c1c1c1c)');
    expect(text).toContain('(zzzzzzzz…, no longer trusted, 2026-11-21 12:36 UTC, id 11e26dc2-other)');
  });

  test.each([
    ['forget my dog', 'my dog'],
    ['please forget that my dog is called Rex', 'my dog is called Rex'],
    ['forget the fact 11e26dc2', '11e26dc2'],
    ['Forget everything about the train.', 'the train'],
    ['forget what you know about the train', 'the train'],
  ])('%s', async (request, about) => {
    const { calls } = await new Conversation({ brain, tools: MEMORY }).ask(request);
    expect(calls).toEqual([`memory_forget ${JSON.stringify({ about })}`]);
  });

  test.each(['forget it', 'never mind, forget it', 'forget that'])('%s forgets nothing', async (request) => {
    expect(await new Conversation({ brain, tools: MEMORY }).ask(request)).toMatchObject({ calls: [], text: /nothing is done/ });
  });

  test('that several facts fit is told over these', async () => {
    const output: Json = { forgotten: false, message: 'Several facts fit.', facts: [fact({}), fact({ id: '7f00aa11-1' })] };
    const conversation = new Conversation({ brain, tools: MEMORY, run: () => ({ output, ok: true }) });
    const { text } = await conversation.ask('forget the train');
    expect(text).toMatch(
      /^desk:\nSeveral facts fit\.\n- the train leaves at 8:15 \(written here, .*id 11e26dc2\)\n- the train/,
    );
  });
});

describe('a turn of another device', () => {
  const tools = [...offer([systemInfo, listFiles]), ...offer([systemInfo, listFiles], 'phone'), ...offer([systemInfo], 'tv')];
  /** What another node said and did, as this one has it: by the names that one calls nodes by. */
  const turn = (request: string, ...calls: [name: string, input: object][]): Message[] => {
    const made = calls.map(([name, input], at) => ({ id: `${request}${at}`, name, input }));
    const results = made.map(({ id, name }): Message => ({ role: 'tool', callId: id, name, ...runTool(name, {}) }));
    const answer: Message = { role: 'assistant', text: 'so much', toolCalls: [] };
    return [{ role: 'user', text: request }, { role: 'assistant', text: '', toolCalls: made }, ...results, answer];
  };
  const followed = async (before: Message[], request: string) => {
    const messages: Message[] = [...before, { role: 'user', text: request }];
    const { calls } = await answerTo(messages, { tools });
    const results = calls.map(
      (call): Message => ({ role: 'tool', callId: call.id, name: call.name, ...runTool(call.name, {}) }),
    );
    const { text } = await answerTo([...messages, { role: 'assistant', text: '', toolCalls: calls }, ...results], { tools });
    return { calls: calls.map(({ name }) => name), text };
  };

  test('that asked this node keeps its subject', async () => {
    const before = turn('how full is the disk on desk?', ['desk/system_info', {}]);
    expect(await followed(before, 'and on phone?')).toEqual({
      calls: ['phone/system_info'],
      text: expect.stringMatching(/^phone: disk used/),
    });
    expect(await followed(before, 'and the memory there?')).toMatchObject({ calls: ['system_info'] });
  });

  test('that asked itself by a tool without a name keeps its subject and its place', async () => {
    const before = turn('how full is the disk on phone?', ['system_info', {}]);
    expect(await followed(before, 'and the memory there?')).toMatchObject({ calls: ['phone/system_info'] });
    expect(await followed(before, 'and on tv?')).toEqual({
      calls: ['tv/system_info'],
      text: expect.stringMatching(/^tv: disk used/),
    });
  });

  test('that asked both is about both', async () => {
    const before = turn('how full is the disk on desk and phone?', ['desk/system_info', {}], ['system_info', {}]);
    const { calls } = await followed(before, 'which of them has the most free memory?');
    expect(calls.toSorted()).toEqual(['phone/system_info', 'system_info']);
  });

  test('is at the nodes it was done at, not at all that are there now', async () => {
    const before = turn('how full is the disk on every node?', ['desk/system_info', {}], ['system_info', {}]);
    expect((await followed(before, 'and the memory there?')).calls.toSorted()).toEqual(['phone/system_info', 'system_info']);
  });
});

describe('every node', () => {
  test.each([
    ['every node', ['beta'], 'beta does not share a tool for that.'],
    ['all machines', ['beta', 'gamma'], 'beta and gamma do not share a tool for that.'],
    ['all machines except beta', ['beta', 'gamma'], '\ngamma does not share a tool for that.'],
  ])('is answered for those that can, and names those that cannot: %s', async (where, peers, words) => {
    const messages: Message[] = [{ role: 'user', text: `how full is the disk on ${where}?` }];
    const { calls } = await answerTo(messages, { peers });
    expect(calls.map(({ name }) => name)).toEqual(['us-monitor/system_info', 'eu-monitor/system_info']);
    const results = calls.map(
      (call): Message => ({ role: 'tool', callId: call.id, name: call.name, ...runTool(call.name, {}) }),
    );
    const { text } = await answerTo([...messages, { role: 'assistant', text: '', toolCalls: calls }, ...results], { peers });
    expect(text).toContain('us-monitor: disk used 75%');
    expect(text).toContain(words);
  });

  test('a node that is connected and shares nothing is known by its name', async () => {
    const { text } = await answerTo([{ role: 'user', text: 'how full is the disk on beta?' }], { peers: ['beta'] });
    expect(text).toContain('beta does not share a tool for that.');
    const all = await answerTo([{ role: 'user', text: 'who is connected?' }], { peers: ['beta'] });
    expect(all.text).toContain('- beta: 0 tools');
  });
});

describe('what is nearly the same', () => {
  const compared = async (us: number, eu: number) => {
    const run = (name: string) => ({ output: { memory: { freeBytes: name.startsWith('us') ? us : eu } }, ok: true });
    return (await new Conversation({ brain, run }).ask('which machine has the most free memory?')).text;
  };

  test('has no winner that the shown digits deny', async () => {
    expect(await compared(22.201 * GIB, 22.199 * GIB)).toMatch(
      /^us-monitor and eu-monitor have about the same free memory: 22\.2 GiB\./,
    );
    expect(await compared(22.2 * GIB, 22.2 * GIB)).toMatch(/^us-monitor and eu-monitor have the same free memory: 22\.2 GiB\./);
    expect(await compared(22.3 * GIB, 22.2 * GIB)).toMatch(/^us-monitor has the most free memory: 22\.3 GiB\./);
  });
});

describe('names with a slip', () => {
  test('of one letter are asked back, and a yes does what was asked without the slip in it', async () => {
    const conversation = new Conversation({ brain });
    const first = await conversation.ask('run echo hello on us-monotor');
    expect(first).toMatchObject({ calls: [], text: expect.stringContaining('Did you mean us-monitor?') });
    expect((await conversation.ask('yes')).calls).toEqual(['us-monitor/shell_exec {"command":"echo hello"}']);
  });

  test('near several are asked for, and a yes does nothing', async () => {
    const tools = [...offer([shellExec], 'web-1'), ...offer([shellExec], 'web-2')];
    const conversation = new Conversation({ brain, tools });
    expect((await conversation.ask('run uptime on web-3')).text).toContain('Did you mean web-1 or web-2?');
    expect((await conversation.ask('yes')).calls).toEqual([]);
  });

  test('never stay in the text of a command that then goes elsewhere', async () => {
    const conversation = new Conversation({ brain });
    await conversation.ask('run reboot on mars-1');
    expect((await conversation.ask('on us-monitor')).calls).toEqual([]);
  });
});

test('what can be asked names every tool once before any twice, commands too', async () => {
  const many = Array.from({ length: 12 }, (_, at) => ({
    ...systemInfo,
    name: `gauge_${at}`,
    examples: [
      { say: `what is reading ${at}`, input: {}, field: 'a' },
      { say: `tell gauge ${at}`, input: {} },
    ],
  }));
  const conversation = new Conversation({ brain, tools: offer([...many, shellExec, httpGet]) });
  const { text } = await conversation.ask('what can you do?');
  for (let at = 0; at < 12; at += 1) expect(text).toContain(`“what is reading ${at}”`);
  expect(text).toContain('“run <command>”');
  expect(text).toContain('“fetch <url>”');
});

test.each(['show me the biggest files', 'what is the largest file on us-monitor', 'which machine has the largest files'])(
  'is not answered with what does not fit: %s',
  async (request) => expect((await new Conversation({ brain }).ask(request)).calls).toEqual([]),
);

test('a long output that was cut before is told by its whole length', async () => {
  const stdout = `${'line\n'.repeat(3_000)}\n[cut here: 90000 characters in all, 15000 shown]`;
  const run = () => ({ output: { exitCode: 0, stdout }, ok: true });
  const { text } = await new Conversation({ brain, run }).ask('run ps aux on us-monitor');
  expect(text).toMatch(/line\n… \(90,000 characters in all\)$/);
});

test('output that was cut stays readable', async () => {
  const output: Json = {
    exitCode: 0,
    signal: null,
    stdout: 'USER  PID\nroot    1\n[cut here: 90000 characters in all, 15000 shown]',
  };
  const { text } = await new Conversation({ brain, run: () => ({ output, ok: true }) }).ask('run ps aux on us-monitor');
  expect(text).toBe('us-monitor:\nUSER  PID\nroot    1\n[cut here: 90000 characters in all, 15000 shown]');
});
