import { expect, test } from 'vitest';
import { ElectionSimulation, type SimulatedNode, type SimulationOptions } from './election-simulation.ts';

/** A minute and a half of faults, then none; throws with the seed when something that must hold does not. */
function live(options: SimulationOptions): ElectionSimulation {
  const net = new ElectionSimulation(options);
  const { random } = net;
  const any = () => net.nodes[Math.floor(random() * net.nodes.length)] ?? net.nodes[0];
  const restart = (node: SimulatedNode, afterMs: number) => {
    net.kill(node, { silent: random() < 0.5 });
    net.at(afterMs, () => {
      if (node.state === undefined) net.start(node);
    });
  };
  const faults: ((one: SimulatedNode, other: SimulatedNode) => void)[] = [
    (one) => restart(one, 20_000 * random()),
    (one) => net.pause(one, random() < 0.5 ? 75_000 : 8_000 * random()),
    (one, other) => net.cut(one, other),
    (one) => {
      for (const peer of net.nodes) {
        if (random() < 0.5) continue;
        net.cut(one, peer);
        if (random() < 0.7) net.cut(peer, one);
      }
    },
    (one, other) => {
      const leader = net.leading()[0] ?? one;
      net.sever(leader);
      if (other !== leader) restart(other, 500 * random());
    },
    () => net.mend(),
  ];
  for (let fault = 0; fault < 14; fault += 1) {
    net.at(90_000 * random(), () => {
      const [one, other] = [any(), any()];
      if (one !== undefined && other !== undefined) faults[Math.floor(random() * faults.length)]?.(one, other);
    });
  }
  // Leaders act now and then, which takes a lease each time.
  const act = () => {
    for (const node of net.leading()) net.take(node, { type: 'renew' });
    net.at(3_000 * random(), act);
  };
  act();
  net.run(100_000);
  net.mend();
  net.loss = 0;
  net.run(30_000);
  return net;
}

function failure(options: SimulationOptions, cause: unknown): Error {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new Error(`${JSON.stringify(options)}: ${text}`, { cause });
}

/** Runs a simulation for each seed; a failure names the options that replay it. */
function each(seeds: number, mode: 'auto' | 'quorum', check: (net: ElectionSimulation) => void): void {
  for (let seed = 1; seed <= seeds; seed += 1) {
    const options: SimulationOptions = { seed, mode, nodes: [3, 5, 8][seed % 3] ?? 3 };
    try {
      check(live(options));
    } catch (cause) {
      throw failure(options, cause);
    }
  }
}

test('quorum: at most one leader a term and one lease at a time, and a leader for all once the faults are over', () => {
  let terms = 0;
  each(1_000, 'quorum', (net) => {
    terms += net.leadersByTerm.size;
    expect(net.agreed()).toBeDefined();
  });
  expect(terms).toBeGreaterThan(2_000);
}, 120_000);

test('auto: all follow the lowest id once the faults are over', () => {
  each(300, 'auto', (net) => {
    expect(net.agreed()).toBe(net.nodes[0]?.id);
  });
}, 60_000);

/** How long after a kill of the leader all others have another one, for each of many clusters. */
function failovers(mode: 'auto' | 'quorum', silent: boolean): number[] {
  return Array.from({ length: 60 }, (_, index) => {
    const net = new ElectionSimulation({ seed: index + 1, mode, nodes: [3, 5, 8][index % 3] ?? 3, loss: 0 });
    net.run(60_000);
    const [leader] = net.leading();
    if (leader === undefined) throw new Error(`seed ${index + 1} has no leader after a minute`);
    net.take(leader, { type: 'renew' });
    net.run(silent ? 1_000 + 9_000 * net.random() : 20_000);
    net.kill(leader, { silent });
    const killedAtMs = net.nowMs;
    net.run(60_000, () => net.agreed() !== undefined);
    return net.nowMs - killedAtMs;
  }).sort((a, b) => a - b);
}

test.for(['auto', 'quorum'] as const)('%s: another leads within a second of a kill that closes the sockets', (mode) => {
  expect(failovers(mode, false).at(-1)).toBeLessThan(1_000);
});

test.for(['auto', 'quorum'] as const)('%s: and within a second of finding the leader dead, where they stay open', (mode) => {
  expect(failovers(mode, true).at(-1)).toBeLessThan(14_400 + 1_000);
});

test.for(['auto', 'quorum'] as const)('%s: nothing is sent while nothing changes', (mode) => {
  const net = new ElectionSimulation({ seed: 7, mode, nodes: 8, loss: 0 });
  net.run(60_000);
  const before = net.messages;
  net.run(600_000);
  expect(net.messages - before).toBe(0);
});

test.for(['auto', 'quorum'] as const)('%s: nobody is said to lead before it does, when all start anew', (mode) => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const net = new ElectionSimulation({ seed, mode, nodes: [3, 5, 8][seed % 3] ?? 3 });
    for (const life of ['first', 'second']) {
      net.run(60_000, () => {
        const leading = net.leading();
        const said = net.nodes.flatMap(({ state }) => state?.leader ?? []);
        if (leading.length === 0 && said.length > 0)
          throw new Error(`seed ${seed}: in its ${life} life ${said[0]} is said to lead`);
        return leading.length > 0;
      });
      net.run(60_000);
      for (const node of net.nodes) net.kill(node, { silent: false });
      for (const node of net.nodes) net.start(node);
    }
  }
});

test('auto: a lower id that comes back is said to lead when it does, and not before', () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const net = new ElectionSimulation({ seed, mode: 'auto', nodes: 5, loss: 0 });
    net.run(60_000);
    const [leader] = net.leading();
    if (leader === undefined) throw new Error(`seed ${seed} has no leader after a minute`);
    net.kill(leader, { silent: false });
    net.run(10_000);
    expect(net.leading()).not.toContain(leader);
    net.start(leader);
    net.run(60_000, () => {
      const leads = leader.state?.role === 'leader';
      expect(leads || net.nodes.every(({ state }) => state?.leader !== leader.id)).toBe(true);
      return leads;
    });
    net.run(1_000);
    expect(net.agreed()).toBe(leader.id);
  }
});

test('a cluster of voters that all start anew has a leader within 15 s', () => {
  const net = new ElectionSimulation({ seed: 3, mode: 'quorum', nodes: 5, loss: 0 });
  net.run(30_000);
  for (const node of net.nodes) net.kill(node, { silent: false });
  for (const node of net.nodes) net.start(node);
  const startedAtMs = net.nowMs;
  net.run(60_000, () => net.agreed() !== undefined);
  expect(net.nowMs - startedAtMs).toBeLessThan(15_000);
});
