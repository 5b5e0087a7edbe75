import { networkInterfaces } from 'node:os';
import { expect, test } from 'vitest';
import { Nodes } from './nodes.ts';

/** An address of this machine that others can reach; undefined on a machine without a network. */
const outside = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
const leftOut = outside === undefined ? ' (left out: this machine has no address but its own)' : '';

const status = async (host: string, port: number) => (await fetch(`http://${host}:${port}/health`)).status;

/** What becomes of a WebSocket to this address. */
function knock(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = new WebSocket(`ws://${host}:${port}/`, 'skein.1');
    socket.onopen = () => {
      resolve('open');
      socket.close();
    };
    socket.onerror = () => resolve('refused');
  });
}

test.skipIf(outside === undefined)(
  `a node that listens for peers everywhere serves its page to this machine alone${leftOut}`,
  async () => {
    await using nodes = new Nodes();
    const { port } = await nodes.start(nodes.make('node', { net: { host: '0.0.0.0' } }));
    expect(await status('127.0.0.1', port)).toBe(200);
    expect(await status(outside ?? '', port)).toBe(404);
    expect(await knock(outside ?? '', port)).toBe('open');
  },
);

test.skipIf(outside === undefined)(`a page served everywhere lets no peer in where peers are not heard${leftOut}`, async () => {
  await using nodes = new Nodes();
  const { port } = await nodes.start(nodes.make('node', { page: { host: '0.0.0.0', allowedHosts: [outside ?? ''] } }));
  expect(await status('127.0.0.1', port)).toBe(200);
  expect(await status(outside ?? '', port)).toBe(200);
  expect(await knock('127.0.0.1', port)).toBe('open');
  expect(await knock(outside ?? '', port)).toBe('refused');
});

test.skipIf(outside === undefined)(
  `peers at one address of the machine and the page at another have the same port${leftOut}`,
  async () => {
    await using nodes = new Nodes();
    const { port, page } = await nodes.start(nodes.make('node', { net: { host: outside ?? '' } }));
    expect(page).toBe(`http://127.0.0.1:${port}/`);
    expect(await status('127.0.0.1', port)).toBe(200);
    expect(await knock(outside ?? '', port)).toBe('open');
    expect(await knock('127.0.0.1', port)).toBe('refused');
  },
);

test('one who comes and says nothing is sent away within the configured time', async () => {
  await using nodes = new Nodes();
  const node = nodes.make('node', { net: { authTimeoutMs: 100 } });
  const { port } = await nodes.start(node);
  const told = node.event('peer-problem');
  const closed = new Promise((resolve) => {
    new WebSocket(`ws://127.0.0.1:${port}/`, 'skein.1').onclose = resolve;
  });
  expect((await told).problem).toContain('within 100 ms');
  await closed;
});
