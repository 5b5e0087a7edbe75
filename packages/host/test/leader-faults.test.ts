import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { ChaosProxy, type LlmTurn, startLlmServer } from '@skein/testing';
import { describe, expect, test } from 'vitest';
import { type SkeinNode, SkeinNodes, until, untilLed } from './faults/skein-node.ts';

const MINUTE_MS = 60_000;
/** From the start of the first process to the time that the schedule is due. */
const DUE_AFTER_MS = 30_000;

/** Three voters with one schedule, which adds a line to a file, and a line between every two of them. */
async function startVoters() {
  await using stack = new AsyncDisposableStack();
  const nodes = stack.use(new SkeinNodes());
  const file = path.join(nodes.root, 'effects');
  const script = ({ last }: { readonly last: string }): LlmTurn =>
    last === 'act' ? { toolCalls: [{ name: 'shell_exec', input: { command: `echo effect >> ${file}` } }] } : { text: 'Done.' };
  const llm = stack.use(await startLlmServer({ script }));
  // Their clocks are set so that the next whole minute is not far.
  const clockMs = MINUTE_MS - DUE_AFTER_MS - (Date.now() % MINUTE_MS);
  const dueMs = Date.now() + clockMs + DUE_AFTER_MS;
  const voters = ['one', 'two', 'three'].map((name) =>
    nodes.make(
      name,
      {
        brain: { provider: 'openai-compatible', model: 'scripted', baseUrl: `${llm.url}/v1` },
        tools: { shell: { allow: ['*'], allowShell: true } },
        net: { leader: 'quorum' },
        schedules: [{ name: 'act', everyMinutes: 1, text: 'act' }],
      },
      { clockMs },
    ),
  );
  const lines: { readonly ends: readonly SkeinNode[]; readonly proxy: ChaosProxy }[] = [];
  for (const [place, node] of voters.entries()) {
    const before = await Promise.all(
      voters.slice(0, place).map(async (other) => {
        const proxy = stack.use(await ChaosProxy.start(other.port));
        lines.push({ ends: [node, other], proxy });
        return [other, { trust: 'tool', voter: true, url: proxy.url }] as const;
      }),
    );
    node.trusts(...before, ...voters.slice(place + 1).map((other) => [other, { trust: 'tool', voter: true }] as const));
    await node.start();
  }
  const kept = stack.move();
  return {
    ...{ voters, lines, dueMs, clockMs },
    effects: () => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

type Voters = Awaited<ReturnType<typeof startVoters>>;

/** What separates the leader from the others, and what brings it back. */
const FAULTS: Readonly<Record<string, (voters: Voters, leader: SkeinNode) => () => void>> = {
  'held still': (_voters, leader) => {
    leader.freeze();
    return () => leader.thaw();
  },
  'cut off both ways': (voters, leader) => cut(voters, leader, () => 'both'),
  'heard by nobody': (voters, leader) => cut(voters, leader, (isDialling) => (isDialling ? 'to-target' : 'to-client')),
};

function cut({ lines }: Voters, leader: SkeinNode, way: (isDialling: boolean) => 'both' | 'to-target' | 'to-client') {
  const theirs = lines.filter(({ ends }) => ends.includes(leader));
  for (const { ends, proxy } of theirs) proxy.weather = { cut: way(ends[0] === leader) };
  return () => {
    for (const { proxy } of theirs) {
      proxy.weather = {};
      proxy.reset();
    }
  };
}

describe.concurrent('three processes that elect a leader, which', { timeout: 110_000 }, () => {
  test.for(Object.entries(FAULTS))(
    'is %s when a schedule is due: another leads a later term, and it runs once',
    async ([_name, fault]) => {
      await using net = await startVoters();
      const { voters, dueMs, clockMs } = net;
      const leader = await untilLed(voters);
      const term = (await leader.client.net()).leader?.term ?? 0;
      expect(Date.now() + clockMs, 'the machine is too slow for this test').toBeLessThan(dueMs);
      const heal = fault(net, leader);
      const others = voters.filter((node) => node !== leader);
      const next = await untilLed(others);
      expect((await next.client.net()).leader?.term).toBeGreaterThan(term);
      await until('it was due, and has run', () => Date.now() + clockMs > dueMs && net.effects() > 0);
      heal();
      // All agree again, and the one that was away has seen that the run is another's.
      const last = await untilLed(voters);
      const look = async () => (await last.client.net()).schedules[0]?.nextAtMs;
      expect(await look()).toBeGreaterThan(dueMs);
      await until('the old leader looked at its schedule', async () => {
        const [schedule] = (await leader.client.net()).schedules;
        return schedule?.nextAtMs != null && schedule.nextAtMs > dueMs;
      });
      const led = voters.flatMap((node) =>
        node.events.flatMap((event) =>
          event.type === 'leader-changed' && event.leader?.id === node.id ? [{ term: event.term, id: node.id }] : [],
        ),
      );
      const byTerm = Map.groupBy(led, (one) => one.term);
      for (const [inTerm, claims] of byTerm)
        expect(new Set(claims.map(({ id }) => id)).size, `leaders of term ${inTerm}`).toBe(1);
      expect(byTerm.size).toBeGreaterThanOrEqual(2);
      // The next due time may have come meanwhile, on a slow machine.
      const dueSince = 1 + Math.max(0, Math.floor((Date.now() + clockMs - dueMs) / MINUTE_MS));
      expect(net.effects()).toBeLessThanOrEqual(dueSince);
      const runs = (await Promise.all(voters.map((node) => node.client.tasks()))).flat().map(({ id }) => id);
      expect(new Set(runs).size).toBe(runs.length);
      expect(runs.length).toBeLessThanOrEqual(dueSince);
    },
  );
});

test('an hour between the clocks of two nodes leaves session, delegated task, deadline and order alone', {
  timeout: 60_000,
}, async () => {
  for (const [origin, worker] of [
    [3_600_000, 0],
    [0, 3_600_000],
  ] as const) {
    await using nodes = new SkeinNodes();
    const script = ({ last }: { readonly last: string }): LlmTurn =>
      last === 'hang' ? { fault: { type: 'hang', afterEvents: 0 } } : { text: 'Done.' };
    await using llm = await startLlmServer({ script });
    const central = nodes.make(
      'central',
      {
        brain: { provider: 'openai-compatible', model: 'scripted', baseUrl: `${llm.url}/v1` },
        net: { share: { tools: true } },
      },
      { clockMs: worker },
    );
    const agent = { turnTimeoutMs: 3_000 };
    const thin = nodes.make(
      'thin',
      { brain: { provider: 'none' }, agent, net: { brainSource: 'central' } },
      { clockMs: origin },
    );
    central.trusts([thin, { trust: 'tool', allowBrain: true }]);
    await central.start();
    thin.trusts([central, { trust: 'tool', url: central.url }]);
    await thin.start();
    await until('they have met', async () => ((await thin.client.peers())[0]?.brain ?? null) !== null);
    expect(await thin.ask('hello')).toMatchObject({ type: 'answer', text: 'Done.' });
    // A deadline is so long from now, not a time of somebody's clock.
    const startedMs = performance.now();
    expect(await thin.ask('hang')).toMatchObject({ type: 'error' });
    const tookMs = performance.now() - startedMs;
    expect(tookMs).toBeGreaterThan(2_900);
    expect(tookMs).toBeLessThan(9_000);
    expect(await thin.client.call({ name: 'central/system_info', input: {} })).toBeDefined();
    expect((await thin.client.peers())[0]?.state).toBe('connected');
    const [theirs, own] = [(await central.client.tasks())[0], (await thin.client.tasks())[0]];
    // Each keeps its own clock.
    const apartMs = (own?.acceptedAtMs ?? 0) - (theirs?.acceptedAtMs ?? 0);
    expect(Math.abs(apartMs - (origin - worker))).toBeLessThan(10_000);
  }
});
