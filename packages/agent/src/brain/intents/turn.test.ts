import type { ToolDescriptor } from '@skein/protocol';
import { SkeinError } from '@skein/protocol';
import { expect, test } from 'vitest';
import { runTool, shellExec, systemInfo } from '../../../test/intents-network.ts';
import { collect, createTestAgent } from '../../../test/test-agent.ts';
import type { Tool } from '../../tool/tool.ts';
import { createIntentsBrain } from './intents-brain.ts';

function remote(descriptor: ToolDescriptor, peer: string, run?: Tool['run']): Tool {
  return {
    descriptor,
    peer: { name: peer, id: `${peer}-id` },
    untrusted: true,
    run: run ?? (async (input) => runTool(`${peer}/${descriptor.name}`, input).output),
  };
}

test('a whole turn: calls on two nodes, one of which fails, an answer, and the next turn goes on from it', async () => {
  const gone = async () => {
    throw new SkeinError('The connection to eu-monitor was lost', { code: 'unavailable' });
  };
  await using made = createTestAgent({
    brain: createIntentsBrain(),
    tools: [remote(systemInfo, 'us-monitor'), remote(systemInfo, 'eu-monitor', gone), remote(shellExec, 'us-monitor')],
  });
  const first = await collect(made.ask('how full is the disk on every machine?'));
  expect(first.at(-1)).toMatchObject({
    type: 'answer',
    text: expect.stringContaining('us-monitor: disk used 75%'),
    toolCalls: expect.arrayContaining([
      expect.objectContaining({ name: 'us-monitor/system_info', ok: true }),
      expect.objectContaining({ name: 'eu-monitor/system_info', ok: false }),
    ]),
  });
  expect(first.at(-1)).toMatchObject({
    text: expect.stringContaining('eu-monitor did not answer: The connection to eu-monitor was lost'),
  });
  const second = await collect(made.ask('and the memory on us-monitor?'));
  expect(second.at(-1)).toMatchObject({ type: 'answer', text: expect.stringContaining('us-monitor: memory used 62.5%') });
  const third = await collect(made.ask('remember that the backup is on us-monitor'));
  expect(third.at(-1)).toMatchObject({ type: 'answer', toolCalls: [{ name: 'memory_write', peer: null }] });
});

test('what is my name is asked of the memory, and not taken for who answers', async () => {
  await using made = createTestAgent({ brain: createIntentsBrain(), tools: [] });
  await collect(made.ask('remember my name is Bob'));
  expect((await collect(made.ask('what is my name?'))).at(-1)).toMatchObject({
    type: 'answer',
    text: expect.stringContaining('my name is Bob'),
    toolCalls: [expect.objectContaining({ name: 'memory_search' })],
  });
  const own = await collect(made.ask('what is your name?'));
  expect(own.at(-1)).toMatchObject({ text: expect.stringContaining('the built-in intents brain'), toolCalls: [] });
});
