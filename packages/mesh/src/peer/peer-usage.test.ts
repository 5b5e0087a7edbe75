import { peerIdOf } from '@skein/protocol';
import { VirtualClock } from '@skein/testing';
import { expect, it } from 'vitest';
import { PeerUsages } from './peer-usage.ts';

/** An id no key has: enough to be told from others. */
function idOf(number: number) {
  return peerIdOf(Buffer.from(String(number)));
}

it('however many keys come, a bounded number is remembered, and those that use something longest', async () => {
  const clock = new VirtualClock();
  const usages = new PeerUsages({ maxMessagesPerSecond: 10, clock });
  const busy = usages.of(idOf(0));
  busy.running = 1;
  for (let key = 1; key < 12_000; key += 1) usages.of(idOf(key)).messages.take(10, clock.monotonicMs());
  await clock.advance(1_000);
  const spent = usages.of(idOf(5));
  spent.messages.take(10, clock.monotonicMs());
  for (let key = 12_000; key < 13_000; key += 1) usages.of(idOf(key));
  expect(usages.size, 'those that use nothing are forgotten').toBeLessThan(1_100);
  expect(usages.of(idOf(0))).toBe(busy);
  expect(usages.of(idOf(5))).toBe(spent);
});

it('even where all use something there are no more of them', () => {
  const usages = new PeerUsages({ maxMessagesPerSecond: 10, clock: new VirtualClock() });
  for (let key = 0; key < 12_100; key += 1) usages.of(idOf(key)).running = 1;
  expect(usages.size).toBe(12_000);
  expect(usages.of(idOf(12_099)).running).toBe(1);
});
