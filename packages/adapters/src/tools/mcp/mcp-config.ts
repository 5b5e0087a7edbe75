import { z } from 'zod';
import { networkGrant } from '../../sandbox/egress/host-grant.ts';
import { sourceName, variableName } from '../database/database-config.ts';

export const MCP_DEFAULTS = { timeoutMs: 60_000, startTimeoutMs: 30_000, trustHints: false } as const;

const shared = {
  tools: z
    .array(z.string().min(1).max(200))
    .max(256)
    .optional()
    .describe('The only ones of its tools that are taken, by the names it gives them; absent, all.'),
  trustHints: z
    .boolean()
    .default(MCP_DEFAULTS.trustHints)
    .describe('Believe it which of its tools only read; otherwise each counts as one that acts.'),
  timeoutMs: z.int().min(1).max(3_600_000).default(MCP_DEFAULTS.timeoutMs).describe('For one call.'),
  startTimeoutMs: z.int().min(1).max(600_000).default(MCP_DEFAULTS.startTimeoutMs).describe('Until it lists its tools.'),
};

const allow = z.strictObject({
  network: networkGrant,
  read: z.array(z.string().min(1)).max(64).default([]).describe('Folders and files it may read.'),
  write: z.array(z.string().min(1)).max(64).default([]).describe('Folders and files it may read and change.'),
  childProcess: z.boolean().default(false).describe('Start processes, which are held as it is; npx and uvx need it.'),
});

/** A server that this node starts and talks to over its standard input and output. */
export const mcpCommandConfig = z.strictObject({
  command: z.array(z.string().min(1)).min(1).max(64).describe('Program and arguments.'),
  env: z
    .record(variableName, z.string())
    .default({})
    .describe('Its environment, beside PATH and HOME; for a secret, use passEnv.'),
  passEnv: z.array(variableName).max(64).default([]).describe("Variables of the node's environment that it gets."),
  cwd: z
    .string()
    .min(1)
    .optional()
    .describe('Its working folder, from the folder of tools.root, which it may read; absent, an empty one of its own.'),
  allow: allow
    .prefault({})
    .describe("What it may do, beside reading the system's programs; what it is made of may need to be granted too."),
  ...shared,
});
export type McpCommandConfig = z.infer<typeof mcpCommandConfig>;

/** A server that runs elsewhere, over HTTP. */
export const mcpUrlConfig = z.strictObject({
  url: z
    .url({ protocol: /^https?$/ })
    .refine(
      (text) => URL.parse(text)?.password === '' && URL.parse(text)?.username === '',
      'put no password in the address: use headersEnv',
    ),
  headersEnv: z
    .record(z.string().regex(/^[A-Za-z0-9-]{1,64}$/, 'expected the name of a header'), variableName)
    .default({})
    .describe('Headers of each request, each with the environment variable that holds its value.'),
  ...shared,
});
export type McpUrlConfig = z.infer<typeof mcpUrlConfig>;

export type McpServerConfig = McpCommandConfig | McpUrlConfig;

/** `tools.mcp`: each server under the name that its tools' names begin with. */
export const mcpConfig = z
  .record(sourceName, z.union([mcpCommandConfig, mcpUrlConfig]))
  .refine((servers) => Object.keys(servers).length <= 16, 'expected at most 16 servers');
