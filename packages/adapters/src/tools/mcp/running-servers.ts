import { explainInput, type Tool } from '@skein/agent';
import { SkeinError, type ToolDescriptor } from '@skein/protocol';
import { inputSchemaOf } from './input-schema.ts';
import type { TakenTool } from './listed-tools.ts';
import type { McpServers, McpServersParts } from './mcp.ts';
import { McpServer } from './mcp-server.ts';
import { serverOpener } from './open-server.ts';
import { toolNameOf } from './tool-names.ts';

/** Tools of all servers together, and their descriptors' bytes: they are told to peers in one message. */
const MAX_TOOLS = 200;
const MAX_BYTES = 524_288;
const BACKOFF_MIN_MS = 500;
const BACKOFF_MAX_MS = 60_000;

/** All servers of a configuration, running. */
export class RunningServers implements McpServers {
  readonly firstTry: Promise<unknown>;
  readonly #parts: McpServersParts;
  readonly #servers: readonly McpServer[];
  readonly #taken: ReadonlySet<string>;
  /** The name of each listed tool, by server and its own name; it keeps it as long as it is listed. */
  #names: ReadonlyMap<string, string> = new Map();
  #tools: readonly Tool[] = [];

  constructor(parts: McpServersParts) {
    this.#parts = parts;
    this.#taken = new Set(parts.taken);
    const { random = Math.random } = parts;
    this.#servers = Object.entries(parts.servers).map(
      ([name, config]): McpServer =>
        new McpServer({
          name,
          config,
          open: serverOpener(name, config, parts),
          version: parts.version,
          backoffMs: (failures) => random() * Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(failures, 20)),
          onTools: () => this.#listed(name),
          onProblem: (problem) => parts.onProblem(name, problem),
        }),
    );
    for (const server of this.#servers) server.start();
    this.firstTry = Promise.all(this.#servers.map((server) => server.firstTry));
  }

  get tools(): readonly Tool[] {
    return this.#tools;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#servers.map((server) => server[Symbol.asyncDispose]()));
  }

  #listed(name: string): void {
    this.#names = this.#nameAll();
    const descriptors = new Map(this.#servers.map((server) => [server, this.#descriptorsOf(server)] as const));
    const tools: Tool[] = [];
    let room = MAX_BYTES;
    let leftOut = 0;
    for (const [server, described] of descriptors) {
      for (const [taken, descriptor] of described) {
        room -= Buffer.byteLength(JSON.stringify(descriptor));
        if (room < 0 || tools.length >= MAX_TOOLS) leftOut += 1;
        else tools.push(toolOf(server, taken, descriptor));
      }
    }
    this.#tools = tools;
    if (leftOut > 0) this.#parts.onProblem(name, `${leftOut} tools of MCP servers have no room; name those wanted in "tools"`);
    const own = this.#servers.find((server) => server.name === name);
    const listed = own === undefined ? undefined : descriptors.get(own);
    this.#parts.onListed?.(
      name,
      (listed ?? []).map(([, descriptor]) => descriptor),
    );
    this.#parts.onTools();
  }

  #descriptorsOf(server: McpServer): (readonly [TakenTool, ToolDescriptor])[] {
    return server.tools.flatMap((taken) => {
      const name = this.#names.get(keyOf(server.name, taken.name));
      return name === undefined ? [] : [[taken, { ...taken.descriptor, name }] as const];
    });
  }

  /** Who has a name keeps it, so that no server can take over what another's tool is called. */
  #nameAll(): ReadonlyMap<string, string> {
    const listed = this.#servers.flatMap((server) => server.tools.map((tool) => ({ server: server.name, tool: tool.name })));
    const names = new Map<string, string>();
    const used = new Set(this.#taken);
    for (const { server, tool } of listed) {
      const kept = this.#names.get(keyOf(server, tool));
      if (kept === undefined) continue;
      names.set(keyOf(server, tool), kept);
      used.add(kept);
    }
    for (const { server, tool } of listed) {
      if (names.has(keyOf(server, tool))) continue;
      const name = toolNameOf(server, tool, (wanted) => used.has(wanted));
      // The mark is short: in the one case of a million it is taken too, the tool is left out.
      if (used.has(name)) continue;
      names.set(keyOf(server, tool), name);
      used.add(name);
    }
    return names;
  }
}

function keyOf(server: string, tool: string): string {
  return `${server}\0${tool}`;
}

function toolOf(server: McpServer, taken: TakenTool, descriptor: ToolDescriptor): Tool {
  const { name, input: schema } = descriptor;
  // Made when first asked for: most tools never are.
  let known: ReturnType<typeof inputSchemaOf> | undefined;
  return {
    descriptor,
    untrusted: true,
    async run(input, context) {
      if (!isRecord(input)) throw new SkeinError(`${name} takes an object`, { code: 'invalid' });
      known ??= inputSchemaOf(schema);
      const checked = known.safeParse(input);
      if (!checked.success) throw new SkeinError(explainInput(known, name, checked.error.issues), { code: 'invalid' });
      // As it came: what is not known of the schema may be about how it is written.
      return await server.call(taken, input, context);
    },
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
