import { measured, seeded, sized, sizedTimeout } from '@skein/testing';
import { expect, test } from 'vitest';
import { type FaultNode, FaultNodes } from './faults/fault-node.ts';
import { canMakeNamespaces, Switch } from './faults/namespaces.ts';
import { until } from './faults/skein-node.ts';

const VOTERS = 5;
const PARTITIONS = sized({ ci: 2, full: 100 });
/** A silent peer is taken for dead within this, and another leads soon after. */
const SETTLED_MS = 35_000;
const HEALED_MS = 10_000;

/** How a few are cut off from the others: what is lost is what they send, what they are sent, or both. */
const WAYS = ['both', 'from-few', 'to-few', 'both'] as const;

test.skipIf(!canMakeNamespaces())(
  'five voters cut apart on a real network, both ways and one way, never have two leaders of a term, and agree within 10 s of healing (needs root and `ip netns`: apt-get install -y iproute2)',
  { timeout: sizedTimeout({ ci: 150_000, full: 7_200_000 }) },
  async () => {
    using net = new Switch(VOTERS);
    await using nodes = new FaultNodes();
    const voters = await startVoters(nodes, net);
    await until('all agree at first', () => agree(voters), SETTLED_MS);
    const random = seeded(20_261_121);
    for (let round = 0; round < PARTITIONS; round += 1) {
      const way = WAYS[round % WAYS.length] ?? 'both';
      // Always a minority; every other time with their leader in it.
      const order = voters
        .map((node, at) => ({ node, at, by: round % 2 === 0 && leads(node) ? -1 : random() }))
        .sort((a, b) => a.by - b.by);
      const few = order.slice(0, 1 + Math.floor(2 * random()));
      const many = order.slice(few.length);
      const ends = (side: typeof order) => side.flatMap(({ at }) => net.ends[at] ?? []);
      const lost = [
        ...(way === 'to-few' ? [] : [[ends(few), ends(many)] as const]),
        ...(way === 'from-few' ? [] : [[ends(many), ends(few)] as const]),
      ];
      const cutAtMs = Date.now();
      const lastsMs = 1_000 + 17_000 * random();
      for (const [from, to] of lost) net.cut(from, to);
      await until('it lasted', () => Date.now() - cutAtMs > lastsMs);
      // Whoever leads them, it is one of theirs and all of them say so.
      await until('the many have a leader', () => agree(many.map(({ node }) => node)), SETTLED_MS);
      await until('none of the few leads', () => !few.some(({ node }) => leads(node)), HEALED_MS);
      const healedAtMs = Date.now();
      for (const [from, to] of lost) net.mend(from, to);
      await until('all agree', async () => agree(voters) && (await allMet(voters)), SETTLED_MS);
      const healedMs = Date.now() - healedAtMs;
      expect(healedMs, `partition ${round}, ${way}, ${few.length} of ${VOTERS}, ${lastsMs} ms`).toBeLessThan(HEALED_MS);
      assertOneLeaderATerm(voters);
      measured('partitions', { counts: { partitions: 1, oneWay: way === 'both' ? 0 : 1 }, peaks: { healedMs } });
    }
  },
);

/** Each in its own network namespace; each dials those before it. */
async function startVoters(nodes: FaultNodes, { ends }: Switch): Promise<readonly FaultNode[]> {
  const voters = ends.map(({ namespace, address }, at) =>
    nodes.make(`voter-${at}`, { namespace, net: { host: address, leader: 'quorum' } }),
  );
  for (const [place, node] of voters.entries()) {
    const lines = voters.flatMap((other, at) => {
      const url = at < place ? { url: `ws://${ends[at]?.address}:${other.port}` } : {};
      return other === node ? [] : [[other, { trust: 'tool', voter: true, ...url }] as const];
    });
    node.trusts(...lines);
    await node.start();
  }
  return voters;
}

/** Who leads which term, as a node said last. */
function viewOf(node: FaultNode) {
  const event = node.last('leader-changed');
  return event?.type === 'leader-changed' && event.leader !== null ? `${event.leader.id} ${event.term}` : undefined;
}

function leads(node: FaultNode): boolean {
  return viewOf(node)?.startsWith(`${node.identity.id} `) === true;
}

/** True when all of these say that the same one of them leads. */
function agree(nodes: readonly FaultNode[]): boolean {
  return new Set(nodes.map(viewOf)).size === 1 && nodes.some(leads);
}

async function allMet(nodes: readonly FaultNode[]): Promise<boolean> {
  const stats = await Promise.all(nodes.map((node) => node.stats()));
  return stats.every(({ peers }) => peers.filter(({ state }) => state === 'connected').length === nodes.length - 1);
}

/** Of all that any of them ever said of itself. */
function assertOneLeaderATerm(nodes: readonly FaultNode[]): void {
  const claims = nodes.flatMap((node) =>
    node.all('leader-changed').flatMap((event) => {
      const isMe = event.type === 'leader-changed' && event.leader?.id === node.identity.id;
      return isMe ? [{ term: event.term, id: node.identity.id }] : [];
    }),
  );
  expect(claims.length).toBeGreaterThan(0);
  for (const [term, of] of Map.groupBy(claims, (claim) => claim.term)) {
    expect(new Set(of.map(({ id }) => id)).size, `leaders of term ${term}`).toBe(1);
  }
}
