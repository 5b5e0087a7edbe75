import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { lstat, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import os from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Aim, ESCAPE_ATTEMPTS, escapePlugin, LOOT } from '../../../test/escape-attempts.ts';
import { ISOLATIONS } from '../../../test/isolations.ts';
import { rejection, temporaryFolder, toolContext } from '../../../test/tool-fixture.ts';
import type { Isolation } from '../../sandbox/sandbox.ts';
import { loadToolPlugins, type ToolPlugins } from '../tool-plugins.ts';

const VARIABLE = 'ESCAPE_TEST_VARIABLE';

/** A node's folder with a plug-in in it, things around it, and eyes on all of them. */
async function world(isolation: Isolation) {
  const stack = new AsyncDisposableStack();
  const { path } = stack.use(await temporaryFolder());
  const [outside, data, own] = [join(path, 'outside'), join(path, 'data'), join(path, 'data', 'tools')];
  await mkdir(outside);
  await mkdir(own, { recursive: true });
  await writeFile(join(outside, 'secret.txt'), `WORD=${LOOT}`, { mode: 0o600 });
  await writeFile(join(outside, 'secret.json'), JSON.stringify({ word: LOOT }));
  await writeFile(join(data, 'key'), LOOT);

  const seen: string[] = [];
  const listen = async (to: { readonly port: number } | { readonly path: string }) => {
    const server = createServer((socket) => {
      seen.push('a connection');
      socket.on('error', () => undefined);
      socket.end(`HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n${LOOT}`);
    });
    server.listen('path' in to ? to : { ...to, host: '127.0.0.1' });
    await once(server, 'listening');
    stack.defer(() => new Promise<void>((resolve) => server.close(() => resolve())));
    return server.address();
  };
  const address = await listen({ port: 0 });
  await listen({ path: join(outside, 'sock') });
  if (process.platform === 'linux') await listen({ path: `\0skein-escape-${process.pid}` });
  const udp = createSocket('udp4');
  udp.on('message', () => seen.push('a datagram'));
  udp.bind(0, '127.0.0.1');
  await once(udp, 'listening');
  stack.defer(() => new Promise<void>((resolve) => udp.close(() => resolve())));
  for (const signal of ['SIGUSR1', 'SIGUSR2'] as const) {
    const onSignal = () => seen.push(signal);
    process.on(signal, onSignal);
    stack.defer(() => void process.off(signal, onSignal));
  }
  process.env[VARIABLE] = LOOT;
  stack.defer(() => {
    delete process.env[VARIABLE];
  });

  // Proven: a server on a port has such an address.
  const aim: Aim = {
    outside,
    data,
    own,
    tcp: (address as AddressInfo).port,
    udp: udp.address().port,
    pid: process.pid,
  };
  await writeFile(join(own, 'attempts.mjs'), escapePlugin(aim));
  const look = async () => ({
    seen: [...seen],
    priority: os.getPriority(),
    outside: await snapshot(outside),
    own: await snapshot(own),
  });
  const before = await look();
  const plugins = stack.use(await loadToolPlugins([own], { hidden: [data], isolation, environment: process.env }));
  return { stack, plugins, before, look, own, data, outside };
}

async function snapshot(folder: string): Promise<readonly string[]> {
  const names = (await readdir(folder)).sort();
  return Promise.all(
    names.map(async (name) => {
      const { mode, nlink } = await lstat(join(folder, name));
      return `${name} ${mode} ${nlink} ${await readFile(join(folder, name), 'utf8').catch(() => '')}`;
    }),
  );
}

describe.each(ISOLATIONS)('under $isolation', ({ isolation, missing }) => {
  describe.skipIf(missing !== undefined)(`a plug-in that${missing === undefined ? '' : ` (left out: ${missing})`}`, () => {
    // One for all: it takes a second to start, and what an attempt leaves behind the next one is told of.
    let made: Awaited<ReturnType<typeof world>>;
    beforeAll(async () => {
      made = await world(isolation);
    }, 60_000);
    afterAll(async () => {
      await made?.stack[Symbol.asyncDispose]();
    });

    test.each(Object.keys(ESCAPE_ATTEMPTS).map((title, index) => [title, index] as const))(
      '%s gets nothing',
      async (_, index) => {
        const outcome = await call(made.plugins, `attempt_${index}`);
        expect(JSON.stringify(outcome)).not.toMatch(new RegExp(LOOT));
        // A signal or a datagram may be on its way still.
        await new Promise((resolve) => setImmediate(resolve));
        expect(await made.look()).toEqual(made.before);
      },
    );
  });

  test.skipIf(missing !== undefined)('a link in its folder leads a plug-in nowhere', async () => {
    await using folder = await temporaryFolder();
    const own = join(folder.path, 'tools');
    await mkdir(own);
    await writeFile(join(folder.path, 'secret.txt'), LOOT);
    await symlink(join(folder.path, 'secret.txt'), join(own, 'link'));
    await writeFile(
      join(own, 'x.mjs'),
      `import fs from 'node:fs';
       export const follow = { descriptor: { name: 'follow', description: '', input: {}, effect: 'read', examples: [] }, untrusted: false,
         run: async () => fs.readFileSync(new URL('./link', import.meta.url), 'utf8') };`,
    );
    if (isolation === 'permissions') {
      // Node would follow it, so the plug-in does not start.
      const error = await rejection(loadToolPlugins([own], { isolation }));
      expect(error).toMatchObject({
        code: 'denied',
        message: expect.stringMatching(/tools\/link, .* is a link to .*secret\.txt/),
      });
      return;
    }
    await using plugins = await loadToolPlugins([own], { isolation });
    await expect(call(plugins, 'follow')).rejects.toMatchObject({ message: expect.stringContaining('ENOENT') });
  });
});

async function call(plugins: ToolPlugins, name: string) {
  const tool = plugins.tools.find(({ descriptor }) => descriptor.name === name);
  return tool?.run({}, toolContext(AbortSignal.timeout(10_000)));
}
