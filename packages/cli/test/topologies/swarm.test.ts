import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { TempDir } from '../skein-process.ts';
import { ExampleNetwork } from './example-network.ts';

const MINUTE = 60_000;
const NODES = ['north', 'south', 'west'];
const PRELOAD = fileURLToPath(new URL('wall-clock.ts', import.meta.url));

/** The wall clock that all nodes see. */
class WallClock implements Disposable {
  readonly #dir = new TempDir();
  readonly #file = path.join(this.#dir.path, 'offset');
  readonly env = { NODE_OPTIONS: `--import=${PRELOAD}`, WALL_CLOCK_FILE: this.#file };

  /** Sets it this far into a minute that is so many after the present one. */
  set(minutes: number, intoMs: number): void {
    const now = Date.now();
    writeFileSync(this.#file, String(minutes * MINUTE + intoMs - (now % MINUTE)));
  }

  [Symbol.dispose](): void {
    this.#dir[Symbol.dispose]();
  }
}

/** Resolves with the leader once these nodes agree on one. */
async function leaderOf(network: ExampleNetwork, nodes: readonly string[]): Promise<string> {
  const seen = async () => {
    const leaders = await Promise.all(nodes.map(async (node) => (await network.client(node).net()).leader?.leader?.name));
    const [first] = leaders;
    return first !== undefined && nodes.includes(first) && leaders.every((leader) => leader === first) ? first : '';
  };
  await expect.poll(seen, { timeout: 15_000 }).not.toBe('');
  return await seen();
}

/** Resolves with the first leader that any of these names, which must say the same of itself. */
async function firstNamed(network: ExampleNetwork, nodes: readonly string[]): Promise<string> {
  const leaderAt = async (node: string) => (await network.client(node).net()).leader;
  const named: string[] = [];
  const wrong: unknown[] = [];
  const look = async () => {
    for (const node of nodes) {
      const said = await leaderAt(node);
      const name = said?.leader?.name;
      if (name === undefined && said?.note.startsWith('Nobody leads yet') === true) continue;
      if (name === undefined || said === null || said.term < 1 || (await leaderAt(name))?.isMe !== true) wrong.push(said);
      else named.push(name);
    }
    return named.length + wrong.length;
  };
  await expect.poll(look, { timeout: 15_000 }).toBeGreaterThan(0);
  expect(wrong).toEqual([]);
  return named[0] ?? '';
}

/** The runs of the schedule, over all these nodes. */
async function runsOf(network: ExampleNetwork, nodes: readonly string[]) {
  const all = await Promise.all(
    nodes.map(async (node) =>
      (await network.client(node).tasks()).map(({ id, session, state }) => ({ node, id, session, state })),
    ),
  );
  return all.flat().filter(({ session }) => session === 'watch');
}

test('7: one leads, a schedule runs once each time over the whole network, and another takes over when the leader is killed', async () => {
  using clock = new WallClock();
  // Long before the schedule is due.
  clock.set(0, 2_000);
  await using network = await ExampleNetwork.start('7-swarm', { env: clock.env });
  // From the first command on, what it says of who leads is true.
  expect(await network.readme('net status')).toMatchObject({ code: 0 });
  const named = await firstNamed(network, NODES);
  const leader = await leaderOf(network, NODES);
  expect(leader).toBe(named);
  expect((await network.readme('net status')).lines[0]).toMatchObject({
    leader: { mode: 'auto', leader: { name: leader }, bestEffort: true },
    schedules: [{ name: 'watch' }],
  });
  await network.tools('north', 'south/system_info', 'west/system_info');
  const { toolCalls } = (await network.readme('north ask')).lines.at(-1) ?? {};
  expect(toolCalls).toEqual(Array(3).fill(expect.objectContaining({ ok: true })));
  expect(await runsOf(network, NODES)).toEqual([]);
  // Its time has passed, and the next is near, when the leader goes.
  const others = NODES.filter((node) => node !== leader);
  clock.set(1, MINUTE - 6_000);
  const killedAtMs = performance.now();
  await network.kill(leader);
  const next = await leaderOf(network, others);
  expect(performance.now() - killedAtMs).toBeLessThan(5_000);
  const states = async () => (await runsOf(network, others)).map(({ node, state }) => `${node} ${state}`);
  await expect.poll(states, { timeout: 5_000 }).toEqual([`${next} done`]);
  const byThen = (await network.client(next).net()).schedules;
  expect(byThen).toMatchObject([{ lastRun: { by: { name: next }, isMe: true, away: false } }]);
  // And the next time, in its time.
  await expect.poll(states, { timeout: 12_000 }).toEqual([`${next} done`, `${next} done`]);
  // The one that is back leads again perhaps, and finds both done.
  await network.restart(leader, clock.env);
  await leaderOf(network, NODES);
  const { code, stdout } = await network.readme('north tasks');
  expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('how full is the disk') });
  const runs = await runsOf(network, NODES);
  expect(runs.map(({ node }) => node)).toEqual([next, next]);
  expect(new Set(runs.map(({ id }) => id)).size).toBe(2);
  // Who began the last one can be seen everywhere, and that nobody can be asked of it once that node is gone.
  const [third = ''] = others.filter((node) => node !== next);
  const lastRun = async () => (await network.client(third).net()).schedules[0]?.lastRun;
  expect(await lastRun()).toMatchObject({ by: { name: next }, isMe: false, away: false });
  await network.kill(next);
  await expect.poll(lastRun).toMatchObject({ by: { name: next }, isMe: false, away: true });
});
