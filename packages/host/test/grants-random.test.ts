import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Tool, ToolSet } from '@skein/agent';
import { formatTrustLine, Invites, KnownNodes, parseTrustLine, Router, TrustStore } from '@skein/mesh';
import { createIdentity, formatKeyLine, GRANTS, type Identity, type PeerId, SkeinError } from '@skein/protocol';
import { measured, TestNetwork, VirtualClock } from '@skein/testing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Authority } from '../src/authority.ts';
import { netConfig } from '../src/config/net.ts';
import { ShareTools } from '../src/features/share-tools.ts';
import { modelAllows, type PeerEntry, type Sharing, type Standing } from './grants-model.ts';

const TOOLS = ['shell_exec', 'shell_kill', 'read_file', 'system_info', 'a', 'x'.repeat(64)];
const PEERS = 50;
const BATCHES = 20;
const CONFIGS_PER_BATCH = 100;

const level = fc.constantFrom('full', 'tool', 'read');
const pattern = fc.constantFrom('*', 'shell_*', 'shell_exec', 'read_*', 's*', 'a', 'system_info', 'none', 'shell_exec_more');
const patterns = fc.array(pattern, { maxLength: 3 });
const standing: fc.Arbitrary<Standing> = fc.record({
  trust: level,
  allowBrain: fc.boolean(),
  allowTools: fc.option(patterns, { nil: undefined }),
  denyTools: patterns,
  revoked: fc.boolean(),
});
const entry: fc.Arbitrary<PeerEntry> = fc.record(
  { trust: level, allowBrain: fc.boolean(), allowTools: patterns, denyTools: patterns },
  { requiredKeys: [] },
);
const sharing: fc.Arbitrary<Sharing> = fc.record({
  tools: fc.boolean(),
  toolAllow: fc.oneof(fc.constant(['*']), patterns),
  memory: fc.boolean(),
  session: fc.boolean(),
});

/** Who a peer is here: in the trust file or not, in the configuration or not. */
const peers = fc.array(fc.record({ standing: fc.option(standing, { nil: undefined, freq: 8 }) }), {
  minLength: PEERS,
  maxLength: PEERS,
});
const configuration = fc.record({
  share: sharing,
  entries: fc.array(fc.option(entry, { nil: undefined, freq: 2 }), { minLength: PEERS, maxLength: PEERS }),
});

/** All of a run follows from one number, so that a failure tells little and can be run again. */
const seed = fc.integer();

