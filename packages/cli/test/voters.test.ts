import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { runHere } from './run-here.ts';
import { type Line, SkeinProcess, skein, TempDir } from './skein-process.ts';

const MINUTE = 60_000;
const PRELOAD = fileURLToPath(new URL('topologies/wall-clock.ts', import.meta.url));
const NAMES = ['north', 'south', 'west'] as const;
type Name = (typeof NAMES)[number];

/** Three nodes in folders of their own, on the same wall clock, put together by commands alone. */
class ThreeNodes implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly #dirs: Readonly<Record<Name, TempDir>>;
  readonly #clockFile: string;

  constructor() {
    const dirOf = (name: Name) => {
      const dir = this.#stack.use(new TempDir());
      const net = { host: '127.0.0.1', port: 0, leader: 'quorum' };
      const schedules = [{ name: 'watch', everyMinutes: 1, text: 'how full is the disk?' }];
      writeFileSync(
        path.join(dir.path, 'skein.config.json'),
        JSON.stringify({ name, brain: { provider: 'intents' }, net, schedules }),
      );
      return dir;
    };
    this.#dirs = { north: dirOf('north'), south: dirOf('south'), west: dirOf('west') };
    this.#clockFile = path.join(this.#dirs.north.path, 'clock');
    this.setClock(0, 2_000);
  }

  /** Sets the wall clock of all nodes this far into a minute that is so many after the present one; what it then shows. */
  setClock(minutes: number, intoMs: number): number {
    const now = Date.now();
    const offsetMs = minutes * MINUTE + intoMs - (now % MINUTE);
    writeFileSync(this.#clockFile, String(offsetMs));
    return now + offsetMs;
  }

  /** A command on one of them, which must be done; its lines. */
  async run(name: Name, ...args: readonly string[]): Promise<readonly Line[]> {
    const { code, stdout, lines } = await runHere(this.#dirs[name].path, [...args, '--json']);
    expect(code, `${args.join(' ')}\n${stdout}`).toBe(0);
    return lines;
  }

  async says(name: Name, ...args: readonly string[]): Promise<string> {
    return (await runHere(this.#dirs[name].path, args)).stdout;
  }

  async start(name: Name): Promise<{ readonly node: SkeinProcess; readonly port: string }> {
    const env = { NODE_OPTIONS: `--import=${PRELOAD}`, WALL_CLOCK_FILE: this.#clockFile };
    const node = this.#stack.use(new SkeinProcess(['start', '--json'], { cwd: this.#dirs[name].path, env }));
    const { port } = await node.line(({ type }) => type === 'ready');
    return { node, port: String(port) };
  }

  /** Pairs two of them in full, the inviting one running at this port. */
  async pair(one: Name, port: string, other: Name, ...options: readonly string[]): Promise<void> {
    const [invite] = await this.run(one, 'invite', '--trust', 'full', '--address', `127.0.0.1:${port}`, ...options);
    await this.run(other, 'join', String(invite?.code), '--trust', 'full', ...options);
  }

  /** What each of these says of who leads: a name, or `nobody`. */
  async leaders(names: readonly Name[] = NAMES): Promise<readonly string[]> {
    return await Promise.all(names.map(async (name) => (await this.leader(name)).leader?.name ?? 'nobody'));
  }

  /** Whether all of them follow one and the same of them. */
  async agree(names: readonly Name[] = NAMES): Promise<boolean> {
    const leaders = new Set(await this.leaders(names));
    return leaders.size === 1 && names.some((name) => leaders.has(name));
  }

  async leader(name: Name) {
    const [status] = await this.run(name, 'net', 'status');
    // The line of `net status`, whose shape the gateway's answer has.
    return status?.leader as { leader: { name: string } | null; isMe: boolean; note: string; fix: string | null };
  }

  /** The tasks of the schedule, by node. */
  async runs(): Promise<readonly { readonly node: Name; readonly id: unknown }[]> {
    const all = await Promise.all(
      NAMES.map(async (node) =>
        (await this.run(node, 'tasks')).filter(({ session }) => session === 'schedule:watch').map(({ id }) => ({ node, id })),
      ),
    );
    return all.flat();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** As a stranger does it: each node trusts both others in full, and nobody was told of voters. */
async function startPaired(...options: readonly string[]): Promise<ThreeNodes> {
  const nodes = new ThreeNodes();
  try {
    const north = await nodes.start('north');
    await nodes.pair('north', north.port, 'south', ...options);
    await nodes.pair('north', north.port, 'west', ...options);
    const south = await nodes.start('south');
    await nodes.pair('south', south.port, 'west', ...options);
    await nodes.start('west');
    return nodes;
  } catch (error) {
    await nodes[Symbol.asyncDispose]();
    throw error;
  }
}

const WAIT = { timeout: 20_000, interval: 500 };

test('three nodes with "quorum" that name no voters have no leader and run nothing, say so, and lead once the voters are named', async () => {
  await using nodes = await startPaired();
  const fix = expect.stringContaining('skein net trust <name or key line> --voter');
  for (const name of NAMES) {
    await expect.poll(() => nodes.leader(name), WAIT).toMatchObject({ leader: null, isMe: false, fix });
    const [check] = (await nodes.run(name, 'doctor')).filter((line) => line.name === 'leader');
    expect(check).toMatchObject({ state: 'warn', text: expect.stringContaining('names no voter but itself'), fix });
  }
  expect(await nodes.says('north', 'net', 'status')).toMatch(/leader nobody, quorum[\s\S]*To do: name the same voters/);
  // The schedule falls due, on each of them.
  const dueMs = nodes.setClock(1, MINUTE - 1_000) + 1_000;
  const nextDueMs = async () => {
    const [status] = await nodes.run('west', 'net', 'status');
    return Number(/"nextAtMs":(\d+)/.exec(JSON.stringify(status))?.[1]);
  };
  await expect.poll(nextDueMs, WAIT).toBeGreaterThan(dueMs);
  expect(await nodes.runs()).toEqual([]);

  for (const name of NAMES) {
    for (const other of NAMES) if (other !== name) await nodes.run(name, 'net', 'trust', other, '--voter');
  }
  expect(await nodes.says('north', 'net', 'peers')).toMatch(/south\s+connected, trust full, voter/);
  await expect.poll(() => nodes.agree(), WAIT).toBe(true);
  const [leader] = await nodes.leaders();
  expect(await nodes.leader('south')).toMatchObject({ fix: null });
  // Now what was due is done, once.
  await expect.poll(() => nodes.runs(), WAIT).not.toEqual([]);
  const runs = await nodes.runs();
  expect(new Set(runs.map(({ node }) => node))).toEqual(new Set([leader]));
  expect(new Set(runs.map(({ id }) => id)).size).toBe(runs.length);
}, 120_000);

test('invited and joined with --voter three nodes elect one; one that is taken out while they run leads no more, and is told', async () => {
  await using nodes = await startPaired('--voter');
  await expect.poll(() => nodes.agree(), WAIT).toBe(true);
  const [out] = NAMES.filter((name) => name === 'west');
  const left = NAMES.filter((name) => name !== out);
  for (const name of left) await nodes.run(name, 'net', 'trust', 'west', '--no-voter');
  await expect.poll(() => nodes.agree(left), WAIT).toBe(true);
  await expect.poll(() => nodes.leader('west'), WAIT).toMatchObject({ leader: null, isMe: false });
  const west = await nodes.leader('west');
  expect(west.note).toContain(
    'north has another list of voters, so neither gives the other its vote: it does not name this node.',
  );
  expect(west.fix).toContain('net.voter false');
  const [check] = (await nodes.run('north', 'doctor')).filter((line) => line.name === 'leader');
  expect(check).toMatchObject({
    state: 'warn',
    text: expect.stringContaining(
      'west has another list of voters, so neither gives the other its vote: it names itself, as this node does not.',
    ),
  });
}, 120_000);

test('a voter is named by the name it is trusted by, which changes nothing else; the doctor says before the start who votes', async () => {
  using dir = new TempDir();
  const doctor = async () => (await skein(dir.path, ['doctor', '--json'])).lines.find(({ name }) => name === 'leader');
  writeFileSync(
    path.join(dir.path, 'skein.config.json'),
    JSON.stringify({ name: 'here', brain: { provider: 'intents' }, net: { port: 0, leader: 'quorum' } }),
  );
  await skein(dir.path, ['net', 'init', 'here']);
  expect(await doctor()).toMatchObject({ state: 'ok', text: 'elected by most of here' });
  const far = 'skein-ed25519 tQ9z8ne/Y+bZHjZP31mdNW2USR3t63YkiVyJhMWQZAY= far';
  await skein(dir.path, ['net', 'trust', far, '--level', 'tool', '--deny', 'shell_exec']);
  expect(await doctor()).toMatchObject({ state: 'warn', text: expect.stringContaining('names no voter but itself') });
  expect((await skein(dir.path, ['net', 'trust', 'far', '--voter', '--json'])).lines[0]).toMatchObject({ voter: true });
  const file = () => readFileSync(path.join(dir.path, '.skein/authorized_peers'), 'utf8');
  expect(file()).toContain(`${far} trust=tool,deny=shell_exec,voter`);
  expect(await doctor()).toMatchObject({ state: 'ok', text: expect.stringContaining('far') });
  await skein(dir.path, ['net', 'trust', 'far', '--no-voter']);
  expect(file()).toMatch(/ far trust=tool,deny=shell_exec$/m);
  const nobody = await skein(dir.path, ['net', 'trust', 'nobody', '--voter', '--json']);
  expect(nobody.lines[0]).toMatchObject({
    type: 'error',
    code: 'not-found',
    message: expect.stringContaining('whole key line'),
  });
});
