import { z } from 'zod';
import { formatAsData } from '../taint.ts';
import { defineTool, type Tool, type ToolContext } from '../tool/tool.ts';
import { type Fact, type MemoryStore, OWN_AUTHOR } from './memory-store.ts';

/** `memory_write`, `memory_search` and `memory_forget` over a store. */
export function createMemoryTools(parts: { readonly memory: MemoryStore }): readonly Tool[] {
  return [writeTool(parts.memory), searchTool(parts.memory), forgetTool(parts.memory)];
}

function writeTool(memory: MemoryStore): Tool {
  return defineTool({
    name: 'memory_write',
    description: 'Remembers one fact for later conversations. Say it so that it makes sense by itself.',
    input: z.object({ text: z.string().min(1).max(4_000), tags: z.array(z.string().min(1).max(40)).max(16).optional() }),
    effect: 'idempotent',
    examples: [
      { say: 'remember that {text}', input: { text: '{text}' } },
      { say: 'remember {text}', input: { text: '{text}' } },
    ],
    async run(input, context) {
      const tainted = context.caller !== undefined || context.turn?.tainted === true;
      const { fact, added } = await memory.write({
        text: input.text,
        tags: input.tags ?? [],
        author: context.caller ?? OWN_AUTHOR,
        source: sourceOf(context),
        trusted: !tainted,
      });
      return { id: fact.id, remembered: fact.text, added, trusted: fact.trusted };
    },
  });
}

function searchTool(memory: MemoryStore): Tool {
  return defineTool({
    name: 'memory_search',
    description: 'Finds remembered facts by their words, with who wrote each and when. An empty query gives the latest.',
    input: z.object({ query: z.string().max(500), limit: z.int().min(1).max(50).optional() }),
    effect: 'read',
    examples: [
      { say: 'what do you remember about {query}', input: { query: '{query}' } },
      { say: 'what do you know about {query}', input: { query: '{query}' } },
      { say: 'what do you remember', input: { query: '' } },
    ],
    run(input, context) {
      const limit = input.limit ?? 10;
      const facts = input.query.trim() === '' ? memory.latest({ limit }) : memory.search(input.query, { limit });
      for (const fact of facts) if (!fact.trusted) context.turn?.taint(`memory of ${fact.author}`);
      return { facts: facts.map(describeFact) };
    },
  });
}

function forgetTool(memory: MemoryStore): Tool {
  return defineTool({
    name: 'memory_forget',
    description: 'Erases one remembered fact by the id that memory_search gave.',
    input: z.object({ id: z.string().min(1).max(100) }),
    effect: 'idempotent',
    examples: [{ say: 'forget the fact {id}', input: { id: '{id}' } }],
    async run(input) {
      return { forgotten: await memory.forget(input.id) };
    },
  });
}

function sourceOf(context: ToolContext): string {
  if (context.caller !== undefined) return `written by peer ${context.caller}`;
  if (context.turn === undefined) return 'written by hand';
  return context.turn.tainted ? 'written after reading text from outside' : 'said in a conversation';
}

function describeFact(fact: Fact) {
  return {
    id: fact.id,
    text: fact.trusted ? fact.text : formatAsData(`${fact.author}: ${fact.source}`, fact.text),
    tags: fact.tags,
    author: fact.author,
    source: fact.source,
    trusted: fact.trusted,
    at: new Date(fact.atMs).toISOString(),
  };
}
