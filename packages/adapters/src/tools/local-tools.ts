import type { Tool } from '@skein/agent';
import { nearestNames, SkeinError } from '@skein/protocol';
import { z } from 'zod';
import type { ResolveHost } from './address-policy.ts';
import { databasesConfig } from './database/database-config.ts';
import { HTTP_FETCH_DEFAULTS } from './http-fetch.ts';
import { createHttpGet } from './http-get.ts';
import { createListFiles, LIST_FILES_DEFAULTS } from './list-files.ts';
import { mcpConfig } from './mcp/mcp-config.ts';
import { pluginsConfig } from './plugins/plugins-config.ts';
import { createReadFile, READ_FILE_DEFAULTS } from './read-file.ts';
import { createScrape, SCRAPE_DEFAULTS } from './scrape/scrape.ts';
import { createShellExec, SHELL_EXEC_DEFAULTS } from './shell-exec.ts';
import { createSystemInfo } from './system-info.ts';
import { createWriteFile, WRITE_FILE_DEFAULTS } from './write-file.ts';

const GIBIBYTE = 1_073_741_824;

const timeoutMs = z.int().min(1).max(3_600_000);

/** The part of a node's configuration that is about its own tools. */
export const toolsConfig = z.strictObject({
  enabled: z
    .array(z.string())
    .default(['shell_exec', 'read_file', 'list_files', 'http_get', 'scrape', 'system_info'])
    .describe("The tools this node's agent has; write_file is one more. Which of them peers may call is said elsewhere."),
  root: z.string().min(1).default('.').describe('The folder tools work in and cannot leave.'),
  shell: z
    .strictObject({
      allow: z
        .array(z.string().min(1))
        .default([...SHELL_EXEC_DEFAULTS.allow])
        .describe(
          'Commands: "df" (the known ones of this list only read; another may have any arguments), "git status" (arguments begin so), "find *" (any arguments), or "*" (any command).',
        ),
      allowShell: z
        .boolean()
        .default(SHELL_EXEC_DEFAULTS.shell)
        .describe('Run commands by /bin/sh. Whoever may call shell_exec may then do all that the user of this node may.'),
      timeoutMs: timeoutMs.default(SHELL_EXEC_DEFAULTS.timeoutMs).describe('How long a command runs unless the call says.'),
      maxTimeoutMs: timeoutMs.default(SHELL_EXEC_DEFAULTS.maxTimeoutMs).describe('The longest a call may ask for.'),
      maxOutputBytes: z
        .int()
        .min(1_024)
        .max(1_048_576)
        .default(SHELL_EXEC_DEFAULTS.maxOutputBytes)
        .describe('A command that writes more is stopped.'),
      memoryBytes: z
        .int()
        .min(16_777_216)
        .max(1_024 * GIBIBYTE)
        .default(SHELL_EXEC_DEFAULTS.memoryBytes)
        .describe('Address space of each process of a command; held on Linux with prlimit (util-linux).'),
      maxConcurrent: z.int().min(1).max(256).default(SHELL_EXEC_DEFAULTS.maxConcurrent).describe('Commands at once.'),
    })
    .prefault({})
    .describe('shell_exec.'),
  files: z
    .strictObject({
      maxReadBytes: z.int().min(1_024).max(1_048_576).default(READ_FILE_DEFAULTS.maxReadBytes).describe('Read by one call.'),
      maxWriteBytes: z.int().min(1).max(16_777_216).default(WRITE_FILE_DEFAULTS.maxWriteBytes).describe('Written by one call.'),
      maxEntries: z.int().min(1).max(10_000).default(LIST_FILES_DEFAULTS.maxEntries).describe('Entries listed by one call.'),
    })
    .prefault({})
    .describe('read_file, write_file and list_files.'),
  http: z
    .strictObject({
      allowPrivate: z
        .array(z.string().min(1))
        .default([])
        .describe(
          'Addresses, ranges (10.1.0.0/16) and host names that are not public and may be fetched, each with or without :port.',
        ),
      timeoutMs: z.int().min(1).max(300_000).default(HTTP_FETCH_DEFAULTS.timeoutMs).describe('For a whole fetch.'),
      maxBytes: z.int().min(1_024).max(1_048_576).default(HTTP_FETCH_DEFAULTS.maxBytes).describe('A longer page is cut.'),
    })
    .prefault({})
    .describe('http_get, and what scrape may reach and how long it may take.'),
  scrape: z
    .strictObject({
      maxBytes: z.int().min(1_024).max(4_194_304).default(SCRAPE_DEFAULTS.maxBytes).describe('Read of a page.'),
      maxChars: z.int().min(256).max(262_144).default(SCRAPE_DEFAULTS.maxChars).describe('Text of a page that is given.'),
      maxLinks: z.int().min(0).max(1_000).default(SCRAPE_DEFAULTS.maxLinks).describe('Links of a page that are given.'),
    })
    .prefault({})
    .describe('What scrape gives of a page.'),
  databases: databasesConfig
    .default({})
    .describe('Databases that db_query and db_schema work in, by name.')
    .meta({
      example: {
        shop: { url: 'sqlite:./shop.db', write: false },
        stock: { url: 'postgres://reader@db.example.org:5432/stock', passwordEnv: 'STOCK_PASSWORD', maxRows: 200 },
      },
    }),
  plugins: pluginsConfig
    .default([])
    .describe(
      'Plug-ins besides those in the data directory, and what one of either may do; "network" is a list of hosts, or true for anywhere.',
    )
    .meta({
      example: [
        './dice.ts',
        {
          path: './mail.ts',
          allow: {
            network: ['mail.example.com', '*.example.org:8443'],
            read: ['./templates'],
            write: ['./outbox'],
            env: ['MAIL_TOKEN'],
            childProcess: false,
          },
        },
      ],
    }),
  mcp: mcpConfig
    .default({})
    .describe('Servers of MCP, by the name that their tools begin with: a program to start, or an address.')
    .meta({
      example: {
        files: {
          command: ['mcp-files', '.'],
          env: { MODE: 'quiet' },
          passEnv: ['FILES_TOKEN'],
          cwd: './files',
          allow: { network: ['files.example.org'], read: ['./files'], write: [], childProcess: false },
          tools: ['search', 'read'],
          trustHints: false,
          timeoutMs: 60_000,
        },
        calendar: { url: 'https://mcp.example.org/mcp', headersEnv: { Authorization: 'CALENDAR_TOKEN' } },
      },
    }),
});
export type ToolsConfig = z.infer<typeof toolsConfig>;

