import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type VoleEvent, type VoleHost, VoleNet, type VoleNetOptions, type VolePeer, voleIdOf } from '@skein/dialects';
import { loadOrCreateIdentity, systemClock } from '@skein/mesh';
import { formatKeyLine, type Json, type PublicIdentity, parseKeyLine, SkeinError } from '@skein/protocol';
import { type Contender, type Facts, fact } from '../contender.ts';
import type { Payload } from '../payload.ts';
import { Places } from '../places.ts';

/** No rate of its own stands in the way of what is measured; a node takes 5,000 a second of one peer. */
const UNLIMITED = { messagesPerSecond: 1_000_000 } as const;
/** Calls of one peer that a node runs at once in this dialect; beyond, it says that it is busy, so the others wait here. */
const CALLS_AT_ONCE = 64;

/** Two of ours that speak VoleNet as a node does by default: Ed25519 and ML-DSA on every message, each message sealed. */
export const voleNet = createVoleContender({ name: 'volenet', title: 'Skein speaking VoleNet', options: UNLIMITED });

/** The same with Ed25519 signatures alone, in plain text: what most of its nodes speak. */
export const voleNetPlain = createVoleContender({
  name: 'volenet-plain',
  title: 'Skein speaking VoleNet, plain Ed25519',
  options: { ...UNLIMITED, hybrid: false, encryption: 'off' },
});

function createVoleContender(parts: {
  readonly name: string;
  readonly title: string;
  readonly options: Partial<VoleNetOptions>;
}): Contender {
  const { name, title, options } = parts;
  return {
    name,
    title,
    missing: () => null,

    async prepare() {
      const root = await mkdtemp(path.join(tmpdir(), 'skein-bench-vole-'));
      const keys = Object.fromEntries(
        ['server', 'client'].map((side) => [side, formatKeyLine(loadOrCreateIdentity(path.join(root, side)), side)]),
      );
      return { facts: { ...keys, root }, [Symbol.asyncDispose]: () => rm(root, { recursive: true }) };
    },

    async serve(facts) {
      const net = createVoleNet({ facts, side: 'server', other: 'client', options });
      const server = createServer((request, response) => net.onRequest(request, response));
      server.on('upgrade', (request, socket, head) => net.onUpgrade(request, socket, head));
      await once(server.listen(0, '127.0.0.1'), 'listening');
      await net.start();
      const address = server.address();
      if (address === null || typeof address === 'string') throw new Error('The system gave no port');
      return {
        facts: { url: `http://127.0.0.1:${address.port}` },
        async [Symbol.asyncDispose]() {
          await net[Symbol.asyncDispose]();
          server.close();
          server.closeAllConnections();
        },
      };
    },

    async connect(facts) {
      const { promise, resolve } = Promise.withResolvers<VolePeer>();
      const onEvent = (event: VoleEvent) => {
        if (event.type === 'tools-changed' && event.peer.tools.length > 0) resolve(event.peer);
      };
      const net = createVoleNet({ facts, side: 'client', other: 'server', options, onEvent });
      await net.start();
      net.setPeers([{ url: fact(facts, 'url') }]);
      const peer = await promise;
      const places = new Places(CALLS_AT_ONCE);
      return {
        async call(argument) {
          const { signal } = new AbortController();
          const answer = await places.run(() => peer.callTool('echo', { ...argument }, { signal }));
          // Proven: the tool gives its input back, and measureCalls looks at it.
          return answer as unknown as Payload;
        },
        [Symbol.asyncDispose]: () => net[Symbol.asyncDispose](),
      };
    },
  };
}

interface Side {
  readonly facts: Facts;
  readonly side: 'server' | 'client';
  readonly other: 'server' | 'client';
  readonly options: Partial<VoleNetOptions>;
  readonly onEvent?: (event: VoleEvent) => void;
}

function createVoleNet({ facts, side, other, options, onEvent = () => {} }: Side): VoleNet {
  const root = fact(facts, 'root');
  const { identity: trusted, name } = parseKeyLine(fact(facts, other));
  const host = createVoleHost({ side, keyPath: path.join(root, side), trusted, name, onEvent });
  return new VoleNet({ host, directory: path.join(root, `${side}-volenet`), options });
}

/** A node that trusts one other and has one tool, which gives its input back. */
function createVoleHost(parts: {
  readonly side: 'server' | 'client';
  readonly keyPath: string;
  readonly trusted: PublicIdentity;
  readonly name: string;
  readonly onEvent: (event: VoleEvent) => void;
}): VoleHost {
  const { side, keyPath, trusted, name, onEvent } = parts;
  let mlDsa: string | undefined;
  const trustedId = voleIdOf(trusted);
  const isServer = side === 'server';
  return {
    identity: loadOrCreateIdentity(keyPath),
    name: side,
    version: '0.1.0',
    clock: systemClock,
    random: Math.random,
    role: () => 'peer',
    endpoint: () => '',
    find: (id) => (id === trustedId ? { identity: trusted, name, mlDsa } : undefined),
    decide: (_peer, grant) =>
      grant === 'presence' || (isServer && grant === 'tools')
        ? { allowed: true }
        : { allowed: false, reason: 'only tools are shared here' },
    pinMlDsa: (_peer, key) => {
      mlDsa = key;
    },
    listTools: () =>
      isServer
        ? [{ name: 'echo', description: 'Gives its input back.', input: { type: 'object' }, effect: 'read', examples: [] }]
        : [],
    // Proven: what came as JSON is JSON.
    callTool: async (_peer, _name, input) => input as Json,
    runTask: () => Promise.reject(nothingElse()),
    memoryWritten: () => {
      throw nothingElse();
    },
    searchMemory: () => Promise.reject(nothingElse()),
    sessionWritten: () => {
      throw nothingElse();
    },
    chatReceived: () => {
      throw nothingElse();
    },
    leaderSeen: () => {},
    leaderClaimed: () => false,
    onEvent,
  };
}

function nothingElse(): SkeinError {
  return new SkeinError('This node only gives back what it is told', { code: 'unsupported' });
}
