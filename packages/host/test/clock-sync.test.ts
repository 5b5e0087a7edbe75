import { clockShimMissing } from '@skein/testing';
import { describe, expect, test } from 'vitest';
import type { ConfigInput } from '../src/config/schema.ts';
import { ClockedNodes } from './faults/clocks.ts';
import { type SkeinNode, until } from './faults/skein-node.ts';
import { Writer } from './faults/sync-star.ts';

const HOUR_MS = 3_600_000;
const SHARING: ConfigInput = { brain: { provider: 'intents' }, net: { share: { memory: true, session: true } } };
const missing = clockShimMissing();

/** Three nodes that share all they remember and say, each with a line to both others and a clock of its own. */
async function startTrio() {
  const nodes = new ClockedNodes();
  await using stack = new AsyncDisposableStack();
  stack.use(nodes);
  const made = ['ahead', 'left', 'right'].map((name) => nodes.make(name, SHARING));
  const meet = async (node: SkeinNode) => {
    const others = made.filter((other) => other !== node);
    node.trusts(...others.map((other) => [other, { trust: 'full', ...(other.port === 0 ? {} : { url: other.url }) }] as const));
    await node.start();
  };
  for (const node of made) await meet(node);
  const kept = stack.move();
  const writers = made.map((node) => new Writer(node));
  return {
    writers,
    set: (node: SkeinNode, aheadMs: number) => nodes.clockOf(node).set(aheadMs),
    /** Starts a node anew, which meets the others. */
    async restart(node: SkeinNode): Promise<void> {
      await node.kill();
      await meet(node);
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

describe.skipIf(missing !== null)(
  `memories and conversations on clocks that are set meanwhile${missing === null ? '' : ` (${missing})`}`,
  { concurrent: true, timeout: 110_000 },
  () => {
    test('what one wrote an hour ahead is taken by nobody before its time, and by all then; it takes what others write all the while', async () => {
      await using trio = await startTrio();
      const [ahead, left, right] = trio.writers;
      if (ahead === undefined || left === undefined || right === undefined) throw new Error('there are three');
      for (const writer of trio.writers) await writer.write(1, 1);
      await untilAllHave(trio.writers, trio.writers);
      trio.set(ahead.node, HOUR_MS);
      await ahead.write(2, 1);
      for (const writer of [left, right]) await writer.write(2, 1);
      await untilAllHave(trio.writers, [left, right]);
      // Right again, it goes on from what it wrote, so that comes after.
      trio.set(ahead.node, 0);
      await ahead.write(1, 1);
      for (const writer of [left, right]) await writer.write(1, 0);
      await untilAllHave(trio.writers, [left, right]);
      const [last = ''] = ahead.facts.slice(-1);
      for (const writer of [left, right]) expect(await writer.own(last)).not.toContain(last);
      expect(await ahead.own(last)).toContain(last);
      // An hour later, which nobody waits for here.
      for (const { node } of trio.writers) trio.set(node, HOUR_MS + 60_000);
      await trio.restart(ahead.node);
      await untilAllHave(trio.writers, trio.writers);
      await untilSameHistory(trio.writers);
      expect(trio.writers.flatMap(({ doubtful }) => doubtful)).toEqual([]);
    });

    test('one an hour behind takes nothing of the others until it is right again; what it writes is taken at once, and nothing is lost', async () => {
      await using trio = await startTrio();
      const [behind, left, right] = trio.writers;
      if (behind === undefined || left === undefined || right === undefined) throw new Error('there are three');
      trio.set(behind.node, -HOUR_MS);
      for (const writer of trio.writers) await writer.write(2, 1);
      await untilAllHave([left, right], trio.writers);
      const [last = ''] = left.facts.slice(-1);
      expect(await behind.own(last)).not.toContain(last);
      trio.set(behind.node, 0);
      // It asks again by itself what it refused for the time being.
      await untilAllHave(trio.writers, trio.writers);
      for (const writer of trio.writers) await writer.write(1, 1);
      await untilAllHave(trio.writers, trio.writers);
      await untilSameHistory(trio.writers);
      expect(trio.writers.flatMap(({ doubtful }) => doubtful)).toEqual([]);
    });
  },
);

/** Resolves when all of these have the latest fact, and so all before it, of all of those. */
async function untilAllHave(readers: readonly Writer[], authors: readonly Writer[]): Promise<void> {
  for (const { facts } of authors) {
    for (const reader of readers) {
      for (const fact of facts)
        await until(`${reader.node.name} has "${fact}"`, async () => (await reader.own(fact)).includes(fact));
    }
  }
}

/** Resolves when the conversation is the same everywhere, with all that was said. */
async function untilSameHistory(writers: readonly Writer[]): Promise<void> {
  const turns = writers.flatMap((writer) => writer.turns);
  await until('the conversation is the same everywhere', async () => {
    const histories = await Promise.all(writers.map((writer) => writer.history()));
    const [first = []] = histories;
    return first.length === 2 * turns.length && histories.every((history) => JSON.stringify(history) === JSON.stringify(first));
  });
}
