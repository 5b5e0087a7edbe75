// Peers that only call, many in one process, told what to do over its channel.
import { randomBytes } from 'node:crypto';
import { createWebSocketTransport, Mesh, type Peer, Router, systemClock } from '@skein/mesh';
import { parseIdentity, SkeinError, toolsCall } from '@skein/protocol';
import type { CallerRequest, CallerResult } from './messages.ts';

const { signal } = new AbortController();
const peers: Peer[] = [];
const meshes: Mesh[] = [];

process.on('message', (request: CallerRequest) => {
  run(request).then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});

process.on('disconnect', () => {
  for (const mesh of meshes) void mesh[Symbol.asyncDispose]();
});

async function run(request: CallerRequest): Promise<CallerResult | undefined> {
  switch (request.type) {
    case 'connect':
      for (const [index, pem] of request.identities.entries()) peers.push(await connect(pem, `caller-${index}`, request.url));
      return undefined;
    case 'call':
      return measure(request, false);
    case 'abuse':
      return measure(request, true);
  }
}

async function connect(pem: string, name: string, url: string): Promise<Peer> {
  const mesh = new Mesh({
    identity: parseIdentity(pem),
    name,
    boot: randomBytes(16).toString('hex'),
    gatekeeper: {
      admitCaller: () => ({ admitted: false, code: 'untrusted' }),
      admitAnswer: () => ({ admitted: true }),
      expectedAt: () => undefined,
    },
    transports: [createWebSocketTransport()],
    router: new Router(),
    limits: { maxConcurrentCalls: 1, maxMessagesPerSecond: 1_000 },
    clock: systemClock,
    random: Math.random,
    onEvent: () => {},
    onInternalError: () => {},
  });
  meshes.push(mesh);
  return mesh.dial(url, { signal });
}

/** Calls from every peer, so many at once from each; an abuser calls again at once whatever it is told. */
async function measure(
  { durationMs, inFlight, everyMs }: Extract<CallerRequest, { inFlight: number }>,
  abuse: boolean,
): Promise<CallerResult> {
  const endAtMs = performance.now() + durationMs;
  const latenciesMs: number[] = [];
  const failures: Record<string, number> = {};
  let toldWhen = 0;
  const caller = async (peer: Peer) => {
    for (let nextAtMs = performance.now(); nextAtMs < endAtMs; nextAtMs += everyMs) {
      const sinceMs = performance.now();
      try {
        await peer.call(toolsCall, { tool: 'echo', input: { text: 'x'.repeat(abuse ? 1 : 500) } }, { timeoutMs: 10_000 });
        latenciesMs.push(performance.now() - sinceMs);
      } catch (thrown) {
        const error = SkeinError.from(thrown);
        failures[error.code] = (failures[error.code] ?? 0) + 1;
        if ((error.retryAfterMs ?? 0) > 0) toldWhen += 1;
        if (!peer.isOpen) return;
      }
      const restMs = nextAtMs + everyMs - performance.now();
      if (restMs > 0) await new Promise((resolve) => setTimeout(resolve, restMs));
      else nextAtMs = performance.now() - everyMs;
    }
  };
  await Promise.all(peers.flatMap((peer) => Array.from({ length: inFlight }, () => caller(peer))));
  latenciesMs.sort((a, b) => a - b);
  const at = (share: number) => latenciesMs[Math.floor(share * (latenciesMs.length - 1))] ?? 0;
  return { answered: latenciesMs.length, failures, toldWhen, p50Ms: at(0.5), p99Ms: at(0.99) };
}
