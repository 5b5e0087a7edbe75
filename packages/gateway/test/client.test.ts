import { describe, expect, it } from 'vitest';
import type { NodeEvent, TurnEvent } from '../src/backend.ts';
import { createGatewayClient } from '../src/client.ts';
import { collect, startGateway, status, TOKEN, until } from './start-gateway.ts';

const peer = { atMs: 1, id: status.peerId, name: 'eu-monitor' };
const oneOfEach: { readonly [Type in NodeEvent['type']]: NodeEvent & { readonly type: Type } } = {
  'peer-joined': { type: 'peer-joined', ...peer },
  'peer-left': { type: 'peer-left', ...peer, reason: 'it stopped' },
  'peer-problem': { type: 'peer-problem', ...peer, id: null, problem: 'nobody answers' },
  'tools-changed': { type: 'tools-changed', ...peer, added: ['df'], removed: [], redefined: [] },
  'tool-served': { type: 'tool-served', ...peer, tool: 'df', ok: true, ms: 5 },
  'chat-message': { type: 'chat-message', ...peer, text: 'hi' },
  'leader-changed': { type: 'leader-changed', atMs: 1, leader: null, term: 2 },
  'sessions-changed': { type: 'sessions-changed', atMs: 1 },
  'task-ended': { type: 'task-ended', atMs: 1, id: 't', state: 'done', title: 'disks', session: 's' },
  'config-reloaded': { type: 'config-reloaded', atMs: 1, applied: ['log.level'], needRestart: [] },
  'config-rejected': { type: 'config-rejected', atMs: 1, problem: 'bad' },
};

describe('what the client gets', () => {
  it('is status, peers, tools, sessions and history as the node tells them', async () => {
    const sessions = [{ id: 'whatsapp:+43 1', title: 'disks', updatedAtMs: 5 }];
    const history = { 'whatsapp:+43 1': [{ role: 'user', text: 'hi' }] } as const;
    await using net = await startGateway({ backend: { sessions, history } });
    expect(await net.client.status()).toEqual(status);
    expect(await net.client.peers()).toEqual([]);
    expect(await net.client.tools()).toEqual([]);
    expect(await net.client.sessions()).toEqual(sessions);
    expect(await net.client.history('whatsapp:+43 1')).toEqual(history['whatsapp:+43 1']);
  });

  it('is each event of a turn as it happens, a new session id when none was given', async () => {
    const gate = Promise.withResolvers<void>();
    await using net = await startGateway({
      backend: {
        ask: async function* (turn) {
          yield { type: 'turn-start', turnId: 't', sessionId: turn.request.sessionId, brain: 'script' };
          await gate.promise;
          yield { type: 'answer', text: 'done', toolCalls: [] };
        },
      },
    });
    const turn = net.client.ask({ text: 'hi' })[Symbol.asyncIterator]();
    const accepted = await turn.next();
    expect(accepted.value).toMatchObject({ type: 'task-accepted', text: 'hi' });
    const first = await turn.next();
    expect(first.value).toMatchObject({ type: 'turn-start', sessionId: expect.stringMatching(/^[0-9a-f-]{36}$/) });
    gate.resolve();
    expect((await turn.next()).value).toMatchObject({ type: 'answer' });
    expect((await turn.next()).done).toBe(true);
  });

  it('is a confirmation that waits for its answer', async () => {
    await using net = await startGateway({
      backend: {
        ask: async function* (turn) {
          const waiting = turn.confirmed('c1');
          yield { type: 'confirm-request', id: 'c1', name: 'rm', peer: null, input: { path: '/x' }, reason: 'deletes' };
          yield { type: 'answer', text: (await waiting) ? 'approved' : 'refused', toolCalls: [] };
        },
      },
    });
    const seen: TurnEvent[] = [];
    for await (const event of net.client.ask({ text: 'hi', interactive: true })) {
      seen.push(event);
      if (event.type === 'confirm-request') await net.client.confirm(event.id, true);
    }
    expect(seen.at(-1)).toMatchObject({ text: 'approved' });
  });

  it('is a tool run directly, its partial output first', async () => {
    await using net = await startGateway({
      backend: {
        callTool: async (request, options) => {
          options.onDelta?.('half ');
          options.onDelta?.('way');
          return { ran: request.name };
        },
      },
    });
    let partial = '';
    const output = await net.client.call(
      { name: 'us-monitor/df', input: { path: '/' } },
      {
        onDelta: (delta) => {
          partial += delta;
        },
      },
    );
    expect([partial, output]).toEqual(['half way', { ran: 'us-monitor/df' }]);
  });

  it('is the events from the moment it is connected', async () => {
    await using net = await startGateway();
    const stop = new AbortController();
    const events = net.client.events({ signal: stop.signal })[Symbol.asyncIterator]();
    const first = events.next();
    await until(() => net.backend.watchers === 1);
    net.backend.change({}, { type: 'config-rejected', problem: 'bad', atMs: 1 });
    expect((await first).value).toEqual({ type: 'config-rejected', problem: 'bad', atMs: 1 });
    stop.abort();
    await expect(events.next()).rejects.toMatchObject({ code: 'canceled' });
    await until(() => net.backend.watchers === 0 && net.gateway.openStreams === 0);
  });

  it('is an event of each type', async () => {
    await using net = await startGateway();
    const events = net.client.events()[Symbol.asyncIterator]();
    for (const event of Object.values(oneOfEach)) {
      const next = events.next();
      await until(() => net.backend.watchers === 1);
      net.backend.change({}, event);
      expect((await next).value).toEqual(event);
    }
    await events.return?.();
  });

  it('is why the events ended, in the words of the node', async () => {
    await using net = await startGateway();
    const events = net.client.events()[Symbol.asyncIterator]();
    const next = events.next();
    await until(() => net.backend.watchers === 1);
    await net.gateway[Symbol.asyncDispose]();
    await expect(next).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('is unavailable where no node answers, unsupported where something else does, unavailable when it goes midway', async () => {
    const nobody = createGatewayClient({ baseUrl: 'http://127.0.0.1:1', token: TOKEN, fetch });
    await expect(nobody.status()).rejects.toMatchObject({ code: 'unavailable' });
    const other = createGatewayClient({ baseUrl: 'http://x', token: TOKEN, fetch: async () => new Response('<html>') });
    await expect(other.status()).rejects.toMatchObject({ code: 'unsupported' });
    const cut = createGatewayClient({
      baseUrl: 'http://x',
      token: TOKEN,
      fetch: async () => new Response('{"type":"text-delta","text":"a"}\n'),
    });
    await expect(collect(cut.ask({ text: 'hi' }))).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('is unavailable when the node falls silent, and canceled when the caller stops', async () => {
    await using net = await startGateway();
    const parts = { baseUrl: net.baseUrl, token: TOKEN, fetch };
    const events = createGatewayClient({ ...parts, silenceMs: 50 }).events();
    await expect(collect(events)).rejects.toMatchObject({ code: 'unavailable' });
    await until(() => net.gateway.openStreams === 0);
    await expect(collect(net.client.events({ signal: AbortSignal.abort() }))).rejects.toMatchObject({ code: 'canceled' });
    await expect(collect(net.client.events({ signal: AbortSignal.timeout(20) }))).rejects.toMatchObject({
      code: 'deadline-exceeded',
    });
  });

  it('is unauthenticated for a wrong token', async () => {
    await using net = await startGateway();
    const stranger = createGatewayClient({ baseUrl: net.baseUrl, token: 'some-other-token-here', fetch });
    await expect(stranger.status()).rejects.toMatchObject({ code: 'unauthenticated' });
  });
});