export interface LocalToolsOptions {
  readonly config: ToolsConfig;
  /** Files and folders no tool may touch: the node's keys, data, plug-ins and configuration. */
  readonly hidden: readonly string[];
  /** As `ShellExecOptions` has it. */
  readonly owner?: string;
  /** Where host names come from; the system's resolver by default. */
  readonly resolveHost?: ResolveHost;
}

/** The tools of this machine, each under its name. */
const FACTORIES: Readonly<Record<string, (options: LocalToolsOptions) => Tool>> = {
  shell_exec: ({ config: { root, shell }, hidden, owner }) =>
    createShellExec({ ...shell, shell: shell.allowShell, root, hidden, ...(owner === undefined ? {} : { owner }) }),
  read_file: ({ config: { root, files }, hidden }) => createReadFile({ ...files, root, hidden }),
  write_file: ({ config: { root, files }, hidden }) => createWriteFile({ ...files, root, hidden }),
  list_files: ({ config: { root, files }, hidden }) => createListFiles({ ...files, root, hidden }),
  http_get: ({ config: { http }, resolveHost }) =>
    createHttpGet({ ...http, ...(resolveHost === undefined ? {} : { resolveHost }) }),
  scrape: ({ config: { http, scrape }, resolveHost }) =>
    createScrape({ ...http, ...scrape, ...(resolveHost === undefined ? {} : { resolveHost }) }),
  system_info: ({ config: { root } }) => createSystemInfo({ root }),
};

export const LOCAL_TOOL_NAMES: readonly string[] = Object.keys(FACTORIES);

/**
 * The tools a configuration enables, in its order.
 * @throws SkeinError `invalid` for a name that is no local tool, and for allow-list entries that do not parse.
 */
export function createLocalTools(options: LocalToolsOptions): Tool[] {
  return [...new Set(options.config.enabled)].map((name) => {
    const create = Object.hasOwn(FACTORIES, name) ? FACTORIES[name] : undefined;
    if (create !== undefined) return create(options);
    const [guess] = nearestNames(name, LOCAL_TOOL_NAMES);
    throw new SkeinError(
      `tools.enabled names ${JSON.stringify(name)}, which is no local tool${guess === undefined ? '' : `; did you mean ${guess}?`} There are: ${LOCAL_TOOL_NAMES.join(', ')}`,
      { code: 'invalid' },
    );
  });
}
