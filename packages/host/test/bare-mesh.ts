import { type Clock, createWebSocketTransport, loadOrCreateIdentity, Mesh, Router, systemClock } from '@skein/mesh';
import type { TestHost } from './nodes.ts';

/** A peer that runs none of the node's code above the mesh, with the key of a node that was not started. */
export function bareMesh(node: Pick<TestHost, 'file' | 'name'>, router = new Router(), clock: Clock = systemClock): Mesh {
  return new Mesh({
    identity: loadOrCreateIdentity(node.file('key')),
    name: node.name,
    boot: '0'.repeat(32),
    gatekeeper: {
      admitCaller: () => ({ admitted: false, code: 'untrusted' }),
      admitAnswer: () => ({ admitted: true }),
      expectedAt: () => undefined,
    },
    transports: [createWebSocketTransport()],
    router,
    limits: { maxConcurrentCalls: 10, maxMessagesPerSecond: 10_000 },
    clock,
    random: Math.random,
    onEvent: () => undefined,
    onInternalError: () => undefined,
  });
}
