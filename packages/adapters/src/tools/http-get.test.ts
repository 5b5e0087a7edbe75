import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer as createSocketServer } from 'node:net';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { rejection, toolContext } from '../../test/tool-fixture.ts';
import { AddressPolicy, isPublic } from './address-policy.ts';
import { createHttpGet } from './http-get.ts';

/** A server on loopback that counts connections. */
async function serve(listener: RequestListener, host = '127.0.0.1') {
  const server = createServer(listener);
  let connections = 0;
  server.on('connection', () => {
    connections += 1;
  });
  server.listen(0, host);
  await once(server, 'listening');
  // Proven: it listens on TCP.
  const { port } = server.address() as AddressInfo;
  return {
    port,
    authority: `${host}:${port}`,
    url: `http://${host}:${port}`,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

const page = z.object({ url: z.string(), status: z.int(), text: z.string().nullable(), truncated: z.boolean() });

async function get(url: string, options: Parameters<typeof createHttpGet>[0] = {}) {
  return page.loose().parse(await createHttpGet(options).run({ url }, toolContext()));
}

describe('http_get', () => {
  test('returns the text, where it came from and what it is', async () => {
    await using server = await serve((request, response) => {
      response.setHeader('content-type', 'text/html; charset="UTF-8"').end(`<p>${request.method} ${request.url}</p>`);
    });
    expect(await get(`${server.url}/a?b=c#d`, { allowPrivate: [server.authority] })).toMatchObject({
      url: `${server.url}/a?b=c`,
      status: 200,
      contentType: 'text/html',
      charset: 'utf-8',
      text: '<p>GET /a?b=c</p>',
      sizeBytes: 17,
      truncated: false,
      redirects: [],
    });
  });

  test('ends at its time, and with its caller, while a name is looked up', async () => {
    const tool = createHttpGet({ resolveHost: () => new Promise(() => undefined), timeoutMs: 20 });
    expect((await rejection(tool.run({ url: 'slow.example' }, toolContext()))).code).toBe('deadline-exceeded');
    const caller = new AbortController();
    const stopped = rejection(
      createHttpGet({ resolveHost: () => new Promise(() => undefined) }).run(
        { url: 'slow.example' },
        toolContext(caller.signal),
      ),
    );
    caller.abort();
    expect((await stopped).code).toBe('canceled');
  });

  test('fails at an answer that changes the protocol, which nobody asked for', async () => {
    const changing = createSocketServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'));
    }).listen(0, '127.0.0.1');
    await once(changing, 'listening');
    // Proven: it listens on TCP.
    const { port } = changing.address() as AddressInfo;
    const tool = createHttpGet({ allowPrivate: [`127.0.0.1:${port}`] });
    const failed = await rejection(tool.run({ url: `http://127.0.0.1:${port}/` }, toolContext()));
    expect(failed).toMatchObject({ code: 'unavailable', message: `127.0.0.1:${port} gave no answer` });
    changing.close();
  });

  test('gives any status as a result', async () => {
    await using server = await serve((_, response) => response.writeHead(503, { 'content-type': 'text/plain' }).end('busy'));
    expect(await get(server.url, { allowPrivate: [server.authority] })).toMatchObject({ status: 503, text: 'busy' });
  });

  test.each([
    ['text/plain; charset=iso-8859-1', Buffer.from('grün', 'latin1'), 'grün'],
    ['text/html', Buffer.from('<meta charset="windows-1252">grün', 'latin1'), '<meta charset="windows-1252">grün'],
    ['text/plain', Buffer.from('\uFEFFgrün', 'utf16le'), 'grün'],
    ['text/plain; charset=shift_jis', Buffer.from([0x93, 0xfa, 0x96, 0x7b]), '日本'],
    ['text/plain; charset=no-such', Buffer.from('grün'), 'grün'],
    ['application/ld+json', Buffer.from('{}'), '{}'],
    ['', Buffer.from('grün'), 'grün'],
    ['image/png', Buffer.from('text'), null],
    ['application/octet-stream', Buffer.from([1, 0, 2]), null],
    ['text/plain', Buffer.from([1, 0, 2]), null],
  ])('reads %j as what it is', async (type, bytes, text) => {
    await using server = await serve((_, response) =>
      response.writeHead(200, type === '' ? {} : { 'content-type': type }).end(bytes),
    );
    expect(await get(server.url, { allowPrivate: [server.authority] })).toMatchObject({ text });
  });

  test.each([
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
    ['deflate', deflateSync],
  ])('unpacks %s, and no further than the bound', async (encoding, pack) => {
    const packed = pack(Buffer.alloc(50_000_000, 'x'));
    await using server = await serve((_, response) => {
      response.writeHead(200, { 'content-type': 'text/plain', 'content-encoding': encoding }).end(packed);
    });
    const before = process.memoryUsage().rss;
    const answer = await get(server.url, { allowPrivate: [server.authority], maxBytes: 1_000 });
    expect(answer).toMatchObject({ text: 'x'.repeat(1_000), truncated: true });
    expect(process.memoryUsage().rss - before).toBeLessThan(33_554_432);
  });

  test('cuts an answer without end', async () => {
    await using server = await serve((_, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' });
      const more = () => {
        while (response.write('x'.repeat(65_536)));
      };
      response.on('drain', more);
      more();
    });
    const answer = await get(server.url, { allowPrivate: [server.authority], maxBytes: 100_000 });
    expect(answer).toMatchObject({ truncated: true });
    expect(answer.text).toHaveLength(100_000);
  });

  test('says so when the answer is damaged or packed unknowably', async () => {
    await using broken = await serve((_, response) => {
      response
        .writeHead(200, { 'content-type': 'text/plain', 'content-length': '100' })
        .write('half', () => response.destroy());
    });
    expect((await rejection(get(broken.url, { allowPrivate: [broken.authority] }))).code).toBe('corrupt');
    await using damaged = await serve((_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('no gzip'));
    expect((await rejection(get(damaged.url, { allowPrivate: [damaged.authority] }))).code).toBe('corrupt');
    await using unknown = await serve((_, response) => response.writeHead(200, { 'content-encoding': 'lzma' }).end('x'));
    expect((await rejection(get(unknown.url, { allowPrivate: [unknown.authority] }))).code).toBe('unsupported');
    await using noise = await serve(() => undefined);
    const raw = createSocketServer((socket) => socket.end('\0\0 not http'));
    raw.listen(0, '127.0.0.1');
    await once(raw, 'listening');
    const { port } = raw.address() as AddressInfo;
    expect((await rejection(get(`http://127.0.0.1:${port}`, { allowPrivate: ['127.0.0.1'] }))).code).toBe('unavailable');
    raw.close();
    expect(noise.connections()).toBe(0);
  });

  test('ends at its time when nothing, or only a drip, comes', async () => {
    await using silent = await serve(() => undefined);
    const options = { allowPrivate: ['127.0.0.1'], timeoutMs: 150 };
    expect((await rejection(get(silent.url, options))).code).toBe('deadline-exceeded');
    await using dripping = await serve((_, response) => {
      const timer = setInterval(() => response.write('x'), 10);
      response.on('close', () => clearInterval(timer));
    });
    expect((await rejection(get(dripping.url, options))).code).toBe('deadline-exceeded');
  });

  test('ends when the caller stops', async () => {
    const caller = new AbortController();
    await using server = await serve(() => caller.abort());
    const tool = createHttpGet({ allowPrivate: [server.authority] });
    expect((await rejection(tool.run({ url: server.url }, toolContext(caller.signal)))).code).toBe('canceled');
    expect((await rejection(tool.run({ url: server.url }, toolContext(AbortSignal.abort())))).code).toBe('canceled');
  });

  test('is unavailable where nobody listens or the name does not resolve', async () => {
    const gone = await serve(() => undefined);
    await gone[Symbol.asyncDispose]();
    expect((await rejection(get(gone.url, { allowPrivate: [gone.authority] }))).code).toBe('unavailable');
    const resolveHost = async () => {
      throw new Error('ENOTFOUND');
    };
    expect((await rejection(get('http://nowhere.example', { resolveHost }))).code).toBe('unavailable');
    expect((await rejection(get('http://nowhere.example', { resolveHost: async () => [] }))).code).toBe('unavailable');
  });

  test.each([
    'ftp://example.com/x',
    'file:///etc/passwd',
    'data:text/plain,x',
    'javascript:alert(1)',
    'gopher://example.com',
    'http://',
    'http://user:secret@example.com/',
    'https://user@example.com/',
    'http://[::1',
    'http://a b/',
    'http://1.2.3.4.5.6:99999/',
    '',
  ])('finds %j invalid', async (url) => {
    expect((await rejection(get(url))).code).toBe('invalid');
  });
});

describe('redirects', () => {
  test('are followed up to five times', async () => {
    await using server = await serve((request, response) => {
      const left = Number(request.url?.slice(1));
      if (left === 0) response.setHeader('content-type', 'text/plain').end('there');
      else response.writeHead([301, 302, 303, 307, 308][left % 5] ?? 302, { location: `/${left - 1}` }).end();
    });
    const options = { allowPrivate: [server.authority] };
    const answer = await get(`${server.url}/5`, options);
    expect(answer).toMatchObject({ url: `${server.url}/0`, text: 'there' });
    expect(answer.redirects).toHaveLength(5);
    expect((await rejection(get(`${server.url}/6`, options))).code).toBe('unavailable');
  });

  test('to a private address are refused before a connection', async () => {
    await using inner = await serve((_, response) => response.end('SECRET'));
    for (const location of [
      inner.url,
      `//127.1:${inner.port}/`,
      `http://localhost:${inner.port}/`,
      `http://[::ffff:127.0.0.1]:${inner.port}/`,
    ]) {
      await using outer = await serve((_, response) => response.writeHead(302, { location }).end());
      expect((await rejection(get(outer.url, { allowPrivate: [outer.authority] }))).code).toBe('denied');
      expect(outer.connections()).toBe(1);
    }
    expect(inner.connections()).toBe(0);
  });

  test.each(['file:///etc/passwd', 'ftp://example.com/', 'http://user:pw@example.com/', 'http://['])(
    'to %j are refused',
    async (location) => {
      await using server = await serve((_, response) => response.writeHead(302, { location }).end());
      expect((await rejection(get(server.url, { allowPrivate: [server.authority] }))).code).toBe('invalid');
    },
  );
});

describe('private addresses', () => {
  /** Spellings of loopback and of what resolves to it, with the port of a server that must not be reached. */
  const LOOPBACK = [
    '127.0.0.1',
    '127.1',
    '127.0.1',
    '2130706433',
    '0x7f000001',
    '0x7f.1',
    '0177.0.0.1',
    '017700000001',
    '127.0.0.1.',
    '１２７.０.０.１',
    '127。0。0。1',
    '%31%32%37.0.0.1',
    '0.0.0.0',
    '0',
    'localhost',
    'LOCALHOST.',
    '[::1]',
    '[::]',
    '[0:0:0:0:0:0:0:1]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::127.0.0.1]',
    '[::ffff:0:127.0.0.1]',
    '[64:ff9b::127.0.0.1]',
    '[64:ff9b:1::7f00:1]',
    '[2002:7f00:1::]',
  ];

  test('are not connected to in any spelling', async () => {
    await using four = await serve((_, response) => response.end('SECRET'));
    await using six = await serve((_, response) => response.end('SECRET'), '::1');
    for (const host of LOOPBACK) {
      for (const port of [four.port, six.port]) {
        const error = await rejection(get(`http://${host}:${port}/`, { timeoutMs: 2_000 }));
        expect(`${host} ${error.code}`).toBe(`${host} denied`);
      }
    }
    expect(four.connections() + six.connections()).toBe(0);
  });

  test.each([
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    '198.18.0.1',
    '192.0.2.1',
    '224.0.0.1',
    '255.255.255.255',
    '240.0.0.1',
    '0.1.2.3',
    'fd00:ec2::254',
    'fc00::1',
    'fe80::1',
    'fec0::1',
    'ff02::1',
    '::ffff:10.0.0.1',
    '::10.0.0.1',
    '64:ff9b::a9fe:a9fe',
    '64:ff9b:1::a00:1',
    '2002:a00:1::',
    '2001::1',
    '100::1',
    '2001:db8::1',
    '4000::1',
    'fe80::1%eth0',
    'no address',
    '',
  ])('%s is not public', (address) => {
    expect(isPublic(address)).toBe(false);
  });

  test.each(['1.1.1.1', '8.8.8.8', '172.32.0.1', '2606:4700::1111', '64:ff9b::808:808', '::ffff:8.8.8.8'])(
    '%s is public',
    (address) => {
      expect(isPublic(address)).toBe(true);
    },
  );

  test('stay private however they are put into an IPv6 address', () => {
    const octet = fc.integer({ min: 0, max: 255 });
    const inner = fc.oneof(
      fc.tuple(fc.constant(10), octet, octet, octet),
      fc.tuple(fc.constant(127), octet, octet, octet),
      fc.tuple(fc.constant(192), fc.constant(168), octet, octet),
      fc.tuple(fc.constant(169), fc.constant(254), octet, octet),
    );
    const prefix = fc.constantFrom('::ffff:', '::', '::ffff:0:', '64:ff9b::', '64:ff9b:1::');
    fc.assert(
      fc.property(inner, prefix, (bytes, start) => {
        const address = `${start}${bytes.join('.')}`;
        expect(isPublic(address)).toBe(false);
        expect(isPublic(ipaddr.IPv6.parse(address).toNormalizedString())).toBe(false);
      }),
    );
  });

  test('of a name are refused when only one of several is private', async () => {
    await using server = await serve((_, response) => response.end('SECRET'));
    const resolveHost = async () => [
      { address: '93.184.216.34', family: 4 },
      { address: '127.0.0.1', family: 4 },
    ];
    expect((await rejection(get(`http://mixed.example:${server.port}/`, { resolveHost }))).code).toBe('denied');
    expect(server.connections()).toBe(0);
  });

  test('cannot be slipped in by a name that changes between check and connection', async () => {
    await using allowed = await serve((_, response) => response.setHeader('content-type', 'text/plain').end('public'));
    await using inner = await serve((_, response) => response.end('SECRET'), '127.0.0.2');
    // The same port on both addresses, so that only the address decides.
    const answers: LookupAddress[][] = [[{ address: '127.0.0.1', family: 4 }]];
    let lookups = 0;
    const resolveHost = async () => {
      lookups += 1;
      return answers.shift() ?? [{ address: '127.0.0.2', family: 4 }];
    };
    const options = { allowPrivate: ['127.0.0.1'], resolveHost };
    expect(await get(`http://rebind.example:${allowed.port}/`, options)).toMatchObject({ text: 'public' });
    expect(lookups).toBe(1);
    expect((await rejection(get(`http://rebind.example:${inner.port}/`, options))).code).toBe('denied');
    expect(inner.connections()).toBe(0);
  });

  test('of this machine are refused although they are public', async () => {
    const policy = new AddressPolicy({
      allowPrivate: [],
      resolveHost: async () => [{ address: '2606:4700::1', family: 6 }],
      ownAddresses: () => ['93.184.216.34', '2606:4700:0::1'],
    });
    expect((await rejection(policy.permittedAddresses(new URL('http://93.184.216.34/')))).code).toBe('denied');
    expect((await rejection(policy.permittedAddresses(new URL('http://me.example/')))).code).toBe('denied');
    expect(await policy.permittedAddresses(new URL('http://93.184.216.35/'))).toHaveLength(1);
  });
});

describe('allowPrivate', () => {
  const permits = async (entry: string, url: string, address: string) => {
    const resolveHost = async () => [{ address, family: address.includes(':') ? 6 : 4 }];
    const policy = new AddressPolicy({ allowPrivate: [entry], resolveHost, ownAddresses: () => [] });
    return policy.permittedAddresses(new URL(url)).then(
      () => true,
      () => false,
    );
  };

  test.each([
    ['10.0.0.5', 'http://10.0.0.5/', '', true],
    ['10.0.0.5', 'http://10.0.0.6/', '', false],
    ['10.0.0.5', 'http://[::ffff:10.0.0.5]/', '', true],
    ['10.1.0.0/16', 'http://10.1.2.3:99/', '', true],
    ['10.1.0.0/16', 'http://10.2.0.1/', '', false],
    ['10.0.0.5:8080', 'http://10.0.0.5:8080/', '', true],
    ['10.0.0.5:8080', 'http://10.0.0.5/', '', false],
    ['10.0.0.5:443', 'https://10.0.0.5/', '', true],
    ['fd00::/8', 'http://[fd00::1]/', '', true],
    ['fd00::1', 'http://[fd00::1]/', '', true],
    ['[fd00::1]:80', 'http://[fd00::1]/', '', true],
    ['[fd00::1]:81', 'http://[fd00::1]/', '', false],
    ['nas.local', 'http://NAS.local./', '192.168.1.9', true],
    ['nas.local', 'http://evil.example/', '192.168.1.9', false],
    ['nas.local:8080', 'http://nas.local/', '192.168.1.9', false],
    ['nas.local', 'http://sub.nas.local/', '192.168.1.9', false],
    ['192.168.1.9', 'http://nas.local/', '192.168.1.9', true],
  ])('with %j decides %s (%s)', async (entry, url, address, expected) => {
    expect(await permits(entry, url, address)).toBe(expected);
  });

  test.each(['10.0.0.0/99', '300.1.1.1', 'http://x', '*', '10.0.0', '', 'a b'])('with %j is invalid', (entry) => {
    expect(() => createHttpGet({ allowPrivate: [entry] })).toThrow(/allowPrivate/);
  });
});
