import { ChaosProxy, measured, sized, sizedTimeout } from '@skein/testing';
import { describe, expect, test } from 'vitest';
import { type FaultNode, FaultNodes, startFaultPair } from './faults/fault-node.ts';
import { Cable, canMakeNamespaces } from './faults/namespaces.ts';

const MIB = 1024 * 1024;
const ECHO = { tool: 'worker/echo', bodyBytes: 600, timeoutMs: 5_000 };
/** What a call may end with while its peer is away; anything else would be a fault of our own. */
const AWAY = ['unavailable', 'deadline-exceeded', 'busy', 'not-found'];
/** Which ends of a cable send into nothing. */
const CUTS = [['a', 'b'], ['a'], ['b']] as const;
/** A dead peer is found within this. */
const NOTICED_MS = 15_000;

// The longest first: they wait more than they work, and run side by side.
describe.concurrent('two nodes in processes of their own', { timeout: 90_000 }, () => {
  test('carry a message that takes longer than the silence of a dead peer, on a line that is that slow', async () => {
    await using line = await startLine(12);
    line.proxy.weather = { bytesPerSecond: 57_000 };
    const load = { tool: 'worker/size', inFlight: 1, durationMs: 1, bodyBytes: 900_000, timeoutMs: 60_000 };
    const result = await line.boss.load(load);
    expect(result).toMatchObject({ answered: 1, failures: {} });
    expect(result.p50Ms).toBeGreaterThan(15_000);
    expect(line.proxy.accepted, 'on one connection').toBe(1);
  });

  test('a peer that is held still costs its sender at most 32 MiB, is told of as busy, and is let go', async () => {
    await using nodes = new FaultNodes();
    const { worker, boss } = await startFaultPair(nodes);
    const load = { tool: 'worker/size', inFlight: 64, bodyBytes: 500_000, timeoutMs: 30_000 };
    // The room for the garbage that sending makes is not the stopped peer's: it is there before.
    let before = 0;
    for (let grown = true; grown; ) {
      await boss.load({ ...load, durationMs: 1_500 });
      const { peakRssBytes } = await boss.stats();
      grown = peakRssBytes > before + 4 * MIB;
      before = Math.max(before, peakRssBytes);
    }
    const frozenAtMs = Date.now();
    worker.freeze();
    const pushing = boss.load({ ...load, durationMs: 14_000 });
    const gone = await boss.event('peer-left', { sinceMs: frozenAtMs, name: 'worker' });
    const peak = (await boss.stats()).peakRssBytes;
    const goneAfterMs = gone.atMs - frozenAtMs;
    const result = await pushing;
    worker.thaw();
    expect(peak - before).toBeLessThan(32 * MIB);
    expect(goneAfterMs).toBeGreaterThan(9_000);
    expect(goneAfterMs).toBeLessThan(13_000);
    expect(result.failures.busy).toBeGreaterThan(64);
    expect(Object.keys(result.failures).filter((code) => !AWAY.includes(code))).toEqual([]);
    const back = await boss.event('peer-joined', { sinceMs: frozenAtMs, name: 'worker' });
    expect(back.atMs).toBeGreaterThan(frozenAtMs);
    const offered = (result.answered + Object.values(result.failures).reduce((sum, count) => sum + count, 0)) * load.bodyBytes;
    measured('slow-peer', {
      counts: { offeredMiB: offered / MIB },
      peaks: { growthMiB: (peak - before) / MIB, letGoMs: goneAfterMs },
    });
  });

  test.skipIf(!canMakeNamespaces())(
    'cut off on a real network, one way or both, notice within 15 s, end every call in time, and are back within 10 s (needs root and `ip netns`: apt-get install -y iproute2)',
    { timeout: sizedTimeout({ ci: 90_000, full: 1_800_000 }) },
    async () => {
      const pairs = Array.from({ length: sized({ ci: 3, full: 36 }) }, (_, at) => at);
      // They wait more than they work.
      for (let first = 0; first < pairs.length; first += 9) {
        await Promise.all(pairs.slice(first, first + 9).map((at) => partition(at, CUTS[at % 3] ?? [])));
      }
    },
  );

  test('notice within 15 s that a line swallows what goes to one, to the other or to both, and are back when it heals', async () => {
    const cuts = ['both', 'to-target', 'to-client'] as const;
    await Promise.all(
      cuts.map(async (cut) => {
        await using line = await startLine(14);
        expect((await line.boss.load({ ...ECHO, inFlight: 4, durationMs: 200 })).failures).toEqual({});
        const hung = line.boss.load({ tool: 'worker/hang', inFlight: 4, durationMs: 500, bodyBytes: 1, timeoutMs: 60_000 });
        const cutAtMs = Date.now();
        line.proxy.weather = { cut };
        const left = [line.boss, line.worker].map((node) => node.event('peer-left', { sinceMs: cutAtMs }));
        const noticed = (await Promise.all(left)).map(({ atMs }) => atMs - cutAtMs);
        expect(Math.max(...noticed), cut).toBeLessThanOrEqual(NOTICED_MS);
        expect(await hung).toMatchObject({ answered: 0, failures: { unavailable: 4 } });
        const healedAtMs = Date.now();
        line.proxy.weather = {};
        line.proxy.reset();
        const back = await line.boss.event('peer-joined', { sinceMs: healedAtMs });
        expect(back.atMs - healedAtMs, cut).toBeLessThan(10_000);
      }),
    );
  });

  test('call each other through a line that slices, delays and is slow, and lose nothing', async () => {
    await using line = await startLine(11);
    for (const [name, weather] of Object.entries({
      'one byte at a time': { sliceBytes: 1 },
      'pieces of up to 100 bytes': { sliceBytes: 100 },
      'half a second late, give or take': { delayMs: 300, jitterMs: 400 },
      '64 kB/s': { bytesPerSecond: 64_000 },
    })) {
      line.proxy.weather = weather;
      const result = await line.boss.load({ ...ECHO, inFlight: 4, durationMs: 2_000, timeoutMs: 10_000 });
      expect(result.failures, name).toEqual({});
      expect(result.answered, name).toBeGreaterThan(4);
    }
    expect(line.proxy.accepted, 'on one connection').toBe(1);
  });

  test('come back after every reset, and each call ends by its deadline', async () => {
    await using line = await startLine(13);
    const sinceMs = Date.now();
    const load = line.boss.load({ ...ECHO, inFlight: 16, durationMs: 6_000, timeoutMs: 2_000 });
    let resets = 0;
    for (; Date.now() - sinceMs < 4_000; resets += 1) {
      const resetAtMs = Date.now();
      line.proxy.reset();
      await line.boss.event('peer-left', { sinceMs: resetAtMs });
      await toolsBack(line.boss);
    }
    const result = await load;
    expect(Object.keys(result.failures).filter((code) => !AWAY.includes(code))).toEqual([]);
    expect(result.answered).toBeGreaterThan(0);
    expect(result.worstFailureMs).toBeLessThan(2_500);
    expect(resets).toBeGreaterThan(2);
    expect(line.proxy.accepted, 'no storm of dials').toBeLessThan(5 * (resets + 2));
    await toolsBack(line.boss);
    expect((await line.boss.load({ ...ECHO, inFlight: 4, durationMs: 500 })).failures).toEqual({});
  });

  test('a peer that is killed is seen to leave at once, its calls end at once, and it is back after its restart', {
    timeout: sizedTimeout({ ci: 90_000, full: 1_800_000 }),
  }, async () => {
    await using nodes = new FaultNodes();
    const { worker, boss } = await startFaultPair(nodes);
    const recoveriesMs: number[] = [];
    for (let round = 0; round < sized({ ci: 3, full: 150 }); round += 1) {
      const hung = boss.load({ tool: 'worker/hang', inFlight: 20, durationMs: 1, bodyBytes: 1, timeoutMs: 60_000 });
      await boss.stats();
      const killedAtMs = Date.now();
      await worker.kill();
      const left = await boss.event('peer-left', { sinceMs: killedAtMs, name: 'worker' });
      const ended = await hung;
      expect(left.atMs - killedAtMs).toBeLessThan(1_000);
      expect(Date.now() - killedAtMs).toBeLessThan(1_500);
      expect(ended.answered).toBe(0);
      const restartedAtMs = Date.now();
      await worker.start();
      await boss.event('peer-joined', { sinceMs: restartedAtMs, name: 'worker' });
      await toolsBack(boss);
      recoveriesMs.push(Date.now() - restartedAtMs);
      expect((await boss.load({ ...ECHO, inFlight: 4, durationMs: 100 })).failures).toEqual({});
    }
    measured('kills', { counts: { kills: recoveriesMs.length }, p99s: { recoveryP99Ms: recoveriesMs } });
  });

  test.each([
    ['revoked', { trust: 'tool', revoked: true } as const],
    ['taken out of the file', undefined],
  ])(
    'a key that is %s in the middle of its calls gets nothing more within 2 s, and does not come back',
    { repeats: sized({ ci: 0, full: 9 }) },
    async (_name, options) => {
      await using nodes = new FaultNodes();
      const { worker, boss } = await startFaultPair(nodes);
      const calls = boss.load({ ...ECHO, inFlight: 32, durationMs: 4_000 });
      await boss.stats();
      const revokedAtMs = Date.now();
      worker.trusts(...(options === undefined ? [] : [[boss.keyLine, options] as const]));
      const left = await Promise.all([boss, worker].map((node) => node.event('peer-left', { sinceMs: revokedAtMs })));
      const result = await calls;
      for (const { atMs } of left) expect(atMs - revokedAtMs).toBeLessThan(2_000);
      expect(result.lastAnsweredAtMs - revokedAtMs).toBeLessThan(2_000);
      const closedMs = Math.max(...left.map(({ atMs }) => atMs - revokedAtMs));
      measured('revocation', {
        counts: { revocations: 1 },
        peaks: { closedMs, lastAnswerMs: result.lastAnsweredAtMs - revokedAtMs },
      });
      const refused = await boss.event('peer-problem', { sinceMs: left[0]?.atMs ?? 0 });
      expect(refused.event).toMatchObject({ problem: expect.stringMatching(/trust|revoked/) });
      expect(boss.count('peer-joined', revokedAtMs)).toBe(0);
      expect((await worker.stats()).peers.filter(({ state }) => state === 'connected')).toEqual([]);
    },
  );
});

