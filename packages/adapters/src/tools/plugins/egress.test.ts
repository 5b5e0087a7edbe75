import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { join } from 'node:path';
import { createSelfSignedCertificate } from '@skein/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serveHttp, type TestServer } from '../../../test/egress-fixture.ts';
import { noBubblewrap } from '../../../test/isolations.ts';
import { startPlugins, type TestPlugins, type TestPluginsOptions } from '../../../test/plugin-fixture.ts';
import { rejection, temporaryFolder, toolContext } from '../../../test/tool-fixture.ts';

const LOOT = 'hunter2';
/** Tools that do what they are told, so that a test says what is tried. */
const TOOLS = `
import child from 'node:child_process';
import dgram from 'node:dgram';
import dns from 'node:dns';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
export const get = tool('get', async ({ url, ...init }) => { const response = await fetch(url, init); return response.status + ' ' + await response.text(); });
export const request = tool('request', ({ url }) => new Promise((ok, no) => (url.startsWith('https:') ? https : http).get(url, (response) => response.setEncoding('utf8').on('data', ok).on('error', no)).on('error', no)));
export const raw = tool('raw', ({ to, text = '' }) => new Promise((ok, no) => {
  let got = '';
  net.connect(to, function () { this.write(text); }).on('data', (chunk) => (got += chunk)).on('close', () => ok(got)).on('error', no).setTimeout(2_000, () => no(new Error('no answer')));
}));
export const datagram = tool('datagram', ({ port, host }) => new Promise((ok, no) => {
  const socket = dgram.createSocket('udp4').on('error', no);
  socket.send('${LOOT}', port, host, (error) => { socket.close(); if (error) no(error); else ok('sent'); });
}));
export const name = tool('name', async ({ name, server }) => {
  const resolver = new dns.promises.Resolver({ timeout: 500, tries: 1 });
  if (server !== undefined) resolver.setServers([server]);
  return (await (server === undefined ? dns.promises.lookup(name) : resolver.resolve4(name)));
});
export const socket = tool('socket', ({ url }) => new Promise((ok, no) => { const ws = new WebSocket(url); ws.onmessage = ({ data }) => ok(data); ws.onerror = ({ error }) => no(error); }));
export const program = tool('program', ({ file, args }) => child.execFileSync(file, args, { encoding: 'utf8', timeout: 8_000 }));
export const sockets = tool('sockets', () => fs.readdirSync('/proc/self/fd').map((fd) => { try { return fs.readlinkSync('/proc/self/fd/' + fd); } catch { return ''; } }).filter((link) => link.startsWith('socket:')).length);
export const environment = tool('environment', () => process.env);
export const first = tool('first', () => fs.readFileSync('/proc/1/environ', 'latin1') + fs.readFileSync('/proc/1/cmdline', 'latin1'));
`;

const start = (network: readonly string[], options: TestPluginsOptions = {}) =>
  startPlugins({ 'x.mjs': TOOLS }, { ...options, allow: { ...options.allow, network: [...network] } });
const url = (server: TestServer, path = '/') => `http://${server.authority}${path}`;

