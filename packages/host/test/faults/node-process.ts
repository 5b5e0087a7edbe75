// One node in a process of its own, driven over its channel: `node-process.ts '<settings as JSON>'`.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createHost, loadConfig } from '@skein/host';
import { SkeinError } from '@skein/protocol';
import type { NodeMessage, NodeRequest, NodeSettings } from './messages.ts';

// Proven: fault-node.ts wrote it.
const { name, dataDir, port, net } = JSON.parse(process.argv[2] ?? '') as NodeSettings;
const overrides = {
  name,
  dataDir,
  net: { host: '127.0.0.1', port, share: { tools: true }, ...net },
  brain: { provider: 'none' },
  page: { enabled: false },
  log: { level: 'silent' },
} as const;
const options = { cwd: dataDir, env: {}, overrides };
const host = createHost({ loaded: loadConfig(options), watch: options });
const lag = monitorEventLoopDelay({ resolution: 5 });
const stopping = new AbortController();
let peakRssBytes = 0;
lag.enable();
setInterval(() => {
  peakRssBytes = Math.max(peakRssBytes, process.memoryUsage.rss());
}, 50).unref();

const ready = await host.start();
tell({ type: 'ready', port: ready.port, peerId: ready.peerId });
void watchEvents();

process.on('message', (request: NodeRequest) => {
  answer(request).then(
    (result) => tell({ type: 'answer', id: request.id, result }),
    (error: unknown) => tell({ type: 'answer', id: request.id, error: String(error) }),
  );
});

// The test has gone: so does its node.
process.on('disconnect', () => {
  stopping.abort();
  void host[Symbol.asyncDispose]();
});

async function watchEvents(): Promise<void> {
  for await (const event of host.backend.events({ signal: stopping.signal })) {
    if (event.type !== 'tool-served') tell({ type: 'event', event, atMs: Date.now() });
  }
}

async function answer(request: NodeRequest): Promise<unknown> {
  switch (request.type) {
    case 'load':
      return load(request);
    case 'stats': {
      const { rss } = process.memoryUsage();
      const stats = {
        rssBytes: rss,
        peakRssBytes: Math.max(rss, peakRssBytes),
        worstLagMs: lag.max / 1e6,
        peers: host.backend.peers(),
      };
      peakRssBytes = 0;
      lag.reset();
      return stats;
    }
  }
}

/** Calls one tool again and again, so many at a time, for a while. */
async function load(request: Extract<NodeRequest, { type: 'load' }>) {
  const { tool, inFlight, durationMs, bodyBytes, timeoutMs, everyMs = 0 } = request;
  const text = 'x'.repeat(bodyBytes);
  const startedAtMs = performance.now();
  const latenciesMs: number[] = [];
  const failures: Record<string, number> = {};
  let worstFailureMs = 0;
  let lastAnsweredAtMs = 0;
  const caller = async () => {
    do {
      const sinceMs = performance.now();
      try {
        await callOnce(tool, text, timeoutMs);
        latenciesMs.push(performance.now() - sinceMs);
        lastAnsweredAtMs = Date.now();
      } catch (thrown) {
        const error = SkeinError.from(thrown);
        failures[error.code] = (failures[error.code] ?? 0) + 1;
        worstFailureMs = Math.max(worstFailureMs, performance.now() - sinceMs);
        await pause(Math.max(20, error.retryAfterMs ?? 0));
      }
      const restMs = everyMs - (performance.now() - sinceMs);
      if (restMs > 0) await pause(restMs);
    } while (performance.now() - startedAtMs < durationMs);
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  latenciesMs.sort((a, b) => a - b);
  const at = (share: number) => latenciesMs[Math.floor(share * (latenciesMs.length - 1))] ?? 0;
  return {
    answered: latenciesMs.length,
    failures,
    worstFailureMs,
    lastAnsweredAtMs,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    worstMs: at(1),
    seconds: (performance.now() - startedAtMs) / 1_000,
  };
}

/** One call with a deadline that leaves nothing behind when the call is over. */
async function callOnce(tool: string, text: string, timeoutMs: number): Promise<void> {
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(new DOMException('', 'TimeoutError')), timeoutMs);
  try {
    await host.backend.callTool({ name: tool, input: { text } }, { signal: deadline.signal });
  } finally {
    clearTimeout(timer);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function tell(message: NodeMessage): void {
  if (process.connected) process.send?.(message);
}
