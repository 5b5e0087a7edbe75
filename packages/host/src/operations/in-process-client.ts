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
    ask({ sessionId = randomUUID(), interactive = false, ...request }, { signal = never } = {}) {
      return backend.ask({ ...request, sessionId, interactive }, { signal });
    },
    watchTask: (id, { signal = never } = {}) => backend.watchTask(id, { signal }),
    async confirm(id, approve) {
      if (!(await backend.confirm(id, approve)))
        throw new SkeinError('Nothing waits for that answer any more', { code: 'not-found' });
    },
    call: ({ name, input }, { signal = never, onDelta } = {}) =>
      backend.callTool({ name, input }, { signal, ...(onDelta === undefined ? {} : { onDelta }) }),
    tasks: async () => backend.tasks(),
    task: async (id) => backend.task(id),
    cancelTask: (id) => backend.cancelTask(id),
    retryTask: (id) => backend.retryTask(id),
    net: async () => backend.net(),
    messages: async (peer) => backend.messages(peer),
    sendMessage: (message, { signal = never } = {}) => backend.sendMessage(message, { signal }),
    events: ({ signal = never } = {}) => backend.events({ signal }),
  };
}
