import { resolve } from 'node:path';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { SkeinError } from '@skein/protocol';
import { createBoundedFetch } from '../../brains/bounded-fetch.ts';
import { containsPath } from '../jail.ts';
import type { McpServersParts } from './mcp.ts';
import type { McpCommandConfig, McpServerConfig, McpUrlConfig } from './mcp-config.ts';
import type { OpenedTransport } from './mcp-server.ts';
import { PipeTransport } from './pipe-transport.ts';
import { spawnServer } from './spawn-server.ts';

type OpenParts = Pick<McpServersParts, 'root' | 'hidden' | 'environment' | 'spawn' | 'onProblem'>;

/** Of one answer or stream of a server over HTTP; a stream that is longer is opened again. */
const HTTP_BOUNDS = { maxBytes: 16_777_216, maxLineBytes: 4_194_304 };

/**
 * What starts or reaches a server, with all that the configuration names looked up.
 * @throws SkeinError `unauthenticated` for a variable that is not set, `denied` for a grant of what is hidden.
 */
export function serverOpener(
  name: string,
  config: McpServerConfig,
  parts: OpenParts,
): (signal: AbortSignal) => Promise<OpenedTransport> {
  return 'command' in config ? commandOpener(name, config, parts) : urlOpener(name, config, parts);
}

function commandOpener(name: string, config: McpCommandConfig, parts: OpenParts) {
  const { root, hidden, environment, spawn = spawnServer } = parts;
  const absolute = (path: string) => resolve(root, path);
  const cwd = config.cwd === undefined ? undefined : absolute(config.cwd);
  const read = [...config.allow.read.map(absolute), ...(cwd === undefined ? [] : [cwd])];
  const write = config.allow.write.map(absolute);
  const own = hidden.map((path) => resolve(path)).find((path) => [...read, ...write].some((one) => containsPath(path, one)));
  if (own !== undefined) {
    throw new SkeinError(`tools.mcp.${name} may not be let into ${own}, which is this node's own`, { code: 'denied' });
  }
  const program = {
    name: `the MCP server ${name}`,
    command: config.command,
    cwd,
    env: { ...config.env, ...lookedUp(config.passEnv, environment, `tools.mcp.${name}.passEnv`) },
    allow: {
      network: config.allow.network,
      childProcess: config.allow.childProcess,
      read,
      write,
      hidden,
    },
    egress: {
      listedIn: `tools.mcp.${name}.allow.network`,
      onRefused: (problem: string) => parts.onProblem(name, `it was refused the network: ${problem}`),
    },
  };
  return async (): Promise<OpenedTransport> => {
    const transport = new PipeTransport(await spawn(program));
    return { transport, lastWords: () => transport.lastWords };
  };
}

function urlOpener(name: string, { url, headersEnv }: McpUrlConfig, { environment }: OpenParts) {
  const values = lookedUp(Object.values(headersEnv), environment, `tools.mcp.${name}.headersEnv`);
  const headers = Object.fromEntries(Object.entries(headersEnv).map(([header, variable]) => [header, values[variable] ?? '']));
  return async (): Promise<OpenedTransport> => {
    const transport = new StreamableHTTPClientTransport(new URL(url), {
      requestInit: { headers },
      fetch: createBoundedFetch(fetch, HTTP_BOUNDS),
    });
    return { transport, lastWords: () => undefined };
  };
}

function lookedUp(
  names: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  where: string,
): Record<string, string> {
  return Object.fromEntries(
    names.map((name) => {
      const value = environment[name];
      if (value === undefined || value === '') {
        throw new SkeinError(`${name}, which ${where} names, is not set`, { code: 'unauthenticated' });
      }
      return [name, value];
    }),
  );
}
