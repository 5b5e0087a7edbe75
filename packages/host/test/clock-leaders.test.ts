import { clockShimMissing, startLlmServer } from '@skein/testing';
import { describe, expect, test } from 'vitest';
import type { ConfigInput } from '../src/config/schema.ts';
import { ClockedNodes } from './faults/clocks.ts';
import { type SkeinNode, until, untilLed } from './faults/skein-node.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** A schedule is looked at so often at least, whatever the clock says. */
const LOOK_MS = 30_000;
/** How long something that must not happen is given to happen. */
const QUIET_MS = 2_000;
const missing = clockShimMissing();

/** Nodes with two schedules, one that is caught up with and one that is not, on clocks that show the same. */
async function startScheduled(names: readonly string[], parts: Pick<ConfigInput, 'net'> & { readonly toDueMs: number }) {
  await using stack = new AsyncDisposableStack();
  const nodes = stack.use(new ClockedNodes());
  const llm = stack.use(await startLlmServer({ script: () => ({ text: 'Done.' }) }));
  const schedules: ConfigInput['schedules'] = [
    { name: 'run', everyMinutes: 1, text: 'act run', catchUp: 'run-once' },
    { name: 'skip', everyMinutes: 60, text: 'act skip', catchUp: 'skip' },
  ];
  const made = names.map((name) =>
    nodes.make(name, {
      brain: { provider: 'openai-compatible', model: 'scripted', baseUrl: `${llm.url}/v1` },
      schedules,
      net: parts.net,
    }),
  );
  // On all clocks the next whole hour is as far.
  const baseMs = HOUR_MS - (Date.now() % HOUR_MS) - parts.toDueMs;
  const dueMs = Date.now() + baseMs + parts.toDueMs;
  for (const [place, node] of made.entries()) {
    nodes.clockOf(node).set(baseMs);
    const voter = { trust: 'tool', voter: true } as const;
    node.trusts(
      ...made.flatMap((other, at) =>
        at === place ? [] : [[other, { ...voter, ...(at < place ? { url: other.url } : {}) }] as const],
      ),
    );
    await node.start();
  }
  const kept = stack.move();
  return {
    nodes: made,
    /** The first time at which the schedules are due, on a clock that is right. */
    dueMs,
    clockOf: (node: SkeinNode) => nodes.clockOf(node),
    /** Sets a clock so much ahead of one that is right. */
    set: (node: SkeinNode, aheadMs: number) => nodes.clockOf(node).set(baseMs + aheadMs),
    /** Sets one to a time. */
    setTo: (node: SkeinNode, atMs: number) => nodes.clockOf(node).set(atMs - Date.now()),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** How often a node has run each schedule. */
async function runsOf({ client }: SkeinNode): Promise<{ readonly run: number; readonly skip: number }> {
  const tasks = await client.tasks();
  const count = (name: string) => tasks.filter(({ title }) => title === `act ${name}`).length;
  return { run: count('run'), skip: count('skip') };
}

type Scheduled = Awaited<ReturnType<typeof startScheduled>>;

/** Resolves a while later. */
async function quiet(): Promise<void> {
  const sinceMs = performance.now();
  await until('it was quiet for a while', () => performance.now() - sinceMs > QUIET_MS);
}

/** Starts a node anew at a time; it looks at its schedules at once. */
async function restartAt({ setTo }: Scheduled, node: SkeinNode, atMs: number): Promise<void> {
  await node.kill();
  setTo(node, atMs);
  await node.start();
}

describe.skipIf(missing !== null)(
  `schedules and leaders on clocks that are set meanwhile${missing === null ? '' : ` (${missing})`}`,
  { concurrent: true, timeout: 110_000 },
  () => {
    test('crashes, and a clock that goes back over a due time and on past it: each time runs once, or is skipped', async () => {
      await using net = await startScheduled(['one'], { net: { heartbeatMode: 'independent' }, toDueMs: 20_000 });
      const [node] = net.nodes;
      if (node === undefined) throw new Error('there is one');
      const { dueMs } = net;
      await restartAt(net, node, dueMs + 1_000);
      await until('both ran, soon after their time', async () => Object.values(await runsOf(node)).every((runs) => runs === 1));
      for (const atMs of [dueMs - 1_000, dueMs - HOUR_MS, dueMs + 2_000]) {
        await restartAt(net, node, atMs);
        // The time comes again, where it was only just before.
        await quiet();
        expect(await runsOf(node)).toEqual({ run: 1, skip: 1 });
      }
      // So late that no time in between is caught up with but the last.
      const lateMs = dueMs + HOUR_MS + 2 * MINUTE_MS + 10_000;
      for (const atMs of [lateMs, dueMs + 2_000, lateMs]) {
        await restartAt(net, node, atMs);
        await until('the last was caught up with', async () => (await runsOf(node)).run === 2);
        await quiet();
        expect(await runsOf(node)).toEqual({ run: 2, skip: 1 });
      }
      const states = async () => (await node.client.tasks()).map(({ state }) => state);
      await until('all are done', async () => (await states()).every((state) => state === 'done'));
    });

    test('a clock that jumps over a due time and back while the node runs: the time is run once', async () => {
      await using net = await startScheduled(['one'], { net: { heartbeatMode: 'independent' }, toDueMs: 20_000 });
      const [node] = net.nodes;
      if (node === undefined) throw new Error('there is one');
      const startedMs = performance.now();
      net.set(node, 61_000);
      await until('it was caught up with', async () => (await runsOf(node)).run === 1);
      expect(performance.now() - startedMs).toBeLessThan(LOOK_MS + 5_000);
      // The schedule waits for the next whole minute again: that comes twice now.
      net.setTo(node, net.dueMs - 1_000);
      await quiet();
      net.setTo(node, net.dueMs - 1_000);
      await quiet();
      expect((await runsOf(node)).run).toBe(1);
    });

    test('voters an hour apart, and a leader whose clock jumps: one leader a term, and each time runs once', async () => {
      await using net = await startScheduled(['one', 'two', 'three'], { net: { leader: 'quorum' }, toDueMs: 20_000 });
      const leader = await untilLed(net.nodes);
      const others = net.nodes.filter((node) => node !== leader);
      const term = (await leader.client.net()).leader?.term ?? 0;
      // The leader runs what is due an hour later, under leases that the others count on clocks of their own.
      net.set(leader, HOUR_MS);
      for (const [place, node] of others.entries()) net.set(node, place === 0 ? -HOUR_MS : 0);
      const lastOf = async (node: SkeinNode) =>
        (await node.client.net()).schedules.find(({ name }) => name === 'run')?.lastAtMs ?? 0;
      await until('it has run what is due an hour later', async () => (await lastOf(leader)) >= net.dueMs + HOUR_MS);
      const idsOf = async (node: SkeinNode) => (await node.client.tasks()).map(({ id }) => id);
      const ran = await idsOf(leader);
      expect(new Set(ran).size).toBe(ran.length);
      expect((await leader.client.net()).leader).toMatchObject({ isMe: true, term });
      // The next leader comes to the same time: it was noted as another's.
      for (const node of others) net.set(node, HOUR_MS);
      await leader.kill();
      const next = await untilLed(others);
      expect((await next.client.net()).leader?.term).toBeGreaterThan(term);
      await quiet();
      const led = net.nodes.flatMap((node) =>
        node.events.flatMap((event) =>
          event.type === 'leader-changed' && event.leader?.id === node.id ? [{ term: event.term, id: node.id }] : [],
        ),
      );
      for (const [inTerm, claims] of Map.groupBy(led, (one) => one.term))
        expect(new Set(claims.map(({ id }) => id)).size, `leaders of term ${inTerm}`).toBe(1);
      // The name of a run is that of its time.
      for (const node of others) for (const id of await idsOf(node)) expect(ran).not.toContain(id);
    });
  },
);
