import type { Client, Tool as ListedTool } from '@modelcontextprotocol/client';
import { jsonWithin, type ToolDescriptor } from '@skein/protocol';
import { z } from 'zod';

/** Tools that are taken from one server. */
const MAX_TOOLS = 128;
const MAX_PAGES = 16;
const MAX_SCHEMA_BYTES = 32_768;
const MAX_SCHEMA_DEPTH = 20;
const MAX_SCHEMA_VALUES = 2_000;
/** Schemas and descriptions of one server's tools; they are told to peers in one message with all others. */
const MAX_BYTES = 262_144;
const MAX_DESCRIPTION_CHARS = 1_500;
const TOLD_NAMES = 5;

/** A server's tool as it is offered, but for its name here. */
export interface TakenTool {
  /** What the server calls it. */
  readonly name: string;
  readonly descriptor: Omit<ToolDescriptor, 'name'>;
}

export interface Listing {
  readonly tools: readonly TakenTool[];
  /** What was left out and why, in words; null when nothing was. */
  readonly leftOut: string | null;
}

export interface ListingOptions {
  readonly only: readonly string[] | undefined;
  readonly trustHints: boolean;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Asks a server for its tools, page by page, and takes those that fit the bounds. */
export async function listTools(client: Client, options: ListingOptions): Promise<Listing> {
  const { signal, timeoutMs: timeout } = options;
  const taking = new Taking(options);
  let cursor: string | undefined;
  for (let pages = 0; pages < MAX_PAGES; pages += 1) {
    // Page by page: the client's own walk holds all of them before it is known how many there are.
    const page = await client.request(
      { method: 'tools/list', params: cursor === undefined ? {} : { cursor } },
      { signal, timeout },
    );
    for (const tool of page.tools) taking.add(tool);
    cursor = page.nextCursor;
    if (cursor === undefined || taking.isFull) return taking.listing();
  }
  return taking.listing(`its list has more than ${MAX_PAGES} pages`);
}

class Taking {
  readonly #options: ListingOptions;
  readonly #tools = new Map<string, TakenTool>();
  readonly #refused: string[] = [];
  #refusedCount = 0;
  #beyond = 0;
  #room = MAX_BYTES;

  constructor(options: ListingOptions) {
    this.#options = options;
  }

  get isFull(): boolean {
    return this.#beyond > 0;
  }

  add(tool: ListedTool): void {
    const { only, trustHints } = this.#options;
    if ((only !== undefined && !only.includes(tool.name)) || this.#tools.has(tool.name)) return;
    const input = schemaOf(tool.inputSchema);
    if (tool.name === '' || tool.name.length > 200 || input === undefined) {
      this.#refuse(tool.name);
      return;
    }
    const description = (tool.description ?? tool.title ?? '').slice(0, MAX_DESCRIPTION_CHARS).toWellFormed();
    const bytes = Buffer.byteLength(JSON.stringify(input)) + Buffer.byteLength(description) + tool.name.length;
    if (this.#tools.size >= MAX_TOOLS || bytes > this.#room) {
      this.#beyond += 1;
      return;
    }
    this.#room -= bytes;
    const { readOnlyHint, openWorldHint } = tool.annotations ?? {};
    const effect = trustHints && readOnlyHint === true ? 'read' : 'at-most-once';
    // The hint that it reaches no further than its server counts as much as that it only reads.
    const openWorld = openWorldHint === false ? {} : { openWorld: true };
    this.#tools.set(tool.name, { name: tool.name, descriptor: { description, input, effect, examples: [], ...openWorld } });
  }

  listing(more?: string): Listing {
    const { only } = this.#options;
    const reasons = more === undefined ? [] : [more];
    if (this.#beyond > 0) reasons.push(`${this.#beyond} or more of its tools have no room; name those wanted in "tools"`);
    if (this.#refusedCount > 0) {
      reasons.push(`${this.#refusedCount} have a name or schema that is too large: ${this.#refused.join(', ')}`);
    }
    const missing = (only ?? []).filter((name) => !this.#tools.has(name) && !this.#refused.includes(name));
    if (missing.length > 0) reasons.push(`it has no ${missing.slice(0, TOLD_NAMES).join(', ')}`);
    return { tools: [...this.#tools.values()], leftOut: reasons.length === 0 ? null : reasons.join('; ') };
  }

  #refuse(name: string): void {
    this.#refusedCount += 1;
    if (this.#refused.length < TOLD_NAMES) this.#refused.push(name.slice(0, 60));
  }
}

/** The schema as it came, an object schema by its type; undefined when it is too large. */
function schemaOf(schema: unknown): ToolDescriptor['input'] | undefined {
  const text = JSON.stringify(schema);
  if (text.length > MAX_SCHEMA_BYTES || !jsonWithin(text, MAX_SCHEMA_DEPTH, MAX_SCHEMA_VALUES)) return undefined;
  return { ...z.record(z.string(), z.json()).parse(JSON.parse(text)), type: 'object' };
}
