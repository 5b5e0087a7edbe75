import { Mesh, Router, systemClock, type Transport } from '@skein/mesh';
import { createIdentity } from '@skein/protocol';

/** A mesh with a key of its own that lets everybody in and serves nothing: for figures about sessions alone. */
export function openMesh(name: string, transports: readonly Transport[]): Mesh {
  const identity = createIdentity();
  return new Mesh({
    identity,
    name,
    boot: '0'.repeat(32),
    gatekeeper: {
      admitCaller: () => ({ admitted: true }),
      admitAnswer: () => ({ admitted: true }),
      expectedAt: () => undefined,
    },
    transports,
    router: new Router(),
    limits: { maxConcurrentCalls: 1_024, maxMessagesPerSecond: 100_000 },
    clock: systemClock,
    random: Math.random,
    onEvent: () => {},
    onInternalError: () => {},
  });
}
