import { TASK_TEXT_CHARS_MAX } from '@skein/protocol';
import { expect, test } from 'vitest';
import { Nodes } from './nodes.ts';
import { startWithVole } from './vole-peers.ts';

const TOO_LONG = 'x'.repeat(TASK_TEXT_CHARS_MAX + 1);

test('a request that is too long is refused before it is accepted, and nothing of it stays in the conversation', async () => {
  await using nodes = new Nodes();
  const node = nodes.make('node');
  await nodes.start(node);
  const { backend } = node.host;
  const { signal } = new AbortController();
  const events: unknown[] = [];
  for await (const event of backend.ask({ text: TOO_LONG, sessionId: 's', interactive: false }, { signal })) events.push(event);
  expect(events).toEqual([
    { type: 'error', code: 'too-large', message: 'A text of 32001 characters is over the 32000 taken: shorten it' },
  ]);
  expect([backend.tasks(), backend.sessions(), backend.history('s')]).toEqual([[], [], []]);
  expect((await node.ask('hello', 's')).at(-1)).toMatchObject({ type: 'answer' });
  expect(backend.history('s')[0]).toEqual({ role: 'user', text: 'hello' });
});

test('a task of an OpenVole node that is too long is answered with why, and is not begun', async () => {
  await using nodes = new Nodes();
  await using net = await startWithVole(nodes);
  const end = await net.ask('task:delegate', { taskId: 't1', input: TOO_LONG }, 'task:result');
  expect(end).toMatchObject({ taskId: 't1', status: 'failed', error: expect.stringContaining('32000') });
  expect(net.node.host.backend.tasks()).toEqual([]);
});
