import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { VirtualClock } from '@skein/testing';
import { expect, it } from 'vitest';
import { StrangerBudget } from './stranger-budget.ts';

const busy = expect.objectContaining({ code: 'busy', retryAfterMs: 1_000 });

it('one address has 64 places, all together 256, and a place left is free again, once', () => {
  const budget = new StrangerBudget(new VirtualClock());
  const leave = Array.from({ length: 64 }, () => budget.enter('192.0.2.1'));
  expect(() => budget.enter('192.0.2.1')).toThrow(busy);
  for (let address = 2; address <= 4; address += 1) {
    for (let place = 0; place < 64; place += 1) leave.push(budget.enter(`192.0.2.${address}`));
  }
  expect(() => budget.enter('198.51.100.1')).toThrow(busy);
  leave[0]?.();
  leave[0]?.();
  budget.enter('192.0.2.1');
  expect(() => budget.enter('198.51.100.1')).toThrow(busy);
});

it('what is kept for addresses goes with them: a million come and go', () => {
  const budget = new StrangerBudget(new VirtualClock());
  const before = heapBytes();
  for (let address = 0; address < 1_000_000; address += 1) budget.enter(`2001:db8::${address.toString(16)}`)();
  expect(heapBytes() - before).toBeLessThan(8 * 1024 * 1024);
  budget.enter('2001:db8::1');
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

/** What is alive on the heap. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  return process.memoryUsage().heapUsed;
}
