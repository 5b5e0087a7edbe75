import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { freePorts } from './free-ports.ts';

/** Below those that Linux, macOS and Windows hand out by themselves. */
const HANDED_OUT_FROM = 32_768;

test('ports are all different, and none is one that a system would hand out to somebody else', async () => {
  const ports = await freePorts(50);
  expect(new Set(ports).size).toBe(50);
  expect(Math.max(...ports)).toBeLessThan(HANDED_OUT_FROM);
});

test('a port that is preferred is taken where it is free, and only once', async () => {
  const [port = 0] = await freePorts(1);
  const again = await freePorts(3, [undefined, port, port]);
  expect(again[1]).toBe(port);
  expect(new Set(again).size).toBe(3);
});

test('a preferred port that somebody listens on is replaced', async () => {
  const [port = 0] = await freePorts(1);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  try {
    expect(await freePorts(1, [port])).not.toContain(port);
  } finally {
    server.close();
  }
});
