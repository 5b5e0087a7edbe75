import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { SkeinError } from '@skein/protocol';

const HOST = '127.0.0.1';
/** Below those that systems give to who dials or asks for any port: what is free now stays so until it is listened on. */
const FIRST = 12_000;
const LAST = 31_999;
const TRIES = 1_000;

/**
 * TCP ports of loopback that nobody listens on, all different, to be listened on later, and again after a restart.
 * @param preferred those to take where they are free, by their place in the result.
 * @throws SkeinError `unavailable` when there are none.
 */
export async function freePorts(count: number, preferred: readonly (number | undefined)[] = []): Promise<readonly number[]> {
  const ports: number[] = [];
  for (let place = 0; place < count; place += 1) ports.push(await freePort(preferred[place] ?? draw(), ports));
  return ports;
}

async function freePort(wanted: number, taken: readonly number[]): Promise<number> {
  let port = wanted;
  for (let tries = 0; tries < TRIES; tries += 1) {
    if (!taken.includes(port) && (await isFree(port))) return port;
    port = draw();
  }
  throw new SkeinError(`Of ${TRIES} ports from ${FIRST} to ${LAST} on ${HOST} none is free`, { code: 'unavailable' });
}

function draw(): number {
  return randomInt(FIRST, LAST + 1);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host: HOST, port }, () => server.close(() => resolve(true)));
  });
}
