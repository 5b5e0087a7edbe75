import { SpecVole, Waiter } from '@skein/testing';
import { describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { z } from 'zod';
import { VoleNode } from './vole-node.ts';

const message = z.object({ type: z.string(), payload: z.unknown() });
const result = z.object({ callId: z.string(), success: z.boolean(), code: z.string().optional() });

/** A trusted node that dialled, on a socket of its own that can stop reading. */
async function dialled(node: VoleNode) {
  await using stack = new AsyncDisposableStack();
  const alice = stack.use(await new SpecVole({ name: 'alice' }).start());
  node.trust(alice.line, 'tools');
  const ws = stack.adopt(new WebSocket(node.url.replace(/^http/, 'ws')), (socket) => socket.terminate());
  const came = new Waiter<z.infer<typeof message>>();
  const send = (type: string, payload: object) => ws.send(JSON.stringify(alice.make(type, node.id, payload)));
  ws.on('message', (data) => {
    const told = message.parse(JSON.parse(data.toString()));
    if (told.type === 'ping') send('pong', { timestamp: Date.now() });
    came.push(told);
  });
  const closed = new Promise<string>((resolve) => ws.once('close', (code) => resolve(String(code))));
  await new Promise((resolve, reject) => ws.once('open', resolve).once('error', reject));
  send('ping', { timestamp: Date.now() });
  await came.find(({ type }) => type === 'pong');
  send('tool:call', { callId: 'first', toolName: 'large', params: {} });
  await came.find(({ type }) => type === 'tool:result');
  const moved = stack.move();
  return { ws, came, send, closed, [Symbol.asyncDispose]: () => moved.disposeAsync() };
}

/** Resolves once a number stays as it is. */
async function settled(count: () => number): Promise<void> {
  let before = -1;
  const isSame = () => {
    const same = count() === before;
    before = count();
    return same;
  };
  await expect.poll(isSame, { timeout: 20_000, interval: 500 }).toBe(true);
}

describe('a node that asks and is too busy to read', () => {
  it.each([
    ['many', 1_200, 15_000],
    ['large', 60, 700_000],
  ])('gets an answer to each of its %s calls once it reads', async (_how, calls, outputChars) => {
    await using node = await VoleNode.start({
      tools: { large: () => 'x'.repeat(outputChars) },
      options: { messagesPerSecond: 100_000 },
    });
    await using net = await dialled(node);
    net.ws.pause();
    for (let n = 0; n < calls; n += 1) net.send('tool:call', { callId: `c${n}`, toolName: 'large', params: {} });
    // Its calls are on their way and its answers stand in the way: what is read of them by now is all that will be.
    await settled(() => node.calls.length);
    net.ws.resume();
    const results = () =>
      net.came.items.flatMap(({ type, payload }) => (type === 'tool:result' ? [result.parse(payload)] : []));
    const answered = () => new Set(results().map(({ callId }) => callId)).size;
    await expect.poll(answered, { timeout: 20_000 }).toBe(calls + 1);
    for (const { success, code } of results()) if (!success) expect(code).toBe('busy');
  });
});
