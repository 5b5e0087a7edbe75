import { BufferingProxy, measured, sized } from '@skein/testing';
import { describe, expect, test } from 'vitest';
import { type FaultNode, FaultNodes, startFaultPair } from './faults/fault-node.ts';
import { Nodes } from './nodes.ts';

/** It takes a second and a half on a machine that has time; by its silence alone a node would be missed after 14 s. */
const GONE_MS = 5_000;
const ECHO = { tool: 'worker/echo', bodyBytes: 600, timeoutMs: 5_000 };
const KILLING = { repeats: sized({ ci: 0, full: 29 }) };

describe.concurrent('two nodes in processes of their own, with no WebSocket between them', { timeout: 60_000 }, () => {
  test('call each other through a proxy that buffers, and lose nothing when it breaks', async () => {
    await using line = await startLine();
    const calm = await line.boss.load({ ...ECHO, inFlight: 16, durationMs: 1_000 });
    expect(calm.failures).toEqual({});
    expect(calm.answered).toBeGreaterThan(16);
    const sinceMs = Date.now();
    const load = line.boss.load({ ...ECHO, inFlight: 16, durationMs: 3_000 });
    for (let reset = 0; reset < 5; reset += 1) {
      const before = line.proxy.count;
      line.proxy.reset();
      await line.proxy.counted(before + 20);
    }
    const broken = await load;
    expect(broken.failures).toEqual({});
    expect(line.boss.count('peer-left', sinceMs), 'no session was lost').toBe(0);
    expect(line.proxy.upgrades, 'one WebSocket was tried').toBe(1);
  });

  test.each(['worker', 'boss'] as const)(
    'the %s killed is seen to leave at once, and is back after its restart',
    KILLING,
    async (name) => {
      await using line = await startLine();
      const [killed, other] = name === 'worker' ? [line.worker, line.boss] : [line.boss, line.worker];
      const calls = { tool: 'worker/hang', inFlight: 20, durationMs: 1, bodyBytes: 1, timeoutMs: 60_000 };
      const hung = name === 'worker' ? line.boss.load(calls) : undefined;
      await other.stats();
      const killedAtMs = Date.now();
      await killed.kill();
      const left = await other.event('peer-left', { sinceMs: killedAtMs, name });
      expect(left.atMs - killedAtMs).toBeLessThan(GONE_MS);
      if (hung !== undefined) expect(await hung).toMatchObject({ answered: 0, failures: { unavailable: expect.any(Number) } });
      const restartedAtMs = Date.now();
      await killed.start();
      const back = await other.event('peer-joined', { sinceMs: killedAtMs, name });
      measured('kills', { counts: { kills: 1 }, p99s: { recoveryP99Ms: [back.atMs - restartedAtMs] } });
    },
  );

  test('the boss killed while answers are on their way to it is seen to leave at once too', KILLING, async () => {
    await using line = await startLine();
    for (let kill = 0; kill < 3; kill += 1) {
      void line.boss.load({ ...ECHO, inFlight: 16, durationMs: 10_000 }).catch(() => {});
      const before = line.proxy.count;
      await line.proxy.counted(before + 50 + 7 * kill);
      const killedAtMs = Date.now();
      await line.boss.kill();
      const left = await line.worker.event('peer-left', { sinceMs: killedAtMs, name: 'boss' });
      expect(left.atMs - killedAtMs).toBeLessThan(GONE_MS);
      await line.boss.start();
      await line.boss.event('peer-joined', { sinceMs: left.atMs });
      measured('kills', { counts: { kills: 1 } });
    }
  });

  test('a key that is revoked in the middle of its calls gets nothing more within 2 s', {
    repeats: sized({ ci: 0, full: 9 }),
  }, async () => {
    await using line = await startLine();
    const calls = line.boss.load({ ...ECHO, inFlight: 32, durationMs: 3_000 });
    await line.boss.stats();
    const revokedAtMs = Date.now();
    line.worker.trusts([line.boss.keyLine, { trust: 'tool', revoked: true }]);
    const left = await line.boss.event('peer-left', { sinceMs: revokedAtMs });
    const result = await calls;
    expect(left.atMs - revokedAtMs).toBeLessThan(2_000);
    expect(result.lastAnsweredAtMs - revokedAtMs).toBeLessThan(2_000);
    expect(line.boss.count('peer-joined', revokedAtMs)).toBe(0);
    const peaks = { closedMs: left.atMs - revokedAtMs, lastAnswerMs: result.lastAnsweredAtMs - revokedAtMs };
    measured('revocation', { counts: { revocations: 1 }, peaks });
  });
});

test('a node that stops says so before it goes, over HTTP too', async () => {
  await using nodes = new Nodes();
  const [worker, boss] = [nodes.make('worker', { net: { share: { tools: true } } }), nodes.make('boss')];
  worker.trusts([boss, { trust: 'tool' }]);
  await nodes.start(worker);
  await using proxy = await BufferingProxy.start(Number(new URL(worker.url).port));
  boss.trusts([worker, { url: proxy.url }]);
  await nodes.start(boss);
  await boss.event('tools-changed');
  const left = boss.event('peer-left');
  await worker.host[Symbol.asyncDispose]();
  expect(await left).toMatchObject({ name: 'worker', reason: expect.stringContaining('this node is stopping') });
});

interface Line extends AsyncDisposable {
  readonly proxy: BufferingProxy;
  readonly worker: FaultNode;
  readonly boss: FaultNode;
}

/** A pair with a proxy between them that lets no upgrade through. */
async function startLine(): Promise<Line> {
  await using stack = new AsyncDisposableStack();
  const nodes = stack.use(new FaultNodes());
  let proxy: BufferingProxy | undefined;
  const pair = await startFaultPair(nodes, async (worker) => {
    proxy = stack.use(await BufferingProxy.start(worker.port, { cutAfterMs: 30_000 }));
    return proxy.url;
  });
  if (proxy === undefined) throw new Error('no proxy was started');
  const kept = stack.move();
  return { ...pair, proxy, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}
