import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import net from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { describe, expect, test } from 'vitest';
import { serveHttp, startProxy } from '../../../test/egress-fixture.ts';
import { until } from '../../../test/tool-fixture.ts';

const connect = (target: string, more = '') => `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${more}\r\n`;
const get = (url: string, more = 'Connection: close\r\n') => `GET ${url} HTTP/1.1\r\nHost: whatever.example\r\n${more}\r\n`;
const at = (address: string) => async (): Promise<LookupAddress[]> => [{ address, family: address.includes(':') ? 6 : 4 }];
const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]);

describe('a program with a list of hosts', () => {
  test('gets through to those in it, by a tunnel and by whole addresses', async () => {
    await using server = await serveHttp();
    using proxy = await startProxy([server.authority]);
    expect(await proxy.send(get(`http://${server.authority}/a?b`))).toMatch(
      new RegExp(`^HTTP/1.1 200 OK[\\s\\S]*GET /a\\?b ${server.authority}`),
    );
    const tunnel = await proxy.open(connect(server.authority));
    expect(String(await once(tunnel, 'data'))).toMatch(/^HTTP\/1\.1 200 /);
    tunnel.write('GET /in HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    expect(String(await once(tunnel, 'data'))).toContain('GET /in x');
    expect(proxy.told).toEqual([]);
  });

  test('gets through with what it sent before it was told that it may', async () => {
    await using server = await serveHttp();
    using proxy = await startProxy([server.authority]);
    const early = 'GET /early HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';
    expect(await proxy.send(connect(server.authority) + early)).toContain('GET /early x');
  });

  test('gets bodies of every framing through, both ways', async () => {
    await using server = await serveHttp((request, response) => request.pipe(response));
    using proxy = await startProxy([server.authority]);
    const post = (more: string) => `POST http://${server.authority}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${more}`;
    expect(await proxy.send(post('Content-Length: 5\r\n\r\nhello'))).toContain('hello');
    expect(await proxy.send(post('Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'))).toContain('hello');
    const big = 'x'.repeat(3_000_000);
    const answer = await proxy.send(post(`Content-Length: ${big.length}\r\nExpect: 100-continue\r\n\r\n${big}`));
    expect(answer.replaceAll(/[^x]/g, '').length).toBeGreaterThanOrEqual(big.length);
  });

  test('is told when a server answers by changing the protocol', async () => {
    const changing = net.createServer((socket) => {
      socket.once('data', () => socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'));
    });
    await using server = await serveHttp(undefined, changing);
    using proxy = await startProxy([server.authority]);
    const answer = await proxy.send(get(`http://${server.authority}/`));
    expect(answer).toMatch(/^HTTP\/1\.1 502 127\.0\.0\.1:\d+ gave no answer/);
  });

  test('is refused another host, and told which and how it would be granted, as its node is, once', async () => {
    await using server = await serveHttp();
    using proxy = await startProxy([server.authority], { resolveHost: at('127.0.0.1') });
    const words = 'evil.example:443 is not granted; add "evil.example" to the list if it is meant';
    for (const _ of [1, 2]) {
      const answer = await proxy.send(connect('evil.example:443'));
      expect(answer).toMatch(new RegExp(`^HTTP/1.1 403 ${words}\r\n`));
      expect(answer.endsWith(words)).toBe(true);
    }
    const plain = await proxy.send(get('http://evil.example:81/x'));
    expect(statusOf(plain)).toBe(403);
    expect(plain).toContain('add "evil.example:81" to the list');
    expect(proxy.told).toEqual([words, expect.stringContaining('evil.example:81 is not granted')]);
    expect(proxy.proxy.refusals).toMatchObject({ count: 3, last: expect.stringContaining('evil.example:81') });
    expect(server.connections()).toBe(0);
  });

  test('is refused another port of a host it was granted', async () => {
    await using server = await serveHttp();
    await using other = await serveHttp();
    using proxy = await startProxy([server.authority]);
    expect(statusOf(await proxy.send(connect(other.authority)))).toBe(403);
    expect(statusOf(await proxy.send(get(`http://${other.authority}/`)))).toBe(403);
    expect(other.connections()).toBe(0);
  });

  test('does not get a name looked up that it was not granted, so that none carries anything out', async () => {
    const asked: string[] = [];
    const resolveHost = async (host: string) => {
      asked.push(host);
      return [{ address: '127.0.0.1', family: 4 }];
    };
    using proxy = await startProxy(['api.example', '*.wide.example'], { resolveHost });
    for (const host of ['c2VjcmV0.evil.example', 'c2VjcmV0.api.example', 'wide.example']) {
      expect(statusOf(await proxy.send(connect(`${host}:443`)))).toBe(403);
      expect(statusOf(await proxy.send(get(`http://${host}/`)))).toBe(403);
    }
    expect(asked).toEqual([]);
  });

  test.each([
    '127.0.0.1',
    '0x7f.1',
    '0177.0.0.1',
    '2130706433',
    '127.1',
    '[::1]',
    '[::]',
    '0.0.0.0',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[64:ff9b::127.0.0.1]',
    'localhost',
    '169.254.169.254',
    '[fd00:ec2::254]',
    '１２７.０.０.１',
  ])('is refused %s, which is not in it', async (host) => {
    await using server = await serveHttp();
    using proxy = await startProxy(['api.example', `api.example:${server.port}`]);
    const answers = [
      await proxy.send(connect(`${host}:${server.port}`)),
      await proxy.send(get(`http://${host}:${server.port}/`)),
      await proxy.send(connect(`${host}:80`)),
    ];
    // Bytes that are no ASCII are no request at all.
    expect(answers.map(statusOf).every((status) => status === 403 || status === 400)).toBe(true);
    expect(server.connections()).toBe(0);
  });

  test.each(['127.0.0.1', '10.0.0.1', '169.254.169.254', '::1', '::ffff:127.0.0.1', '64:ff9b::7f00:1', '0.0.0.0'])(
    'is refused a name of it that leads to %s',
    async (address) => {
      await using server = await serveHttp();
      using proxy = await startProxy([`api.example:${server.port}`], { resolveHost: at(address) });
      for (const request of [connect(`api.example:${server.port}`), get(`http://api.example:${server.port}/`)]) {
        const answer = await proxy.send(request);
        expect(statusOf(answer)).toBe(403);
        expect(answer).toMatch(/api\.example:\d+ leads to .*no public address.* lists it in the list/);
      }
      expect(server.connections()).toBe(0);
    },
  );

  test('gets to a private address that it was granted by itself, also by a name that was, at that port alone', async () => {
    await using server = await serveHttp();
    await using other = await serveHttp();
    const entries = [`api.example:${server.port}`, `api.example:${other.port}`, server.authority];
    using proxy = await startProxy(entries, { resolveHost: at('127.0.0.1') });
    expect(statusOf(await proxy.send(get(`http://api.example:${server.port}/`)))).toBe(200);
    expect(statusOf(await proxy.send(get(`http://0x7f.1:${server.port}/`)))).toBe(200);
    expect(statusOf(await proxy.send(get(`http://api.example:${other.port}/`)))).toBe(403);
    expect(other.connections()).toBe(0);
  });

  test('gains nothing from a name that changes between check and connection, or between two requests', async () => {
    await using allowed = await serveHttp();
    await using inner = await serveHttp(undefined, undefined, '127.0.0.2');
    const answers = ['127.0.0.1', '127.0.0.2'];
    let lookups = 0;
    const resolveHost = async () => {
      lookups += 1;
      return [{ address: answers.shift() ?? '127.0.0.2', family: 4 }];
    };
    const entries = [`rebind.example:${allowed.port}`, `rebind.example:${inner.port}`, allowed.authority];
    using proxy = await startProxy(entries, { resolveHost });
    expect(statusOf(await proxy.send(get(`http://rebind.example:${allowed.port}/`)))).toBe(200);
    expect(lookups).toBe(1);
    expect(statusOf(await proxy.send(get(`http://rebind.example:${allowed.port}/`)))).toBe(403);
    expect(statusOf(await proxy.send(connect(`rebind.example:${inner.port}`)))).toBe(403);
    expect(inner.connections()).toBe(0);
  });

  test('is refused a name one of whose addresses is private', async () => {
    await using server = await serveHttp();
    const resolveHost = async () => [...(await at('93.184.216.34')()), ...(await at('127.0.0.1')())];
    using proxy = await startProxy([`mixed.example:${server.port}`], { resolveHost });
    expect(statusOf(await proxy.send(connect(`mixed.example:${server.port}`)))).toBe(403);
    expect(server.connections()).toBe(0);
  });

  test('is connected with what it asks for, whatever it says beside that in Host', async () => {
    await using server = await serveHttp((request, response) => {
      const hosts = request.rawHeaders.filter((_, at, all) => all[at - 1]?.toLowerCase() === 'host');
      response.end(`${request.method} ${request.url} ${hosts.join()}.`);
    });
    await using other = await serveHttp();
    using proxy = await startProxy([server.authority]);
    const mismatched = `GET http://${server.authority}/ HTTP/1.1\r\nHost: ${other.authority}\r\nConnection: close\r\n\r\n`;
    expect(await proxy.send(mismatched)).toContain(`GET / ${server.authority}.`);
    expect(statusOf(await proxy.send(`CONNECT ${other.authority} HTTP/1.1\r\nHost: ${server.authority}\r\n\r\n`))).toBe(403);
    expect(statusOf(await proxy.send(`GET / HTTP/1.1\r\nHost: ${server.authority}\r\nConnection: close\r\n\r\n`))).toBe(400);
    const tunnel = await proxy.open(`CONNECT ${server.authority} HTTP/1.1\r\nHost: ${other.authority}\r\n\r\n`);
    await once(tunnel, 'data');
    expect([server.connections(), other.connections()]).toEqual([2, 0]);
  });

  test('is checked at each request of a connection that is kept', async () => {
    await using server = await serveHttp();
    await using other = await serveHttp();
    using proxy = await startProxy([server.authority]);
    const kept = await proxy.open(get(`http://${server.authority}/`, ''));
    expect(statusOf(String(await once(kept, 'data')))).toBe(200);
    kept.write(get(`http://${other.authority}/`, ''));
    expect(statusOf(String(await once(kept, 'data')))).toBe(403);
    const again = await proxy.open(get(`http://${server.authority}/`, ''));
    await once(again, 'data');
    again.write(connect(other.authority));
    expect(statusOf(String(await once(again, 'data')))).toBe(403);
    expect(other.connections()).toBe(0);
  });

  test('follows no redirect by it: the next address is a request like any other', async () => {
    await using other = await serveHttp();
    await using server = await serveHttp((_, response) =>
      response.writeHead(302, { location: `http://${other.authority}/` }).end(),
    );
    using proxy = await startProxy([server.authority]);
    expect(await proxy.send(get(`http://${server.authority}/`))).toMatch(/^HTTP\/1\.1 302 /);
    expect(other.connections()).toBe(0);
  });

  test.each([
    ['two lengths', 'Content-Length: 5\r\nContent-Length: 6\r\n'],
    ['a length and chunks', 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n'],
    ['chunks and a length', 'Transfer-Encoding: chunked\r\nContent-Length: 5\r\n'],
    ['a coding that is not the last', 'Transfer-Encoding: chunked, gzip\r\n'],
    ['a folded header', 'X: a\r\n Transfer-Encoding: chunked\r\n'],
    ['a name with a space', 'Transfer-Encoding : chunked\r\n'],
    ['a bare carriage return', 'X: a\rTransfer-Encoding: chunked\r\n'],
    ['a bare line feed', 'X: a\nTransfer-Encoding: chunked\r\n'],
    ['a length with a sign', 'Content-Length: +5\r\n'],
  ])('smuggles no second request in by %s', async (_, headers) => {
    const asked: string[] = [];
    await using server = await serveHttp((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      response.end();
    });
    await using other = await serveHttp();
    using proxy = await startProxy([server.authority]);
    // It is passed to nobody, since who gets it may read its end elsewhere.
    const inner = `0\r\n\r\nGET http://${other.authority}/smuggled HTTP/1.1\r\nHost: x\r\n\r\n`;
    const answer = await proxy.send(
      `POST http://${server.authority}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${headers}\r\n${inner}`,
    );
    expect(statusOf(answer)).toBe(400);
    expect([asked, other.connections()]).toEqual([[], 0]);
  });

  test('has one request at a time on a connection, and a tunnel only when that is answered', async () => {
    await using server = await serveHttp(() => undefined);
    using proxy = await startProxy([server.authority]);
    expect(await proxy.send(get(`http://${server.authority}/`, '').repeat(100))).toBe('');
    expect(server.connections()).toBeLessThanOrEqual(1);
    expect(await proxy.send(get(`http://${server.authority}/`, '') + connect(server.authority))).toBe('');
    expect(server.connections()).toBeLessThanOrEqual(2);
  });

  test('keeps no header of the connection, nor those it names, in either direction', async () => {
    let asked: readonly string[] = [];
    await using server = await serveHttp((request, response) => {
      asked = Object.keys(request.headers);
      response
        .writeHead(200, { 'proxy-authenticate': 'Basic', connection: 'x-inner, close', 'x-inner': '1', 'x-kept': '1' })
        .end();
    });
    using proxy = await startProxy([server.authority]);
    const headers =
      'Connection: close, x-hop\r\nX-Hop: 1\r\nProxy-Authorization: Basic eA==\r\nUpgrade: websocket\r\nX-End: 1\r\n';
    const answer = (await proxy.send(get(`http://${server.authority}/`, headers))).toLowerCase();
    expect(asked).toEqual(['host', 'x-end', 'connection']);
    expect(answer).toContain('x-kept: 1');
    expect(answer).not.toMatch(/x-inner|proxy-authenticate/);
  });

  test.each([
    '',
    'not http at all\r\n\r\n',
    'GET',
    '\0\0\0\0\r\n\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  ])('that sends %j gets an end and no connection', async (text) => {
    using proxy = await startProxy(['127.0.0.1'], { limits: { headTimeoutMs: 100 } });
    expect(await proxy.send(text)).toMatch(/^(HTTP\/1\.1 4\d\d [\s\S]*)?$/);
  });

  test('is refused a head that is too large, its own and a server’s', async () => {
    await using server = await serveHttp((_, response) => response.writeHead(200, { x: 'x'.repeat(30_000) }).end());
    using proxy = await startProxy([server.authority]);
    const large = `X: ${'x'.repeat(20_000)}\r\n`;
    expect(statusOf(await proxy.send(get(`http://${server.authority}/`, large)))).toBe(431);
    expect(statusOf(await proxy.send(connect(server.authority, large)))).toBe(431);
    expect(server.connections()).toBe(0);
    expect(statusOf(await proxy.send(get(`http://${server.authority}/`)))).toBe(502);
  });

  test('that sends its head by drips is left', async () => {
    using proxy = await startProxy(['127.0.0.1'], { limits: { headTimeoutMs: 200 } });
    const socket = await proxy.open('GET http://127.0.0.1/ HTTP/1.1\r\n');
    const dripping = setInterval(() => socket.write('X: x\r\n'), 20);
    try {
      expect(statusOf(String(await once(socket, 'data')))).toBe(408);
    } finally {
      clearInterval(dripping);
      socket.destroy();
    }
  });

  test('whose tunnel nothing moves in loses it', async () => {
    await using server = await serveHttp(() => undefined);
    using proxy = await startProxy([server.authority], { limits: { idleTimeoutMs: 100 } });
    expect(await proxy.send(connect(server.authority))).toMatch(/^HTTP\/1\.1 200 /);
    expect(await proxy.send(get(`http://${server.authority}/`))).not.toMatch(/^HTTP\/1\.1 200/);
  });

  test('is told when a name never resolves, or nobody listens', async () => {
    const resolveHost = async () => {
      throw new Error('ENOTFOUND');
    };
    using proxy = await startProxy(['api.example', '127.0.0.1:1'], { resolveHost });
    expect(await proxy.send(connect('api.example:443'))).toMatch(/^HTTP\/1\.1 502 The name api\.example does not resolve/);
    expect(await proxy.send(connect('127.0.0.1:1'))).toMatch(
      /^HTTP\/1\.1 502 127\.0\.0\.1:1 cannot be reached \(ECONNREFUSED\)/,
    );
    const never = () => new Promise<LookupAddress[]>(() => undefined);
    using slow = await startProxy(['api.example'], { resolveHost: never, limits: { connectTimeoutMs: 100 } });
    expect(await slow.send(connect('api.example:443'))).toMatch(/^HTTP\/1\.1 504 .*longer than 100 ms/);
    expect(slow.told).toEqual([]);
  });

  test('keeps one lookup going at most, however many it asks for', async () => {
    let running = 0;
    let most = 0;
    const open: (() => void)[] = [];
    const resolveHost = async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise<void>((resolve) => open.push(resolve));
      running -= 1;
      return [];
    };
    using proxy = await startProxy(['*.api.example'], { resolveHost });
    const answers = Array.from({ length: 20 }, (_, n) => proxy.send(connect(`n${n}.api.example:443`)));
    for (let n = 0; n < 20; n += 1) {
      await until(() => open.length > n);
      open[n]?.();
    }
    expect((await Promise.all(answers)).map(statusOf)).toEqual(Array.from({ length: 20 }, () => 502));
    expect(most).toBe(1);
  });

  test('has so many connections, and a thousand more harm neither its node nor another program', async () => {
    await using server = await serveHttp();
    using proxy = await startProxy([server.authority], { limits: { maxConnections: 16 } });
    using other = await startProxy([server.authority]);
    const delay = monitorEventLoopDelay({ resolution: 5 });
    delay.enable();
    const sockets = Array.from({ length: 1_000 }, () => net.connect(proxy.port, '127.0.0.1').on('error', () => undefined));
    let closed = 0;
    for (const socket of sockets) socket.once('close', () => (closed += 1)).resume();
    await until(() => closed >= 1_000 - 16);
    expect(statusOf(await other.send(get(`http://${server.authority}/`)))).toBe(200);
    delay.disable();
    expect(closed).toBe(1_000 - 16);
    expect(delay.percentile(50) / 1e6).toBeLessThan(50);
    for (const socket of sockets) socket.destroy();
    await until(async () => statusOf(await proxy.send(get(`http://${server.authority}/`))) === 200);
  });

  test('that does not read waits, and holds little', async () => {
    let written = 0;
    await using server = await serveHttp((request, response) => {
      if (request.url === '/small') {
        response.end();
        return;
      }
      const chunk = Buffer.alloc(65_536);
      const more = () => {
        if (written >= 268_435_456) return;
        written += chunk.length;
        response.write(chunk, more);
      };
      more();
    });
    using proxy = await startProxy([server.authority]);
    const before = process.memoryUsage().rss;
    for (const request of [
      get(`http://${server.authority}/`),
      `${connect(server.authority)}GET / HTTP/1.1\r\nHost: x\r\n\r\n`,
    ]) {
      written = 0;
      const socket = await proxy.open(request);
      await until(() => written > 0);
      // Time in which all of it would have come.
      for (let n = 0; n < 300; n += 1) await proxy.send(get(`http://${server.authority}/small`));
      expect(written).toBeLessThan(67_108_864);
      socket.destroy();
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(134_217_728);
  });

  test('has its connections outside ended with it', async () => {
    await using server = await serveHttp(() => undefined);
    using proxy = await startProxy([server.authority]);
    const tunnel = await proxy.open(connect(server.authority));
    await once(tunnel, 'data');
    const waiting = await proxy.open(get(`http://${server.authority}/`));
    await until(() => server.connections() === 2);
    const ends = [once(tunnel, 'close'), once(waiting, 'close')];
    proxy.proxy[Symbol.dispose]();
    for (const socket of [tunnel, waiting]) socket.resume();
    await Promise.all(ends);
    await expect(proxy.open()).rejects.toThrow(/ECONNREFUSED/);
  });

  test('that asks for very many hosts is told of so often, and refused all', async () => {
    using proxy = await startProxy(['api.example']);
    for (let n = 0; n < 80; n += 1) await proxy.send(connect(`n${n}.evil.example:443`));
    expect(proxy.told).toHaveLength(65);
    expect(proxy.told.at(-1)).toContain('no more are told');
    expect(proxy.proxy.refusals.count).toBe(80);
  });
});
