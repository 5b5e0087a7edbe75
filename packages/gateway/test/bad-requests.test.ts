import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { authorized, echoTurn, json, readUntil, send, startGateway, TOKEN } from './start-gateway.ts';

const SECRET = 'the-canary-of-an-internal-error';

describe('bad requests', () => {
  const post = (port: number, body: string | Uint8Array, type = 'application/json') =>
    send(port, { method: 'POST', path: '/api/ask', headers: { ...authorized, 'content-type': type }, body });

  it.each(['application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'text/plain', 'text/json', ''])(
    'a body of type "%s" is 415',
    async (type) => {
      await using net = await startGateway({ backend: { ask: echoTurn } });
      expect((await post(net.port, '{"text":"hi"}', type)).status).toBe(415);
    },
  );

  it('a body over 256 KiB is 413, whether it says so or not', async () => {
    await using net = await startGateway({ backend: { ask: echoTurn } });
    const large = JSON.stringify({ text: 'x'.repeat(300 * 1024) });
    expect((await post(net.port, large)).status).toBe(413);
    const chunked = { ...json, 'transfer-encoding': 'chunked' };
    expect((await send(net.port, { method: 'POST', path: '/api/ask', headers: chunked, body: large })).status).toBe(413);
  });

  it.each([
    ['too deep', `{"name":"x","input":{"a":${'['.repeat(40)}${']'.repeat(40)}}}`, /deeper than 32/],
    ['deep to break a parser', '['.repeat(100_000) + ']'.repeat(100_000), /deeper than 32/],
    ['not JSON', '{"text":', /not JSON/],
    ['empty', '', /not JSON/],
    ['not UTF-8', new Uint8Array([0x22, 0xff, 0x22]), /not UTF-8/],
    ['not an object', '[]', /does not fit/],
    ['of unknown keys', '{"text":"hi","admin":true}', /does not fit/],
    ['of wrong types', '{"text":7}', /does not fit/],
    ['an empty text', '{"text":"  "}', /does not fit/],
    ['a text that is too long', JSON.stringify({ text: 'x'.repeat(32_001) }), /at most 32000 characters: shorten it/],
    ['a session id with control characters', '{"text":"hi","sessionId":"a\\u0000b"}', /does not fit/],
  ])('a body that is %s is 400', async (_case, body, message) => {
    await using net = await startGateway({ backend: { ask: echoTurn } });
    const reply = await post(net.port, body);
    expect(reply.status).toBe(400);
    expect(JSON.parse(reply.text)).toMatchObject({ code: 'invalid', message: expect.stringMatching(message) });
  });

  it('a body that never ends is 504 and cut', async () => {
    await using net = await startGateway({ limits: { bodyTimeoutMs: 50 } });
    const socket = connect(net.port, '127.0.0.1');
    socket.write(
      `POST /api/ask HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"te`,
    );
    expect(await readUntil(socket, '\r\n\r\n')).toContain('504');
    socket.destroy();
  });

  it('other methods are 405 with what is allowed, and overrides are ignored', async () => {
    await using net = await startGateway({ backend: { ask: echoTurn } });
    for (const [method, path, allow] of [
      ['GET', '/api/ask', 'POST'],
      ['PUT', '/api/ask', 'POST'],
      ['DELETE', '/api/status', 'GET'],
      ['POST', '/api/events', 'GET'],
      ['POST', '/health', 'GET'],
      ['POST', '/', 'GET, HEAD'],
      ['TRACE', '/api/status', 'GET'],
      ['PROPFIND', '/api/status', 'GET'],
    ] as const) {
      const headers = { ...json, 'x-http-method-override': method === 'GET' ? 'POST' : 'GET' };
      const reply = await send(net.port, { method, path, headers });
      expect([method, path, reply.status, reply.headers.allow]).toEqual([method, path, 405, allow]);
    }
  });

  it('HEAD gives the page without its body and starts nothing in the API', async () => {
    await using net = await startGateway();
    const page = await send(net.port, { method: 'HEAD', path: '/' });
    expect([page.status, page.text]).toEqual([200, '']);
    const events = await send(net.port, { method: 'HEAD', path: '/api/events', headers: authorized });
    expect(events.status).toBe(405);
    expect(net.backend.watchers).toBe(0);
  });

  it.each([
    '/../../etc/passwd',
    '/assets/../../package.json',
    '/assets/..%2f..%2fpackage.json',
    '/assets/%2e%2e/%2e%2e/package.json',
    '/assets\\..\\package.json',
    '/assets/page-abc123.js%00.html',
    '//etc/passwd',
    '/__proto__',
    '/constructor',
  ])('the path %s reaches no file', async (path) => {
    await using net = await startGateway();
    const reply = await send(net.port, { path });
    expect([400, 404]).toContain(reply.status);
    expect(JSON.parse(reply.text)).toHaveProperty('code');
  });

  it('a failure inside is 500 with its text withheld, in an answer and in a stream', async () => {
    const failure = () => {
      throw new Error(SECRET);
    };
    await using net = await startGateway({ backend: { ask: failure, callTool: async () => failure() } });
    const headers = json;
    const ask = await send(net.port, { method: 'POST', path: '/api/ask', headers, body: '{"text":"hi"}' });
    expect(ask.status).toBe(500);
    const call = await send(net.port, { method: 'POST', path: '/api/call', headers, body: '{"name":"x"}' });
    expect(JSON.parse(call.text)).toMatchObject({ type: 'error', code: 'internal' });
    expect(ask.text + call.text).not.toContain(SECRET);
  });

  it('an unknown session is 404 and an unknown confirmation too', async () => {
    await using net = await startGateway();
    await expect(net.client.history('nope')).rejects.toMatchObject({ code: 'not-found' });
    await expect(net.client.confirm('nope', true)).rejects.toMatchObject({ code: 'not-found' });
  });
});
