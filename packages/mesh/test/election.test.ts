import { measured, sized, sizedTimeout } from '@skein/testing';
import { expect, test } from 'vitest';
import { ElectionSimulation, type SimulatedNode, type SimulationOptions } from './election-simulation.ts';

/** A minute and a half of faults, then none; throws with the seed when something that must hold does not. */
function live(options: SimulationOptions, meanwhile: (net: ElectionSimulation) => void = () => {}): ElectionSimulation {
  const net = new ElectionSimulation(options);
  meanwhile(net);
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
  keepActing(net);
  net.run(100_000);
  net.mend();
  net.loss = 0;
  net.run(30_000);
  return net;
}

/** Leaders act now and then, which takes a lease each time. */
function keepActing(net: ElectionSimulation): void {
  for (const node of net.leading()) net.take(node, { type: 'renew' });
  net.at(3_000 * net.random(), () => keepActing(net));
}

function fail(): never {
  throw new Error('there are nodes');
}

function failure(options: SimulationOptions, cause: unknown): Error {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new Error(`${JSON.stringify(options)}: ${text}`, { cause });
}

/** Runs a simulation for each seed; a failure names the options that replay it. */
function each(
  seeds: number,
  mode: 'auto' | 'quorum',
  check: (net: ElectionSimulation) => void,
  meanwhile?: (net: ElectionSimulation) => void,
): void {
  for (let seed = 1; seed <= seeds; seed += 1) {
    const options: SimulationOptions = { seed, mode, nodes: [3, 5, 8][seed % 3] ?? 3 };
    try {
      check(live(options, meanwhile));
    } catch (cause) {
      throw failure(options, cause);
    }
  }
}

test('quorum: at most one leader a term and one lease at a time, and a leader for all once the faults are over', {
  timeout: sizedTimeout({ ci: 120_000, full: 21_600_000 }),
}, () => {
  let terms = 0;
  const seeds = sized({ ci: 1_000, full: 80_000 });
  each(seeds, 'quorum', (net) => {
    terms += net.leadersByTerm.size;
    expect(net.agreed()).toBeDefined();
  });
  expect(terms).toBeGreaterThan(2_000);
  measured('simulation', { counts: { seeds, terms } });
});

test('quorum: a voter taken out on one node after the other, amid faults, gives no term and no lease to two', {
  timeout: sizedTimeout({ ci: 60_000, full: 7_200_000 }),
}, () => {
  const seeds = sized({ ci: 300, full: 20_000 });
  const check = (net: ElectionSimulation) => {
    const [leader, ...more] = net.leading();
    expect(more).toEqual([]);
    // The one that was taken out asks for no votes: of a leader it knows what it was told, and an answer may be lost here.
    const [, ...voters] = net.nodes;
    expect(voters.map(({ state }) => state?.leader)).toEqual(voters.map(() => leader?.id ?? 'nobody'));
    expect(voters).toContain(leader);
  };
  each(seeds, 'quorum', check, (net) => {
    // The one with the lowest id, which leads more often than others.
    const left = net.nodes.map((_, place) => place).filter((place) => place > 0);
    for (const node of net.nodes) net.at(90_000 * net.random(), () => net.name(node, left));
  });
  measured('simulation', { counts: { seeds } });
});

test('quorum: nodes that see each other and name voters differently never both lead, and lead once they name the same', {
  timeout: sizedTimeout({ ci: 60_000, full: 3_600_000 }),
}, () => {
  const seeds = sized({ ci: 200, full: 10_000 });
  let led = 0;
  for (let seed = 1; seed <= seeds; seed += 1) {
    const options: SimulationOptions = { seed, mode: 'quorum', nodes: 5, loss: 0, listsApart: true };
    const net = new ElectionSimulation(options);
    const { random } = net;
    net.run(30_000);
    // Two camps, each with a list by which it is a majority, and which names some of the other camp.
    const first = [0, 1, 2, 3, 4].filter(() => random() < 0.5);
    const second = [0, 1, 2, 3, 4].filter((place) => !first.includes(place));
    const withSome = (own: readonly number[], other: readonly number[]) => [
      ...own,
      ...other.slice(0, Math.max(1, own.length - 1)),
    ];
    for (const node of net.nodes) net.kill(node, { silent: false });
    for (const [place, node] of net.nodes.entries()) {
      node.named = first.includes(place) ? withSome(first, second) : withSome(second, first);
      net.start(node);
    }
    keepActing(net);
    for (let pause = 0; pause < 6; pause += 1) {
      net.at(60_000 * random(), () =>
        net.pause(net.nodes[Math.floor(random() * 5)] ?? net.nodes[0] ?? fail(), 8_000 * random()),
      );
    }
    try {
      net.run(90_000);
      led += net.leading().length;
      for (const node of net.nodes) net.name(node, [0, 1, 2, 3, 4]);
      net.run(30_000);
      expect(net.agreed()).toBeDefined();
    } catch (cause) {
      throw failure(options, cause);
    }
  }
  expect(led).toBeLessThanOrEqual(seeds);
  measured('simulation', { counts: { seeds, led } });
});

test('auto: all follow the lowest id once the faults are over', {
  timeout: sizedTimeout({ ci: 60_000, full: 7_200_000 }),
}, () => {
  const seeds = sized({ ci: 300, full: 10_000 });
  each(seeds, 'auto', (net) => {
    expect(net.agreed()).toBe(net.nodes[0]?.id);
  });
  measured('simulation', { counts: { seeds } });
});

/** Clusters whose leader is killed. */
const CLUSTERS = sized({ ci: 60, full: 1_000 });
const SLOW = { timeout: sizedTimeout({ ci: 30_000, full: 900_000 }) };

/** How long after a kill of the leader all others have another one, for each of many clusters. */
function failovers(mode: 'auto' | 'quorum', silent: boolean): number[] {
  return Array.from({ length: CLUSTERS }, (_, index) => {
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

test.for(['auto', 'quorum'] as const)('%s: another leads within a second of a kill that closes the sockets', SLOW, (mode) => {
  const closedMs = failovers(mode, false).at(-1) ?? 0;
  expect(closedMs).toBeGreaterThan(0);
  expect(closedMs).toBeLessThan(1_000);
  measured('failover', { counts: { simulated: CLUSTERS }, peaks: { closedMs } });
});

test.for(['auto', 'quorum'] as const)(
  '%s: and within a second of finding the leader dead, where they stay open',
  SLOW,
  (mode) => {
    const times = failovers(mode, true);
    const silentMs = times.at(-1) ?? Number.POSITIVE_INFINITY;
    expect(silentMs).toBeLessThan(14_400 + 1_000);
    measured('failover', { counts: { simulated: CLUSTERS }, peaks: { silentMs }, p99s: { silentP99Ms: times } });
  },
);

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
