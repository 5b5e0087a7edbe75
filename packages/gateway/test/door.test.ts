import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { authorized, echoTurn, json, readUntil, send, startGateway, TOKEN } from './start-gateway.ts';

describe('who may ask', () => {
  it('answers health to anybody with a right Host and says nothing private', async () => {
    await using net = await startGateway();
    const reply = await send(net.port, { path: '/health' });
    expect(reply.status).toBe(200);
    expect(JSON.parse(reply.text)).toEqual({ status: 'ok', protocol: 'skein' });
  });

  it.each([
    ['no token', undefined],
    ['an empty one', ''],
    ['a wrong one of the same length', `Bearer ${'x'.repeat(TOKEN.length)}`],
    ['a prefix of the right one', `Bearer ${TOKEN.slice(0, -1)}`],
    ['the right one and more', `Bearer ${TOKEN}x`],
    ['a huge one', `Bearer ${'x'.repeat(8_000)}`],
    ['another scheme', `Basic ${Buffer.from(`x:${TOKEN}`).toString('base64')}`],
    ['the token without a scheme', TOKEN],
  ])('refuses %s on every API path, known or not', async (_case, authorization) => {
    await using net = await startGateway();
    for (const path of ['/api/status', '/api/events', '/api/no-such', '/api']) {
      const reply = await send(net.port, { path, headers: authorization === undefined ? {} : { authorization } });
      expect([path, reply.status]).toEqual([path, 401]);
      expect(JSON.parse(reply.text)).toMatchObject({ code: 'unauthenticated' });
      expect(reply.headers['www-authenticate']).toContain('Bearer');
    }
  });

  it('has no exemption for loopback and takes the right token', async () => {
    await using net = await startGateway();
    expect((await send(net.port, {})).status).toBe(401);
    expect((await send(net.port, { headers: authorized })).status).toBe(200);
  });

  it.each(['token', 'access_token', 'key'])('refuses a token in the query (%s), even beside a right header', async (name) => {
    await using net = await startGateway();
    for (const headers of [{}, authorized]) {
      const reply = await send(net.port, { path: `/api/status?${name}=${TOKEN}`, headers });
      expect(reply.status).toBe(400);
      expect(reply.text).not.toContain(TOKEN);
    }
  });

  it('refuses to start with a token that can be guessed', async () => {
    await expect(startGateway({ token: 'short' })).rejects.toThrow(/16/);
    await expect(startGateway({ token: '' })).rejects.toThrow(/16/);
  });

  it('stops a flood of guesses with 429 while the right token works from elsewhere', async () => {
    let nowMs = 0;
    await using net = await startGateway({ now: () => nowMs });
    const guess = (index: number) =>
      send(net.port, { headers: { authorization: `Bearer guess-number-${index}-xxxxxxxx` }, localAddress: '127.0.0.2' });
    const statuses: number[] = [];
    for (let index = 0; index < 40; index += 1) statuses.push((await guess(index)).status);
    expect(statuses.filter((code) => code === 401)).toHaveLength(10);
    expect(statuses.slice(10).every((code) => code === 429)).toBe(true);

    const locked = await send(net.port, { headers: authorized, localAddress: '127.0.0.2' });
    expect(locked.status).toBe(429);
    expect(Number(locked.headers['retry-after'])).toBeGreaterThan(0);
    expect((await send(net.port, { headers: authorized, localAddress: '127.0.0.3' })).status).toBe(200);

    nowMs += Number(locked.headers['retry-after']) * 1_000;
    expect((await send(net.port, { headers: authorized, localAddress: '127.0.0.2' })).status).toBe(200);
  });
});

describe('a page of another origin', () => {
  it.each([
    'http://evil.example',
    'https://evil.example',
    'null',
    'http://127.0.0.1:1',
    'http://localhost.evil.example',
    'file://',
  ])('is refused by its Origin %s even with the right token', async (origin) => {
    await using net = await startGateway({ backend: { ask: echoTurn } });
    const post = await send(net.port, {
      method: 'POST',
      path: '/api/ask',
      headers: { ...json, origin },
      body: '{"text":"rm -rf"}',
    });
    const get = await send(net.port, { headers: { ...authorized, origin } });
    expect([post.status, get.status]).toEqual([403, 403]);
    expect(post.headers['access-control-allow-origin']).toBeUndefined();
  });

  it('gets no answer to a preflight that a browser would accept', async () => {
    await using net = await startGateway();
    const headers = {
      origin: 'http://evil.example',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type',
    };
    const reply = await send(net.port, { method: 'OPTIONS', path: '/api/ask', headers });
    expect(reply.status).toBe(403);
    expect(Object.keys(reply.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
  });

  it.each(['cross-site', 'same-site'])('is refused by Sec-Fetch-Site: %s, and can frame or embed nothing', async (site) => {
    await using net = await startGateway();
    const from = (path: string, mode: string, dest: string) =>
      send(net.port, {
        path,
        headers: { ...authorized, 'sec-fetch-site': site, 'sec-fetch-mode': mode, 'sec-fetch-dest': dest },
      });
    expect((await from('/api/status', 'cors', 'empty')).status).toBe(403);
    expect((await from('/api/status', 'navigate', 'document')).status).toBe(403);
    expect((await from('/', 'navigate', 'iframe')).status).toBe(403);
    expect((await from('/assets/page-abc123.js', 'no-cors', 'script')).status).toBe(403);
    // Following a link to the page is not an attack.
    expect((await from('/', 'navigate', 'document')).status).toBe(200);
  });

  it.each(['evil.example', 'evil.example:80', 'localhost.evil.example', '127.0.0.1.evil.example', '127.0.0.1@evil.example'])(
    'is refused by the Host it rebound: "%s"',
    async (host) => {
      await using net = await startGateway();
      for (const path of ['/', '/health', '/api/status']) {
        const reply = await send(net.port, { path, headers: { ...authorized, host } });
        expect(reply.status === 403 || reply.status === 400).toBe(true);
        expect(reply.text).not.toContain('coordinator');
      }
    },
  );

  it.each(['GET /api/status HTTP/1.1\r\nHost:\r\n', 'GET /api/status HTTP/1.1\r\n', 'GET /api/status HTTP/1.0\r\n'])(
    'is refused without a Host: %j',
    async (start) => {
      await using net = await startGateway();
      const socket = connect(net.port, '127.0.0.1');
      socket.write(`${start}Authorization: Bearer ${TOKEN}\r\n\r\n`);
      expect(await readUntil(socket, '\r\n\r\n')).toMatch(/^HTTP\/1\.1 40[03] /);
      socket.destroy();
    },
  );

  it.each(['localhost', 'LOCALHOST:99', '127.0.0.1', '[::1]:8080'])('does not exist for the own name %s', async (host) => {
    await using net = await startGateway();
    const headers = { ...authorized, host, origin: `http://${host.toLowerCase()}`, 'sec-fetch-site': 'same-origin' };
    expect((await send(net.port, { headers })).status).toBe(200);
  });
});