/** A trust file with these peers, and who may do what by it and a configuration that may be put in place of another. */
async function openAuthority(
  identities: readonly Identity[],
  standings: readonly (Standing | undefined)[],
): Promise<{
  readonly authority: Authority;
  readonly configure: (net: unknown) => void;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}> {
  const directory = mkdtempSync(join(tmpdir(), 'skein-grants-'));
  const path = join(directory, 'authorized_peers');
  const lines = standings.flatMap((one, index) => {
    const identity = identities[index];
    if (one === undefined || identity === undefined) return [];
    return [formatTrustLine({ ...parseTrustLine(formatKeyLine(identity, `peer-${index}`)), ...one })];
  });
  writeFileSync(path, `${lines.join('\n')}\n`, { mode: 0o600 });
  const trust = new TrustStore({ path });
  await trust.start();
  let net = netConfig.parse({});
  const authority = new Authority({
    trust,
    invites: new Invites({ directory: join(directory, 'invites'), now: Date.now }),
    known: new KnownNodes({ path: join(directory, 'known_nodes') }),
    net: () => ({ ...net, keyPath: '' }),
    onPaired: () => {},
    onRotation: () => {},
  });
  return {
    authority,
    configure: (input) => {
      net = netConfig.parse(input);
      authority.changed();
    },
    [Symbol.asyncDispose]: async () => {
      await trust[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

test('100,000 random configurations decide as the reference model does, for every grant and tool', {
  timeout: 60_000,
}, async () => {
  const identities = Array.from({ length: PEERS }, () => createIdentity());
  const keyLines = identities.map((identity, index) => formatKeyLine(identity, `peer-${index}`));
  let decided = 0;
  const property = fc.asyncProperty(seed, async (from) => {
    const [standings = []] = fc.sample(peers, { seed: from, numRuns: 1 });
    const configurations = fc.sample(configuration, { seed: from, numRuns: CONFIGS_PER_BATCH });
    await using net = await openAuthority(
      identities,
      standings.map((one) => one.standing),
    );
    for (const { share, entries } of configurations) {
      const named = entries.flatMap((one, index) =>
        one === undefined ? [] : [{ url: `ws://127.0.0.1:1/${index}`, key: keyLines[index], ...one }],
      );
      net.configure({ share, peers: named });
      for (const [index, { id }] of identities.entries()) {
        const refined = entries[index];
        const one = { standing: standings[index]?.standing, share, ...(refined === undefined ? {} : { entry: refined }) };
        decided += 1;
        for (const grant of GRANTS) {
          const want = modelAllows({ grant }, one);
          const got = net.authority.decide(id, grant);
          if (got.allowed !== want) throw new Error(`${grant}: ${JSON.stringify({ want, got, ...one })}`);
        }
        for (const tool of TOOLS) {
          const want = modelAllows({ grant: 'tools', tool }, one);
          const got = net.authority.decide(id, 'tools', tool);
          if (got.allowed !== want) throw new Error(`${tool}: ${JSON.stringify({ want, got, ...one })}`);
        }
      }
    }
  });
  await fc.assert(property, { numRuns: BATCHES, endOnFailure: true });
  expect(decided).toBeGreaterThanOrEqual(100_000);
  measured('permissions', { counts: { configurations: decided } });
});

const OPEN = { trust: 'tool', revoked: false, allowTools: undefined, denyTools: [] } as const;

/** A node that shares a few tools, and counts how often each ran. */
function openSharing(authority: Authority, self: PeerId, network: TestNetwork) {
  const ran: string[] = [];
  const tools = new ToolSet({
    ownName: 'callee',
    routing: () => ({}),
    loadOf: () => 0,
    local: TOOLS.map((name) => toolOf(name, ran)),
  });
  const node = network.add('callee');
  const share = new ShareTools({
    self,
    tools,
    keptBack: new Set(),
    toolTimeoutMs: () => 120_000,
    router: new Router(),
    mesh: node.mesh,
    maySee: (peer, tool) => authority.decide(peer, 'tools', tool).allowed,
    onEvent: () => {},
    onServed: () => {},
    nameOf: (peer) => peer,
    clock: new VirtualClock(),
  });
  return { share, ran };
}

function toolOf(name: string, ran: string[]): Tool {
  return {
    untrusted: false,
    descriptor: { name, description: name, input: { type: 'object' }, effect: 'at-most-once', examples: [] },
    run: async () => {
      ran.push(name);
      return null;
    },
  };
}

test('10,000 random chains: a call on behalf of others does only what its caller and each of them may', {
  timeout: 60_000,
}, async () => {
  const self = createIdentity();
  const identities = Array.from({ length: 12 }, () => createIdentity());
  // The last is in no trust file anywhere, and the node itself stands in chains that came by it.
  const everybody = [...identities, self, createIdentity()];
  const place = fc.nat({ max: everybody.length - 1 });
  const call = fc.record({
    caller: place,
    chain: fc.array(place, { maxLength: 8 }),
    tool: fc.constantFrom(...TOOLS),
  });
  let allowedCalls = 0;
  let deniedByChain = 0;
  const property = fc.asyncProperty(seed, async (from) => {
    const standings = fc.sample(standing, { seed: from, numRuns: identities.length });
    const [share] = fc.sample(sharing, { seed: from, numRuns: 1 });
    const made = fc.sample(call, { seed: from, numRuns: 100 });
    if (share === undefined) throw new Error('one is drawn');
    // Mostly open, so that it is often the chain alone that decides.
    const open = { ...share, tools: true, toolAllow: ['*', ...share.toolAllow] };
    const lenient = standings.map((one, index) => (index % 4 === 0 ? one : { ...one, ...OPEN }));
    await using network = new TestNetwork();
    await using net = await openAuthority(identities, lenient);
    net.configure({ share: open });
    const { share: shared, ran } = openSharing(net.authority, self.id, network);
    const mayAll = (index: number, tool: string) =>
      modelAllows({ grant: 'tools', tool }, { standing: lenient[index], share: open });
    for (const { caller, chain, tool } of made) {
      const before = ran.length;
      const ids = chain.map((index) => everybody[index]?.id ?? self.id);
      const peer = { id: everybody[caller]?.id ?? self.id, name: 'caller' };
      const context = { peer, signal: new AbortController().signal, emit: async () => {} };
      const code = await shared.call({ tool, input: {}, onBehalfOf: ids }, context).then(
        () => 'done',
        (thrown: unknown) => SkeinError.from(thrown).code,
      );
      const chainMay = chain.every((index) => everybody[index] === self || mayAll(index, tool));
      const want = mayAll(caller, tool) && chainMay;
      if (want) allowedCalls += 1;
      if (mayAll(caller, tool) && !chainMay) deniedByChain += 1;
      expect(ran.length - before, JSON.stringify({ caller, chain, tool })).toBe(want ? 1 : 0);
      if (!want) expect(['denied', 'not-found']).toContain(code);
    }
    shared.close();
  });
  await fc.assert(property, { numRuns: 100, endOnFailure: true });
  expect(allowedCalls).toBeGreaterThan(500);
  expect(deniedByChain).toBeGreaterThan(500);
  measured('permissions', { counts: { chains: 10_000 } });
});
