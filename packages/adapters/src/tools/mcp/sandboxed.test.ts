import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { runServers, SHOP } from '../../../test/mcp/running.ts';
import { rejection, temporaryFolder, toolContext } from '../../../test/tool-fixture.ts';
import { detectIsolation } from '../../sandbox/detect-isolation.ts';
import { spawnServer } from './spawn-server.ts';

/** What the server's own program is made of. */
const PROGRAM = fileURLToPath(new URL('../../../../..', import.meta.url));

async function run(allow: { read?: string[]; write?: string[]; network?: boolean } = {}, hidden: string[] = []) {
  const read = [PROGRAM, ...(allow.read ?? [])];
  return runServers({ shop: { command: ['node', SHOP], allow: { ...allow, read } } }, { spawn: spawnServer, hidden });
}

const { isolation, fix } = await detectIsolation();
const leftOut = isolation === 'namespaces' ? '' : ` (left out: ${fix})`;

describe.skipIf(leftOut !== '')(`a server in its sandbox${leftOut}`, () => {
  test('answers, and has nothing of this process’s environment', async () => {
    process.env.SHOP_TEST_SECRET = 'sesame';
    try {
      await using running = await run();
      expect(running.problems).toEqual([]);
      expect(await running.tool('shop_add_up').run({ a: 1, b: 2 }, toolContext())).toEqual({ sum: 3 });
      expect(String(await running.tool('shop_environment').run({}, toolContext()))).not.toContain('sesame');
    } finally {
      delete process.env.SHOP_TEST_SECRET;
    }
  });

  test('reads what it was granted, and neither what is beside it nor what is hidden in it', async () => {
    await using folder = await temporaryFolder();
    const [granted, beside, own] = ['granted', 'beside', 'granted/.skein'].map((name) => join(folder.path, name));
    if (granted === undefined || beside === undefined || own === undefined) throw new Error('unreachable');
    for (const path of [granted, beside, own]) {
      await mkdir(path, { recursive: true });
      await writeFile(join(path, 'note'), `text of ${path}`);
    }
    await using running = await run({ read: [granted] }, [own]);
    const open = (path: string) => running.tool('shop_open').run({ path: join(path, 'note') }, toolContext());
    expect(await open(granted)).toBe(`text of ${granted}`);
    for (const path of [beside, own]) expect((await rejection(open(path))).message).not.toContain('text of');
    expect((await rejection(open('/proc/1/environ'))).message).not.toContain('PATH=');
  });

  test.each([true, false])('reaches the network when that is granted: %s', async (network) => {
    const server = createServer((_request, response) => response.end('here'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    try {
      await using running = await run({ network });
      const reaching = running.tool('shop_reach').run({ url: `http://127.0.0.1:${port}/` }, toolContext());
      if (network) expect(await reaching).toBe('200');
      else expect((await rejection(reaching)).code).toBe('invalid');
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  test('whose program is not there is said so', async () => {
    await using running = await runServers({ shop: { command: ['no-such-program'] } }, { spawn: spawnServer });
    expect(running.problems[0]).toMatch(/There is no program no-such-program/);
  });
});
