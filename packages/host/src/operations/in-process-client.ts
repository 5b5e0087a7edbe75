import { randomUUID } from 'node:crypto';
import type { GatewayBackend, GatewayClient } from '@skein/gateway';
import { SkeinError } from '@skein/protocol';

/** A node of this process behind the same face as one that is reached over HTTP. */
export function createInProcessClient(backend: GatewayBackend): GatewayClient {
  const never = new AbortController().signal;
  return {
    status: async () => backend.status(),
    peers: async () => backend.peers(),
    tools: async () => backend.tools(),
    sessions: async () => backend.sessions(),
    history: async (sessionId) => backend.history(sessionId),
    ask({ text, sessionId = randomUUID(), interactive = false }, { signal = never } = {}) {
      return backend.ask({ text, sessionId, interactive }, { signal });
    },
    async confirm(id, approve) {
      if (!backend.confirm(id, approve)) throw new SkeinError('Nothing waits for that answer any more', { code: 'not-found' });
    },
    call: ({ name, input }, { signal = never, onDelta } = {}) =>
      backend.callTool({ name, input }, { signal, ...(onDelta === undefined ? {} : { onDelta }) }),
    events: ({ signal = never } = {}) => backend.events({ signal }),
  };
}
