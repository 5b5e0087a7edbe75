import { createDatabaseTools, type McpServers, startMcpServers } from '@skein/adapters';
import type { Tool } from '@skein/agent';
import type { SkeinError, ToolDescriptor } from '@skein/protocol';
import type { Environment } from '../config/environment.ts';
import type { NodeConfig } from '../config/load-config.ts';
import type { HostEvent } from '../events.ts';
import { VERSION } from '../version.ts';
import { KnownTools } from './known-tools.ts';
import { digestOf } from './remote-tools.ts';

export interface ForeignToolsParts {
  readonly config: NodeConfig['tools'];
  readonly env: Environment;
  /** What no database and no server's grant may be. */
  readonly hidden: readonly string[];
  /** Names of tools that are in use already. */
  readonly taken: Iterable<string>;
  /** Where it is kept what servers showed last. */
  readonly knownPath: string;
  /** The tools are others now. */
  readonly onTools: () => void;
  readonly onEvent: (event: HostEvent) => void;
}

/** This node's tools that reach databases and servers of MCP, and what they hold open until it is disposed of. */
export interface ForeignTools extends AsyncDisposable {
  readonly tools: readonly Tool[];
  /** Resolves once each server has listed its tools or failed to for the first time, which may take long. */
  readonly firstTry: Promise<unknown>;
}

/**
 * Opens what `tools.databases` and `tools.mcp` name. Servers start in the background: their tools come by `onTools`, and a
 * tool that is another than when its server was seen last, over restarts too, is told.
 * @throws SkeinError `unauthenticated` for a secret that is not set, `denied` for what is the node's own, `corrupt`.
 */
export async function openForeignTools(parts: ForeignToolsParts): Promise<ForeignTools> {
  const { config, env, hidden, onEvent, onTools } = parts;
  const tell = (server: string, problem: string) => onEvent({ type: 'peer-problem', id: null, name: `mcp ${server}`, problem });
  const databases = createDatabaseTools({ databases: config.databases, root: config.root, hidden, environment: env });
  const names = databases.tools.map(({ descriptor }) => descriptor.name);
  const servers: McpServers = await startMcpServers({
    servers: config.mcp,
    root: config.root,
    hidden,
    environment: env,
    taken: [...parts.taken, ...names],
    version: VERSION,
    onTools,
    onListed: watchDefinitions(parts.knownPath, tell),
    onProblem: tell,
  });
  return {
    get tools() {
      return [...databases.tools, ...servers.tools];
    },
    firstTry: servers.firstTry,
    async [Symbol.asyncDispose]() {
      await Promise.all([databases[Symbol.asyncDispose](), servers[Symbol.asyncDispose]()]);
    },
  };
}

function watchDefinitions(path: string, tell: (server: string, problem: string) => void) {
  const known = new KnownTools({ path, onError: (error: SkeinError) => tell('', error.message) });
  return (server: string, tools: readonly ToolDescriptor[]): void => {
    const { redefined } = known.update(server, new Map(tools.map((tool) => [tool.name, digestOf(tool)])));
    if (redefined.length === 0) return;
    const more = redefined.length > 10 ? ` and ${redefined.length - 10} more` : '';
    tell(server, `these of its tools are others now under the same name: ${redefined.slice(0, 10).join(', ')}${more}`);
  };
}
