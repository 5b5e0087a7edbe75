import type { Tool } from '@skein/agent';
import type { ToolDescriptor } from '@skein/protocol';
import type { EgressOptions } from '../../sandbox/sandbox.ts';
import type { McpServerConfig } from './mcp-config.ts';
import type { PipedProcess } from './pipe-transport.ts';

/** A program to be started for a server, foreign code that gets nothing but what is named here. */
export interface ServerProgram {
  /** What to call it in messages. */
  readonly name: string;
  /** Program and arguments; a program without a slash is looked for where the system has its own. */
  readonly command: readonly string[];
  /** Absolute, as all paths here; undefined for an empty folder of its own. */
  readonly cwd: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly allow: {
    /** As in `SandboxGrants`. */
    readonly network: boolean | readonly string[];
    readonly childProcess: boolean;
    readonly read: readonly string[];
    readonly write: readonly string[];
    /** Not opened by a grant around it. */
    readonly hidden: readonly string[];
  };
  readonly egress: EgressOptions;
}

export interface McpServersParts {
  /** By the name that their tools' names begin with. */
  readonly servers: Readonly<Record<string, McpServerConfig>>;
  /** Where relative paths begin. */
  readonly root: string;
  /** Files and folders that no server may be let into: the node's keys, data and configuration. */
  readonly hidden: readonly string[];
  /** Where what `passEnv` and `headersEnv` name is looked up. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Names of tools that are in use already. */
  readonly taken: Iterable<string>;
  /** Starts a program so that it is held to what it is allowed; in a sandbox by default. */
  readonly spawn?: (program: ServerProgram) => Promise<PipedProcess>;
  /** This program's version, told to servers. */
  readonly version: string;
  /** The tools are others now. */
  readonly onTools: () => void;
  /** What a server lists now, for who keeps what it listed before. */
  readonly onListed?: (server: string, tools: readonly ToolDescriptor[]) => void;
  readonly onProblem: (server: string, problem: string) => void;
  /** Between 0 and 1. */
  readonly random?: () => number;
}

/** The servers of MCP of a node, and their tools. Dispose it to end them. */
export interface McpServers extends AsyncDisposable {
  /** What all of them have listed last. */
  readonly tools: readonly Tool[];
  /** Resolves once each server has listed its tools or failed to for the first time. */
  readonly firstTry: Promise<unknown>;
}

/**
 * Starts the configured servers, which may take as long as they will: their tools come and go with `onTools`.
 * @throws SkeinError `unauthenticated` when a named variable is not set, `denied` for a grant inside what is hidden.
 */
export async function startMcpServers(parts: McpServersParts): Promise<McpServers> {
  if (Object.keys(parts.servers).length === 0) {
    return { tools: [], firstTry: Promise.resolve(), [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  // The client of MCP takes a while to load, and most nodes need none.
  const { RunningServers } = await import('./running-servers.ts');
  return new RunningServers(parts);
}