describe.skipIf(noBubblewrap !== undefined)(
  `a plug-in with a list of hosts${noBubblewrap === undefined ? '' : ` (left out: ${noBubblewrap})`}`,
  () => {
    const stack = new AsyncDisposableStack();
    const told: string[] = [];
    let plugins: TestPlugins;
    let server: TestServer;
    let other: TestServer;
    const tries = (tool: string, input: unknown) => plugins.call(tool, input, toolContext(AbortSignal.timeout(10_000)));
    beforeAll(async () => {
      server = stack.use(
        await serveHttp((request, response) => {
          if (request.url === '/away') response.writeHead(302, { location: url(other) }).end();
          else request.pipe(response.writeHead(200, { 'x-host': request.headers.host ?? '' }));
        }),
      );
      other = stack.use(await serveHttp((_, response) => response.end(LOOT)));
      plugins = stack.use(await start([server.authority], { onRefused: ({ problem }) => told.push(problem) }));
    }, 60_000);
    afterAll(() => stack.disposeAsync());

    test('fetches from those', async () => {
      expect(await tries('get', { url: url(server), method: 'POST', body: 'hello' })).toBe('200 hello');
    });

    test('is refused another, in words that name it and say what to do, as its node is, once', async () => {
      for (const _ of [1, 2]) {
        const error = await rejection(tries('get', { url: 'https://evil.example/x' }));
        expect(error).toMatchObject({
          code: 'denied',
          message: expect.stringMatching(
            /refused the network meanwhile: evil\.example:443 is not granted; add "evil\.example" to allow\.network of the plug-in .*x\.mjs in tools\.plugins/,
          ),
        });
      }
      expect(told.filter((problem) => problem.includes('evil.example:443'))).toHaveLength(1);
      // A client that sends whole addresses is answered in words.
      expect(await tries('request', { url: 'http://evil.example/' })).toContain('add "evil.example" to');
      expect((await rejection(tries('request', { url: 'https://evil.example/' }))).code).toBe('denied');
    });

    test('opens a WebSocket to one of them, and to no other', async () => {
      const upgrading = http.createServer();
      upgrading.on('upgrade', (request, socket) => {
        const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
        const accept = createHash('sha1').update(key).digest('base64');
        socket.write(`HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
        socket.write(Buffer.from('\x81\x05hello', 'latin1'));
      });
      await using echo = await serveHttp(undefined, upgrading);
      await using own = await start([echo.authority]);
      expect(await own.call('socket', { url: `ws://${echo.authority}/` })).toBe('hello');
      expect(await rejection(own.call('socket', { url: `ws://${other.authority}/` }))).toMatchObject({ code: 'denied' });
    });

    test('is refused what a redirect leads to', async () => {
      expect((await rejection(tries('get', { url: url(server, '/away') }))).message).toContain(other.authority);
      expect(other.connections()).toBe(0);
    });

    test.each(['169.254.169.254', '127.0.0.1', '0x7f.1', '[::1]', '[::ffff:127.0.0.1]', 'localhost', '2130706433'])(
      'fetches nothing from %s',
      async (host) => {
        expect(await rejection(tries('get', { url: `http://${host}:${other.port}/` }))).toMatchObject({ code: 'denied' });
        expect(await rejection(tries('get', { url: `https://${host}/` }))).toMatchObject({ code: 'denied' });
        expect(other.connections()).toBe(0);
      },
    );

    test('connects past the proxy with nothing: no address, no name, no socket of another', async () => {
      const before = server.connections();
      const abstract = `\0skein-egress-${process.pid}`;
      await using folder = await temporaryFolder();
      const path = join(folder.path, 'sock');
      await using stack = new AsyncDisposableStack();
      let reached = 0;
      for (const at of [abstract, path]) {
        const listener = net.createServer((socket) => {
          reached += 1;
          socket.end(LOOT);
        });
        listener.listen(at);
        await once(listener, 'listening');
        stack.defer(() => void listener.close());
      }
      const targets = [
        { host: '127.0.0.1', port: server.port },
        { host: '::ffff:127.0.0.1', port: server.port },
        { host: '127.0.0.1', port: other.port },
        { host: '169.254.169.254', port: 80 },
        { host: '1.1.1.1', port: 53 },
        { host: '2606:4700::1111', port: 443 },
        { host: 'example.com', port: 443 },
        { path: abstract },
        { path },
      ];
      for (const to of targets) await expect(tries('raw', { to, text: LOOT })).rejects.toThrow();
      expect([server.connections() - before, other.connections(), reached]).toEqual([0, 0, 0]);
    });

    test('sends no datagram and asks no resolver', async () => {
      const { createSocket } = await import('node:dgram');
      const udp = createSocket('udp4');
      let datagrams = 0;
      udp.on('message', () => {
        datagrams += 1;
      });
      udp.bind(0, '0.0.0.0');
      await once(udp, 'listening');
      const { port } = udp.address();
      // To its own loopback it may, which is not this machine's.
      await tries('datagram', { host: '127.0.0.1', port }).catch(() => undefined);
      await expect(tries('datagram', { host: '1.1.1.1', port: 53 })).rejects.toThrow();
      await expect(tries('datagram', { host: '255.255.255.255', port })).rejects.toThrow();
      await expect(tries('name', { name: `${LOOT}.example.com` })).rejects.toThrow();
      for (const server of ['1.1.1.1', `127.0.0.1:${port}`]) {
        await expect(tries('name', { name: `${LOOT}.example.com`, server })).rejects.toThrow();
      }
      await new Promise((resolve) => setImmediate(resolve));
      udp.close();
      expect(datagrams).toBe(0);
    });

    test('finds nothing of what was there before it: no open socket, no environment, no other program', async () => {
      process.env.EGRESS_TEST_SECRET = LOOT;
      await using own = await start([server.authority]);
      delete process.env.EGRESS_TEST_SECRET;
      expect(await own.call('sockets')).toBe(3);
      const environment = await own.call('environment');
      expect(Object.keys(environment ?? {}).sort()).toEqual(
        ['HOME', 'HTTPS_PROXY', 'HTTP_PROXY', 'LANG', 'NODE_USE_ENV_PROXY', 'PATH', 'TZ', 'http_proxy', 'https_proxy'].sort(),
      );
      const first = String(await own.call('first'));
      expect(first).toContain('plugin-process');
      expect(first).not.toMatch(new RegExp(`${LOOT}|CHANNEL|start-behind-proxy`));
    });

    test('reaches nobody else’s proxy: a plug-in without a list, or with another, is as far from it as before', async () => {
      await using none = await start([]);
      await using another = await start([other.authority]);
      const text = `GET ${url(server)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
      const to = { host: '127.0.0.1', port: 3128 };
      await expect(none.call('raw', { to, text })).rejects.toThrow();
      expect(await another.call('raw', { to, text })).toMatch(/^HTTP\/1\.1 403 /);
      expect(await another.call('get', { url: url(other) })).toBe(`200 ${LOOT}`);
      expect(String(await none.call('environment').then(JSON.stringify))).not.toContain('PROXY');
    });

    test('that opens a thousand connections harms no other', async () => {
      await using flood = await startPlugins(
        {
          'x.mjs': `import net from 'node:net';
          export const flood = tool('flood', async () => {
            const all = Array.from({ length: 1000 }, () => net.connect(3128, '127.0.0.1').on('error', () => {}));
            await Promise.all(all.slice(0, 936).map(() => 0));
            let closed = 0;
            await new Promise((ok) => { for (const one of all) one.on('close', () => { closed += 1; if (closed >= 936) ok(); }).resume(); });
            return closed;
          });`,
        },
        { allow: { network: [server.authority] } },
      );
      const flooding = flood.call('flood', {}, toolContext(AbortSignal.timeout(20_000)));
      expect(await tries('get', { url: url(server), method: 'POST', body: 'hello' })).toBe('200 hello');
      expect(await flooding).toBe(936);
    });

    test('fetches over TLS, by the name in the certificate and no other', async () => {
      await using folder = await temporaryFolder();
      const { cert, key } = createSelfSignedCertificate('localhost');
      await writeFile(join(folder.path, 'ca.pem'), cert);
      await using secure = await serveHttp(
        undefined,
        https.createServer({ cert, key }, (request, response) => response.end(`hello ${request.headers.host}`)),
      );
      await using own = await start([`localhost:${secure.port}`, secure.authority], {
        environment: { NODE_EXTRA_CA_CERTS: join(folder.path, 'ca.pem') },
        allow: { env: ['NODE_EXTRA_CA_CERTS'], read: [folder.path] },
      });
      expect(await own.call('get', { url: `https://localhost:${secure.port}/` })).toBe(`200 hello localhost:${secure.port}`);
      await expect(own.call('get', { url: `https://${secure.authority}/` })).rejects.toMatchObject({ code: 'internal' });
    });

    test('runs programs that reach them and nothing else, also while it waits for them itself', async () => {
      await using own = await start([server.authority], { allow: { childProcess: true } });
      const run = (file: string, args: readonly string[]) =>
        own.call('program', { file, args }, toolContext(AbortSignal.timeout(15_000)));
      const node = (to: string) =>
        run(process.execPath, [
          '-e',
          `fetch(${JSON.stringify(to)}).then(async (r) => console.log(r.status, r.headers.get('x-host')))`,
        ]);
      expect(await node(url(server))).toBe(`200 ${server.authority}\n`);
      await expect(node(url(other))).rejects.toThrow();
      const curl = await run('/usr/bin/env', ['sh', '-c', 'command -v curl || true']);
      if (curl !== '') {
        const args = ['-s', '-S', '-m', '5'];
        expect(await run('curl', [...args, '-d', 'hello', url(server)])).toBe('hello');
        expect(await run('curl', [...args, url(other)])).toContain(`${other.authority} is not granted`);
        expect(await run('curl', [...args, '--proxytunnel', '-d', 'hello', url(server)])).toBe('hello');
        await expect(run('curl', [...args, '--noproxy', '*', url(server)])).rejects.toThrow();
        await expect(run('curl', [...args, '--proxytunnel', url(other)])).rejects.toThrow();
      }
      expect(other.connections()).toBe(1); // The one that was granted it, above.
    });
  },
);

test('a list of hosts is refused where only the permissions of Node would hold it, with what to do', async () => {
  const error = await rejection(start(['api.example.com'], { isolation: 'permissions' }));
  expect(error).toMatchObject({
    code: 'unsupported',
    message: expect.stringMatching(/may reach only some hosts.*bubblewrap.*apt-get install bubblewrap.*or write true/),
  });
});

test('an empty list is none, under the permissions of Node too', async () => {
  await using plugins = await start([], { isolation: 'permissions' });
  await expect(plugins.call('raw', { to: { host: '127.0.0.1', port: 1 } })).rejects.toThrow(/not granted/);
});
