import { randomUUID } from 'node:crypto';
import { parseKeyLine, SkeinError, tasksSubmit, tasksWatch } from '@skein/protocol';
import { type LlmTurn, rejection, startLlmServer } from '@skein/testing';
import { expect, test } from 'vitest';
import { bareMesh } from './bare-mesh.ts';
import { Nodes, type TestHost } from './nodes.ts';

const { signal } = new AbortController();

/** A node that thinks for a peer that runs none of its code: asked to "hang", without an end. */
async function startServed() {
  await using stack = new AsyncDisposableStack();
  const script = ({ last }: { readonly last: string }): LlmTurn =>
    last === 'hang' ? { fault: { type: 'hang', afterEvents: 0 } } : { text: 'Done.' };
  const llm = stack.use(await startLlmServer({ script }));
  const nodes = stack.use(new Nodes());
  const node = nodes.make('node', { brain: { provider: 'openai-compatible', model: 'scripted', baseUrl: `${llm.url}/v1` } });
  const sender = nodes.make('sender');
  node.trusts([sender, { trust: 'tool', allowBrain: true }]);
  await nodes.start(node);
  const life = stack.move();
  const dial = () => life.use(bareMesh(sender)).dial(node.url, { signal });
  return { node, llm, dial, draft: (text: string) => draftOf(sender, text), [Symbol.asyncDispose]: () => life.disposeAsync() };
}

function draftOf(sender: TestHost, text: string) {
  return {
    task: randomUUID(),
    attempt: 1,
    text,
    session: randomUUID(),
    priority: 'normal' as const,
    interactive: false,
    history: [],
    steps: [],
    path: [parseKeyLine(sender.keyLine).identity.id],
    remainingMs: 60_000,
  };
}

const LET_GO = { state: 'canceled', error: { code: 'unavailable' } };

test('a task that its sender gave up while it was taken in is not done', async () => {
  await using net = await startServed();
  const peer = await net.dial();
  const stop = new AbortController();
  const givenUp = net.draft('work');
  const submitted = rejection(peer.call(tasksSubmit, givenUp, { signal: stop.signal }));
  stop.abort(new SkeinError('not any more', { code: 'canceled' }));
  expect(await submitted).toMatchObject({ code: 'canceled' });
  const wanted = net.draft('work');
  await peer.call(tasksSubmit, wanted);
  expect(await peer.call(tasksWatch, { task: wanted.task, after: 0 })).toMatchObject({ state: 'done' });
  // As one that the sender no longer has, so that it may be handed over anew.
  expect(await peer.call(tasksWatch, { task: givenUp.task, after: 0 })).toMatchObject(LET_GO);
  expect(net.llm.count).toBe(1);
});

test('a task whose sender is back in a new session, the old one not yet known to be over, is let go of', async () => {
  await using net = await startServed();
  const before = await net.dial();
  const task = net.draft('hang');
  await before.call(tasksSubmit, task);
  const watched = rejection(before.call(tasksWatch, { task: task.task, after: 0 }));
  const thinking = await net.llm.nextRequest();
  const after = await net.dial();
  expect(await watched).toMatchObject({ code: 'unavailable' });
  expect(await thinking.ended).toBe('closed');
  expect(await after.call(tasksWatch, { task: task.task, after: 0 })).toMatchObject(LET_GO);
});
