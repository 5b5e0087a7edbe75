import type { Weather } from '@skein/testing';
import { expect, test } from 'vitest';
import { until } from './faults/skein-node.ts';
import { SyncStar, type Writer } from './faults/sync-star.ts';

const BEFORE = 3_000;
/** Facts and turns of each node, each time it writes. */
const PIECE = [8, 2] as const;
/** A peer that is silent for so long is taken for dead. */
const DEAD_MS = 15_000;
const LATE_MS = 3_000;

interface Fault {
  readonly held?: Weather['held'];
  /** It ends before anybody lets go. */
  readonly isShort?: boolean;
}

/** What happens to each node around the hub; what is not held is held still. */
const FAULTS: Readonly<Record<string, Fault>> = {
  cut: { held: 'both' },
  unheard: { held: 'to-target' },
  deaf: { held: 'to-client' },
  asleep: {},
  blinking: { held: 'both', isShort: true },
  dozing: { isShort: true },
};

function begin({ node, line }: Writer, { held }: Fault): () => void {
  if (line === undefined) throw new Error(`${node.name} has no line`);
  if (held === undefined) {
    node.freeze();
    return () => node.thaw();
  }
  line.weather = { held };
  return () => {
    line.weather = {};
  };
}

test.concurrent('nodes cut off or held still in the middle of a catch-up, while all write on, lose nothing and end in step', {
  timeout: 150_000,
}, async () => {
  const names = Object.keys(FAULTS);
  await using star = await SyncStar.start(names, BEFORE);
  const { hub } = star;
  const seen = new Map(star.all.map(({ node }) => [node, node.events.length]));
  const left = (writer: Writer, name: string) =>
    writer.node.event((event) => event.type === 'peer-left' && event.name === name, seen.get(writer.node));
  const faults = Object.entries(FAULTS).map(([name, fault]) => ({ name, fault, writer: star.writer(name) }));
  const under = await Promise.all(
    faults.map(async (one) => {
      expect(await star.halfway(one.writer), one.name).toBeLessThan(BEFORE);
      return { ...one, heal: begin(one.writer, one.fault), sinceMs: performance.now() };
    }),
  );
  const writing = star.all.map((writer) => writer.write(...PIECE));
  await Promise.all(
    under.map(async ({ name, writer, fault, heal, sinceMs }) => {
      if (fault.isShort === true) {
        await until('it was long enough', () => performance.now() - sinceMs > 5_000);
        heal();
        return;
      }
      await left(hub, name);
      if (fault.held !== undefined) await left(writer, 'hub');
      expect(performance.now() - sinceMs, name).toBeLessThan(DEAD_MS + LATE_MS);
      // They are apart by now, and say so; what they write is kept all the same.
      if (fault.held !== undefined) await writer.write(...PIECE);
      heal();
    }),
  );
  await Promise.all(writing);
  await Promise.all(star.all.map((writer) => writer.write(...PIECE)));
  await star.inStep();
  const short = faults.filter(({ fault }) => fault.isShort === true).map(({ name }) => name);
  const leftHub = hub.node.events.flatMap((event) => (event.type === 'peer-left' ? [event.name] : []));
  expect(leftHub.filter((name) => short.includes(name))).toEqual([]);
  await assertSame(star);
});

test.concurrent('a hub that is held still in the middle of what it gives out goes on where it was', {
  timeout: 150_000,
}, async () => {
  await using star = await SyncStar.start(['left', 'right'], BEFORE);
  const { hub, around } = star;
  for (const writer of around) expect(await star.halfway(writer), writer.node.name).toBeLessThan(BEFORE);
  const seen = around.map(({ node }) => node.events.length);
  hub.node.freeze();
  const writing = around.map((writer) => writer.write(...PIECE));
  await Promise.all(around.map(({ node }, place) => node.event(({ type }) => type === 'peer-left', seen[place])));
  hub.node.thaw();
  await Promise.all([...writing, hub.write(...PIECE)]);
  await star.inStep();
  await assertSame(star);
});

/** On every disk: all that was said to be written, once, and the same conversation. */
async function assertSame(star: SyncStar): Promise<void> {
  const surely = star.all.flatMap(({ facts }) => facts);
  const doubtful = new Set(star.all.flatMap((writer) => writer.doubtful));
  const before = Array.from({ length: BEFORE }, (_, at) => `before ${at + 1}`);
  const [one, ...others] = await star.onDisk();
  if (one === undefined) throw new Error('There is no hub');
  for (const disk of [one, ...others]) {
    expect(disk.quarantined, disk.name).toEqual([]);
    expect(disk.facts.filter((text) => !doubtful.has(text)).sort(), disk.name).toEqual([...before, ...surely].sort());
    expect(new Set(disk.facts).size, disk.name).toBe(disk.facts.length);
    expect(disk.heads, disk.name).toEqual(one.heads);
    expect(disk.conversation, disk.name).toEqual(one.conversation);
  }
  for (const { node, turns } of star.all) {
    // What one node said stands in the order in which it was said there.
    const own = one.conversation.flatMap(
      (message) => turns.find((text) => message.includes(`"user"`) && message.includes(`"${text}"`)) ?? [],
    );
    expect(own, node.name).toEqual(turns);
  }
}
