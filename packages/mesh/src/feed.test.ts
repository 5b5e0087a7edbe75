import { expect, it } from 'vitest';
import { Feed } from './feed.ts';

async function take<T>(events: AsyncIterable<T>, count: number): Promise<T[]> {
  const taken: T[] = [];
  for await (const event of events) if (taken.push(event) === count) break;
  return taken;
}

it('each reader gets everything from its subscription on, in order', async () => {
  const feed = new Feed<number>();
  const { signal } = new AbortController();
  feed.publish(0);
  const first = feed.subscribe({ signal });
  feed.publish(1);
  const second = feed.subscribe({ signal });
  feed.publish(2);
  feed.publish(3);
  expect(await take(first, 3)).toEqual([1, 2, 3]);
  expect(await take(second, 2)).toEqual([2, 3]);
});

it('a reader that falls behind loses its oldest events, and holds no more than the bound', async () => {
  const feed = new Feed<number>(10);
  const slow = feed.subscribe({ signal: new AbortController().signal });
  for (let event = 0; event < 10_000; event += 1) feed.publish(event);
  expect(await take(slow, 10)).toEqual(Array.from({ length: 10 }, (_, index) => 9_990 + index));
});

it('a reader that waits is woken, and ends when its signal fires', async () => {
  const feed = new Feed<number>();
  const stop = new AbortController();
  const events = take(feed.subscribe({ signal: stop.signal }), 99);
  feed.publish(1);
  stop.abort();
  expect((await events).length).toBeLessThanOrEqual(1);
  expect(feed.isRead).toBe(false);
});

it('who breaks off, stops before it began or never reads at all is forgotten', async () => {
  const feed = new Feed<number>();
  const stop = new AbortController();
  const { signal } = stop;
  const brokenOff = take(feed.subscribe({ signal }), 1);
  feed.publish(1);
  await brokenOff;
  expect(feed.isRead).toBe(false);
  feed.subscribe({ signal });
  expect(feed.isRead).toBe(true);
  stop.abort();
  expect(feed.isRead).toBe(false);
  feed.subscribe({ signal });
  expect(feed.isRead).toBe(false);
});
