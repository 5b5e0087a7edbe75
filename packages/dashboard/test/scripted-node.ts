import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import type { AgentEvent, OfferedTool } from '@skein/agent';
import { createGateway, type NodeStatus, type PeerStatus, readAssets } from '@skein/gateway';
import { type PeerId, peerIdOf } from '@skein/protocol';
import { ScriptedBackend, type ScriptedBackendParts, type ScriptedTurn } from '@skein/testing';

export const TOKEN = 'a-token-for-tests-only';

/** Builds the page into a folder, as `npm run build` does, and returns the folder as a URL. */
export async function buildPage(folder: string): Promise<URL> {
  const vite = fileURLToPath(new URL('bin/vite.js', import.meta.resolve('vite/package.json')));
  const cwd = fileURLToPath(new URL('..', import.meta.url));
  await promisify(execFile)(process.execPath, [vite, 'build', '--outDir', folder, '--emptyOutDir', '--logLevel', 'error'], {
    cwd,
    env: {},
  });
  return pathToFileURL(`${folder}/`);
}

function idOf(number: number): PeerId {
  return peerIdOf(new Uint8Array(32).fill(number));
}

export const status: NodeStatus = {
  name: 'coordinator',
  peerId: idOf(1),
  fingerprint: 'amber canyon delta orbit velvet tundra',
  version: '0.1.0',
  port: 7777,
  startedAtMs: 1_790_000_000_000,
  brain: {
    name: 'intents (built in)',
    hint: 'Set OPENAI_API_KEY or ANTHROPIC_API_KEY, or start Ollama, and restart for a brain that understands more.',
  },
};

function tool(peer: string | null, name: string, rest: Omit<OfferedTool, 'name' | 'peer'>): OfferedTool {
  return { ...rest, name: peer === null ? name : `${peer}/${name}`, ...(peer === null ? {} : { peer }) };
}

/** The tools a worker shares. */
export function toolsOf(peer: string): OfferedTool[] {
  return [
    tool(peer, 'system_info', {
      description: 'CPU, memory, disks, load and uptime of this machine.',
      input: { type: 'object', properties: {}, additionalProperties: false },
      effect: 'read',
      examples: [
        { say: 'how full is the disk', input: {} },
        { say: 'which has the most free memory', input: {} },
      ],
    }),
    tool(peer, 'shell_exec', {
      description: 'Runs a program of the allow-list in its working directory and gives its exit code and output.',
      input: {
        type: 'object',
        properties: {
          command: { type: 'string', description: 'A program and its arguments, split without a shell' },
          timeoutMs: { type: 'integer', default: 10_000, description: 'Time it may take' },
          mode: { type: 'string', enum: ['text', 'lines'] },
          merge: { type: 'boolean', description: 'Standard error into the output' },
          env: { type: 'object', additionalProperties: { type: 'string' } },
        },
        required: ['command'],
        additionalProperties: false,
      },
      effect: 'at-most-once',
      examples: [{ say: 'run {command}', input: { command: '{command}' } }],
    }),
    tool(peer, 'read_file', {
      description: 'Reads a text file under the shared folder.',
      input: { type: 'object', properties: { path: { type: 'string' } }, required: ['path'], additionalProperties: false },
      effect: 'read',
      examples: [{ say: 'show the log', input: { path: 'log' } }],
    }),
  ];
}

/** A worker as the coordinator sees it. */
export function peer(name: string, number: number, change: Partial<PeerStatus> = {}): PeerStatus {
  return {
    id: idOf(number),
    name,
    state: 'connected',
    trust: 'tool',
    address: `ws://127.0.0.1:${7_777 + number}`,
    latencyMs: 0.8 + number,
    lastSeenAtMs: status.startedAtMs,
    tools: toolsOf(name),
    dialect: 'skein',
    transport: 'websocket',
    notProtected: [],
    brain: null,
    load: null,
    problem: null,
    ...change,
  };
}

/** Peers as the demo network has them. */
export const peers: readonly PeerStatus[] = [peer('us-monitor', 2), peer('eu-monitor', 3)];

/** A turn that calls a remote tool and answers, told in pieces. */
export async function* diskTurn(turn: ScriptedTurn): AsyncGenerator<AgentEvent> {
  const call = { id: 'call-1', name: 'us-monitor/system_info', peer: 'us-monitor' };
  yield { type: 'turn-start', turnId: 't1', sessionId: turn.request.sessionId, brain: 'intents' };
  yield { type: 'text-delta', text: 'Looking at **us-monitor**. ' };
  yield { type: 'tool-call', ...call, input: { part: 'disk' } };
  yield { type: 'tool-output', id: call.id, delta: 'reading mounts\n' };
  yield { type: 'tool-result', ...call, ok: true, ms: 42, output: { disk: { path: '/', usedPercent: 61 } } };
  yield { type: 'text-delta', text: 'The disk is ' };
  yield { type: 'text-delta', text: '**61 %** full.' };
  yield {
    type: 'answer',
    text: 'The disk is **61 %** full.',
    toolCalls: [{ name: call.name, peer: call.peer, ms: 42, ok: true }],
  };
}

export interface ScriptedNodeOptions {
  readonly page: URL;
  readonly script?: Partial<ScriptedBackendParts>;
  readonly port?: number;
  /** A node that was there before, in place of a new one. */
  readonly backend?: ScriptedBackend;
}

/** The real gateway with the real page, over a scripted node. */
export async function startScriptedNode({ page, script, port, backend: known }: ScriptedNodeOptions) {
  const tools = peers.flatMap((one) => one.tools);
  const backend = known ?? new ScriptedBackend({ status, peers, tools, ask: diskTurn, ...script });
  const gateway = createGateway({
    backend,
    token: TOKEN,
    allowedHosts: ['localhost', '127.0.0.1'],
    assets: await readAssets(page),
    now: () => performance.now(),
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
  });
  const server = createServer((incoming, outgoing) => void gateway.listener(incoming, outgoing));
  await new Promise<void>((resolve) => server.listen(port ?? 0, '127.0.0.1', resolve));
  // Proven: a server listening on a host and port has an AddressInfo.
  const bound = (server.address() as AddressInfo).port;
  return {
    backend,
    gateway,
    port: bound,
    url: `http://localhost:${bound}/`,
    link: `http://localhost:${bound}/#token=${TOKEN}`,
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