/** Two nodes on a cable of their own; what the ends named in `cut` send is lost for a while. */
async function partition(number: number, cut: readonly ('a' | 'b')[]): Promise<void> {
  using cable = new Cable(number);
  await using nodes = new FaultNodes();
  const boss = nodes.make('boss', { namespace: cable.a.namespace, net: { host: cable.a.address } });
  const worker = nodes.make('worker', { namespace: cable.b.namespace, net: { host: cable.b.address } });
  worker.trusts([boss.keyLine, { trust: 'tool' }]);
  await worker.start();
  boss.trusts([worker.keyLine, { url: `ws://${cable.b.address}:${worker.port}` }]);
  await boss.start();
  await boss.event('tools-changed', { sinceMs: 0 });
  const calls = { tool: 'worker/echo', inFlight: 4, bodyBytes: 600, timeoutMs: 4_000 };
  expect((await boss.load({ ...calls, durationMs: 300 })).failures).toEqual({});

  const cutAtMs = Date.now();
  for (const end of cut) cable.cutFrom(cable[end]);
  const during = boss.load({ ...calls, durationMs: 13_000, everyMs: 100 });
  const left = await Promise.all([boss, worker].map((node) => node.event('peer-left', { sinceMs: cutAtMs })));
  for (const { atMs } of left) expect(atMs - cutAtMs, `cut from ${cut}`).toBeLessThanOrEqual(NOTICED_MS);
  const noticedMs = Math.max(...left.map(({ atMs }) => atMs - cutAtMs));
  const result = await during;
  expect(Object.keys(result.failures).filter((code) => !AWAY.includes(code))).toEqual([]);
  expect(result.worstFailureMs).toBeLessThan(calls.timeoutMs + 500);

  const mendedAtMs = Date.now();
  for (const end of cut) cable.mendFrom(cable[end]);
  const back = await boss.event('peer-joined', { sinceMs: mendedAtMs });
  expect(back.atMs - mendedAtMs, `cut from ${cut}`).toBeLessThan(10_000);
  while ((await boss.load({ ...calls, durationMs: 1 })).answered === 0);
  expect((await boss.load({ ...calls, durationMs: 300 })).failures).toEqual({});
  const connected = (await worker.stats()).peers.filter(({ state }) => state === 'connected');
  expect(connected.map(({ name }) => name)).toEqual(['boss']);
  measured('partitions', { counts: { betweenTwo: 1 }, peaks: { noticedMs, healedMs: back.atMs - mendedAtMs } });
}

interface Line extends AsyncDisposable {
  readonly proxy: ChaosProxy;
  readonly worker: FaultNode;
  readonly boss: FaultNode;
}

/** A pair with a proxy between them. */
async function startLine(seed: number): Promise<Line> {
  await using stack = new AsyncDisposableStack();
  const nodes = stack.use(new FaultNodes());
  let proxy: ChaosProxy | undefined;
  const pair = await startFaultPair(nodes, async (worker) => {
    proxy = stack.use(await ChaosProxy.start(worker.port, { seed }));
    return proxy.url;
  });
  if (proxy === undefined) throw new Error('no proxy was started');
  const kept = stack.move();
  return { ...pair, proxy, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** Resolves when the worker's tools are there again: they come a moment after it. */
async function toolsBack(boss: FaultNode): Promise<void> {
  const load = { ...ECHO, inFlight: 1, durationMs: 1 };
  while ((await boss.load(load)).answered === 0);
}
