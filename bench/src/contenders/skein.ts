import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { defineTool, type Tool } from '@skein/agent';
import { createHost, type Host, loadConfig } from '@skein/host';
import { formatTrustLine, loadOrCreateIdentity, parseTrustLine } from '@skein/mesh';
import { formatKeyLine } from '@skein/protocol';
import { z } from 'zod';
import { type Contender, fact } from '../contender.ts';
import type { Payload } from '../payload.ts';

/** A tool of the program that runs the node: its schema is checked at each call. */
const echo = defineTool({
  name: 'echo',
  description: 'Gives its input back.',
  effect: 'read',
  input: z.object({
    path: z.string(),
    lines: z.array(z.int()),
    options: z.object({ follow: z.boolean(), encoding: z.string() }),
    text: z.string(),
  }),
  run: (input) => input,
});

/** Two whole nodes as they are used: signed, encrypted, schema-checked, authorised. */
export const skein: Contender = {
  name: 'skein',
  title: 'Skein remote tool',
  missing: () => null,

  async prepare() {
    const root = await mkdtemp(path.join(tmpdir(), 'skein-bench-'));
    const [server, client] = [path.join(root, 'server'), path.join(root, 'client')];
    await mkdir(server);
    await mkdir(client);
    const trusted = formatKeyLine(loadOrCreateIdentity(path.join(client, 'key')), 'client');
    const line = formatTrustLine({ ...parseTrustLine(trusted), trust: 'tool' });
    await writeFile(path.join(server, 'authorized_peers'), `${line}\n`, { mode: 0o600 });
    return { facts: { server, client }, [Symbol.asyncDispose]: () => rm(root, { recursive: true }) };
  },

  async serve(facts) {
    const dataDir = fact(facts, 'server');
    const host = openNode('server', dataDir, [echo]);
    const { port } = await host.start();
    const key = formatKeyLine(loadOrCreateIdentity(path.join(dataDir, 'key')), 'server');
    return { facts: { key, url: `ws://127.0.0.1:${port}` }, [Symbol.asyncDispose]: () => host[Symbol.asyncDispose]() };
  },

  async connect(facts) {
    const dataDir = fact(facts, 'client');
    const line = formatTrustLine({ ...parseTrustLine(fact(facts, 'key')), url: fact(facts, 'url') });
    await writeFile(path.join(dataDir, 'authorized_peers'), `${line}\n`, { mode: 0o600 });
    const host = openNode('client', dataDir);
    await host.start();
    await toolsSeen(host);
    return {
      async call(argument) {
        // Each call with a signal of its own, as an agent's turn gives it.
        const { signal } = new AbortController();
        const answer = await host.backend.callTool({ name: 'server/echo', input: argument }, { signal });
        // Proven: the tool gives its input back, and measureCalls looks at it.
        return answer as unknown as Payload;
      },
      [Symbol.asyncDispose]: () => host[Symbol.asyncDispose](),
    };
  },
};

function openNode(name: string, dataDir: string, tools: readonly Tool[] = []): Host {
  const overrides = {
    name,
    dataDir,
    net: { host: '127.0.0.1', port: 0, share: { tools: true } },
    brain: { provider: 'none' },
    log: { level: 'silent' },
  } as const;
  return createHost({ loaded: loadConfig({ cwd: dataDir, env: {}, overrides }), tools });
}

/** Resolves when the other node's tools are there. */
async function toolsSeen(host: Host): Promise<void> {
  const watching = new AbortController();
  for await (const event of host.backend.events({ signal: watching.signal })) {
    if (event.type === 'tools-changed') break;
  }
  watching.abort();
}
