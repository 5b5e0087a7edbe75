import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Tool } from '@skein/agent';
import { type McpServers, type McpServersParts, mcpConfig, type ServerProgram, startMcpServers } from '../../src/index.ts';
import type { PipedProcess } from '../../src/tools/mcp/pipe-transport.ts';
import { until } from '../tool-fixture.ts';

export const SHOP = fileURLToPath(new URL('./shop-server.ts', import.meta.url));
export const HOSTILE = fileURLToPath(new URL('./hostile-server.ts', import.meta.url));

/** A server's program without a sandbox, for what is tested apart from it. */
export async function spawnPlain({ command, env, cwd }: ServerProgram): Promise<PipedProcess & { readonly pid: number }> {
  const [file = '', ...args] = command;
  const child = spawn(file, args, { env: { ...env }, cwd: cwd ?? '/', stdio: 'pipe', detached: true });
  await once(child, 'spawn');
  const closed = Promise.withResolvers<{ code: number | null; signal: string | null }>();
  child.once('close', (code, signal) => closed.resolve({ code, signal }));
  return {
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    closed: closed.promise,
    pid: child.pid ?? 0,
    kill: () => void child.kill('SIGKILL'),
  };
}

export interface Running extends AsyncDisposable {
  readonly servers: McpServers;
  readonly problems: string[];
  readonly pids: number[];
  /** How often the tools have changed. */
  readonly changes: () => number;
  readonly names: () => string[];
  readonly tool: (name: string) => Tool;
}

/** Servers of a configuration, after each has listed its tools or failed. */
export async function runServers(servers: object, more: Partial<McpServersParts> = {}): Promise<Running> {
  const problems: string[] = [];
  const pids: number[] = [];
  let changes = 0;
  const running = await startMcpServers({
    servers: mcpConfig.parse(servers),
    root: '/',
    hidden: [],
    environment: {},
    taken: [],
    version: '0.0.0',
    spawn: async (program) => {
      const started = await spawnPlain(program);
      pids.push(started.pid);
      return started;
    },
    onTools: () => {
      changes += 1;
    },
    onProblem: (server, problem) => problems.push(`${server}: ${problem}`),
    // Started again soon, for tests.
    random: () => 0.02,
    ...more,
  });
  await running.firstTry;
  return {
    servers: running,
    problems,
    pids,
    changes: () => changes,
    names: () => running.tools.map((tool) => tool.descriptor.name),
    tool(name) {
      const found = running.tools.find((tool) => tool.descriptor.name === name);
      if (found === undefined)
        throw new Error(`no tool ${name}: ${running.tools.map((tool) => tool.descriptor.name).join(', ')}`);
      return found;
    },
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}

/** The configuration of the shop over standard input and output. */
export function shop(more: object = {}): object {
  return { command: [process.execPath, SHOP], ...more };
}

/** The configuration of a server that does harm. */
export function hostile(how: string, more: object = {}): object {
  return { command: [process.execPath, HOSTILE, how], timeoutMs: 1_000, startTimeoutMs: 5_000, ...more };
}

/** Resolves once a process is gone. */
export function gone(pid: number): Promise<void> {
  return until(() => {
    try {
      process.kill(pid, 0);
      return false;
    } catch {
      return true;
    }
  });
}
