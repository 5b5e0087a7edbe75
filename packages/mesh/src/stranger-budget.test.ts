import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { VirtualClock } from '@skein/testing';
import { expect, it } from 'vitest';
import { StrangerBudget, type StrangerPlace } from './stranger-budget.ts';

it('one address has 64 places, all together 256; for who comes beyond, the one there longest goes', () => {
  const room = new Room();
  for (let place = 0; place < 64; place += 1) room.enter('192.0.2.1');
  expect(room.gone).toEqual([]);
  room.enter('192.0.2.1');
  expect(room.gone, 'of that address').toEqual([0]);
  for (let place = 0; place < 192; place += 1) room.enter(`198.51.100.${place}`);
  expect(room.gone).toEqual([0]);
  room.enter('203.0.113.1');
  room.enter('203.0.113.2');
  expect(room.gone, 'of all').toEqual([0, 1, 2]);
});

it('a place that is left is free again, once, and nobody who left is told to go', () => {
  const room = new Room();
  const places = Array.from({ length: 64 }, () => room.enter('192.0.2.1'));
  places[0]?.leave();
  places[0]?.leave();
  room.enter('192.0.2.1');
  expect(room.gone).toEqual([]);
  room.enter('192.0.2.1');
  expect(room.gone).toEqual([1]);
});

it('who has advanced stays while more are silent, and who has only come while more have advanced', () => {
  const room = new Room();
  const [first] = Array.from({ length: 64 }, () => room.enter('192.0.2.1'));
  first?.advance();
  for (let come = 0; come < 1_000; come += 1) room.enter('192.0.2.1');
  expect(room.gone).not.toContain(0);
  expect(room.gone).toHaveLength(1_000);

  const flooded = new Room();
  for (let place = 0; place < 64; place += 1) flooded.enter('192.0.2.1').advance();
  flooded.enter('192.0.2.1');
  for (let come = 0; come < 63; come += 1) flooded.enter('192.0.2.1').advance();
  expect(flooded.gone).toEqual(Array.from({ length: 64 }, (_, place) => place));
});

it.each([
  ['a network of IPv6', (host: number) => `2001:db8:0:7:${host.toString(16)}::1`],
  ['IPv4 written as IPv6', (host: number) => (host % 2 === 0 ? '192.0.2.1' : '::ffff:192.0.2.1')],
])('%s counts as one address', (_name, address) => {
  const room = new Room();
  for (let host = 0; host < 65; host += 1) room.enter(address(host));
  expect(room.gone).toEqual([0]);
});

it('what is kept for addresses goes with them: a million come and go', () => {
  const budget = new StrangerBudget(new VirtualClock());
  const before = heapBytes();
  for (let host = 0; host < 1_000_000; host += 1)
    budget.enter(`10.${host >> 16}.${(host >> 8) & 255}.${host & 255}`, stay).leave();
  expect(heapBytes() - before).toBeLessThan(8 * 1024 * 1024);
});

it('above 50 handshakes a second each must bring a cookie, until a calm second has passed', async () => {
  const clock = new VirtualClock();
  const budget = new StrangerBudget(clock);
  const ask = (times: number) => Array.from({ length: times }, () => budget.cookieRequired());
  expect(ask(50)).toEqual(ask(0).concat(Array(50).fill(false)));
  expect(ask(1)).toEqual([true]);
  await clock.advance(1_000);
  expect(ask(1), 'the second after a busy one').toEqual([true]);
  await clock.advance(1_000);
  expect(ask(1), 'the second after a calm one').toEqual([false]);
  ask(100);
  await clock.advance(60_000);
  expect(ask(1), 'a minute later').toEqual([false]);
});

/** A budget that notes who had to go, by the order in which they came. */
class Room {
  readonly gone: number[] = [];
  readonly #budget = new StrangerBudget(new VirtualClock());
  #come = 0;

  enter(address: string): StrangerPlace {
    const number = this.#come++;
    return this.#budget.enter(address, () => this.gone.push(number));
  }
}

function stay(): never {
  throw new Error('there was room');
}

/** What is alive on the heap. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  return process.memoryUsage().heapUsed;
}
