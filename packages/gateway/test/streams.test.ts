import { describe, expect, it } from 'vitest';
import { authorized, collect, json, openRaw, send, startGateway, until } from './start-gateway.ts';

const SECRET = 'the-canary-of-an-internal-error';

describe('streams', () => {
  it('let go of a turn whose client goes away, which goes on and is told whole to whoever comes back', async () => {
    const gate = Promise.withResolvers<void>();
    let wasStopped: boolean | undefined;
    await using net = await startGateway({
      backend: {
        ask: async function* (turn) {
          yield { type: 'text-delta', text: 'thinking' };
          await gate.promise;
          wasStopped = turn.signal.aborted;
          yield { type: 'answer', text: 'done', toolCalls: [] };
        },
      },
    });
    let id = '';
    for await (const event of net.client.ask({ text: 'hi', sessionId: 's' })) {
      if (event.type !== 'task-accepted') break;
      id = event.id;
    }
    await until(() => net.gateway.openStreams === 0);
    const conversation = await fetch(`${net.baseUrl}/api/sessions/s`, { headers: authorized });
    expect(await conversation.json()).toEqual({ id: 's', messages: [], tasks: [id] });
    const again = collect(net.client.watchTask(id));
    gate.resolve();
    expect(await again).toEqual([
      { type: 'task-accepted', id, sessionId: 's', text: 'hi' },
      { type: 'text-delta', text: 'thinking' },
      { type: 'answer', text: 'done', toolCalls: [] },
    ]);
    expect(wasStopped).toBe(false);
    expect(net.gateway.openStreams).toBe(0);
  });

  it('end a turn that is canceled, under the id its client gave it', async () => {
    const id = '0f3c0000-0000-4000-8000-000000000001';
    await using net = await startGateway({
      backend: {
        ask: async function* (turn) {
          yield { type: 'text-delta', text: 'thinking' };
          await new Promise((resolve) => turn.signal.addEventListener('abort', resolve));
        },
      },
    });
    const events: string[] = [];
    for await (const event of net.client.ask({ id, text: 'hi' })) {
      events.push(event.type);
      if (event.type === 'text-delta') expect(await net.client.cancelTask(id)).toBe('canceled');
    }
    expect(events).toEqual(['task-accepted', 'text-delta', 'error']);
  });

  it('of a task that is not there are an error and keep no place', async () => {
    await using net = await startGateway({ limits: { maxStreams: 1 } });
    for (const _try of [1, 2]) {
      const { status } = await send(net.port, { path: '/api/tasks/ffff/events', headers: authorized });
      expect(status).toBe(404);
    }
    expect((await send(net.port, { method: 'POST', path: '/api/tasks/ffff/events', headers: json, body: '{}' })).status).toBe(
      405,
    );
    expect(net.gateway.openStreams).toBe(0);
  });

  it('slow the turn down for a slow reader instead of growing', async () => {
    let produced = 0;
    await using net = await startGateway({
      backend: {
        ask: async function* () {
          for (;;) {
            produced += 1;
            yield { type: 'text-delta', text: 'x'.repeat(64 * 1024) };
          }
        },
      },
      limits: { stallMs: 200 },
    });
    const socket = await openRaw(net.port, '/api/ask', '{"text":"hi"}');
    // Nothing more is read. Only what fits into the sockets' buffers is made, and then the reader is cut off.
    await until(() => net.gateway.openStreams === 0);
    expect(produced * 64 * 1024).toBeLessThan(32 * 1024 * 1024);
    socket.destroy();
  });

  it('leave out the oldest partial output of a direct call a slow reader did not take, and say how much', async () => {
    const flood = Promise.withResolvers<void>();
    await using net = await startGateway({
      backend: {
        callTool: async (_request, options) => {
          for (let index = 0; index < 1_000; index += 1) options.onDelta?.('y'.repeat(1_000));
          flood.resolve();
          return 'done';
        },
      },
      limits: { maxPendingOutput: 10_000 },
    });
    const reply = await send(net.port, { method: 'POST', path: '/api/call', headers: json, body: '{"name":"flood"}' });
    await flood.promise;
    const events = reply.text
      .trim()
      .split('\n')
      .map((line): { type: string; characters?: number } => JSON.parse(line));
    expect(events.find((event) => event.type === 'tool-output-skipped')?.characters).toBe(990_000);
    expect(events.filter((event) => event.type === 'tool-output')).toHaveLength(10);
    expect(events.at(-1)).toMatchObject({ type: 'result', output: 'done' });
  });

  it('beyond the bound are busy with a time to come back', async () => {
    await using net = await startGateway({ limits: { maxStreams: 2 } });
    const stop = new AbortController();
    const open = [1, 2].map(() => net.client.events({ signal: stop.signal })[Symbol.asyncIterator]().next());
    await until(() => net.gateway.openStreams === 2);
    const third = await send(net.port, { path: '/api/events', headers: authorized });
    expect([third.status, third.headers['retry-after']]).toEqual([429, '1']);
    stop.abort();
    await Promise.allSettled(open);
  });

  it('tell a heartbeat while nothing happens', async () => {
    await using net = await startGateway({ limits: { heartbeatMs: 20 } });
    const response = await fetch(`${net.baseUrl}/api/events`, { headers: authorized });
    let text = '';
    for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += chunk;
      if (text.split('\n').length > 3) break;
    }
    expect(JSON.parse(text.split('\n')[1] ?? '')).toMatchObject({ type: 'heartbeat' });
  });

  it('end when the gateway closes, and no new one begins', async () => {
    await using net = await startGateway();
    const events = collect(net.client.events());
    await until(() => net.backend.watchers === 1);
    await net.gateway[Symbol.asyncDispose]();
    await expect(events).rejects.toMatchObject({ code: 'unavailable' });
    expect((await send(net.port, { path: '/api/events', headers: authorized })).status).toBe(503);
  });

  it('withhold the text of an internal error that a turn ends in', async () => {
    await using net = await startGateway({
      backend: {
        ask: async function* () {
          yield { type: 'error', code: 'internal', message: SECRET };
        },
      },
    });
    const [, event] = await collect(net.client.ask({ text: 'hi' }));
    expect(event).toMatchObject({ type: 'error', code: 'internal' });
    expect(JSON.stringify(event)).not.toContain(SECRET);
  });
});
