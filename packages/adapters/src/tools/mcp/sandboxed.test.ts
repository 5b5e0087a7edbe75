import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { serveHttp } from '../../../test/egress-fixture.ts';
import { runServers, SHOP } from '../../../test/mcp/running.ts';
import { rejection, temporaryFolder, toolContext } from '../../../test/tool-fixture.ts';
import { detectIsolation } from '../../sandbox/detect-isolation.ts';
import { spawnServer } from './spawn-server.ts';

/** What the server's own program is made of. */
const PROGRAM = fileURLToPath(new URL('../../../../..', import.meta.url));

const PYTHON = '/usr/bin/python3';
/** A server of one tool that gets an address by the client in Python's library. */
const PYTHON_SERVER = `
import json, sys, urllib.request
def answer(method, params):
    if method == 'initialize':
        return {'protocolVersion': params['protocolVersion'], 'capabilities': {'tools': {}}, 'serverInfo': {'name': 'snake', 'version': '1'}}
    if method == 'tools/list':
        return {'tools': [{'name': 'reach', 'description': 'Gets.', 'inputSchema': {'type': 'object'}}]}
    if method == 'tools/call':
        try:
            text = urllib.request.urlopen(params['arguments']['url'], timeout=5).read().decode()
        except Exception as error:
            text = str(error)
        return {'content': [{'type': 'text', 'text': text}]}
    return {}
for line in sys.stdin:
    request = json.loads(line)
    if 'id' in request:
        print(json.dumps({'jsonrpc': '2.0', 'id': request['id'], 'result': answer(request['method'], request.get('params'))}), flush=True)
`;

async function run(allow: { read?: string[]; write?: string[]; network?: boolean | string[] } = {}, hidden: string[] = []) {
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

  test('reaches the hosts it was granted and no others, of which its node is told', async () => {
    await using server = await serveHttp();
    await using other = await serveHttp();
    await using running = await run({ network: [server.authority] });
    const reach = (to: string) => running.tool('shop_reach').run({ url: `http://${to}/` }, toolContext());
    expect(await reach(server.authority)).toBe('200');
    await rejection(reach(other.authority));
    expect(other.connections()).toBe(0);
    expect(running.problems).toEqual([
      `shop: it was refused the network: ${other.authority} is not granted; add "${other.authority}" to tools.mcp.shop.allow.network if it is meant`,
    ]);
  });

  test.skipIf(!existsSync(PYTHON))('in another language, and without processes of its own, does so too', async () => {
    await using server = await serveHttp();
    await using other = await serveHttp();
    await using folder = await temporaryFolder();
    const file = join(folder.path, 'server.py');
    await writeFile(file, PYTHON_SERVER);
    const allow = { read: [folder.path], network: [server.authority] };
    await using running = await runServers({ snake: { command: [PYTHON, file], allow } }, { spawn: spawnServer });
    expect(running.problems).toEqual([]);
    const reach = (to: string) => running.tool('snake_reach').run({ url: `http://${to}/x` }, toolContext());
    expect(await reach(server.authority)).toBe(`GET /x ${server.authority}`);
    expect(await reach(other.authority)).toContain('403');
    expect(other.connections()).toBe(0);
  });

  test('whose program is not there is said so', async () => {
    await using running = await runServers({ shop: { command: ['no-such-program'] } }, { spawn: spawnServer });
    expect(running.problems[0]).toMatch(/There is no program no-such-program/);
  });
});
