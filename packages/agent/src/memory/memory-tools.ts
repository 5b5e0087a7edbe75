import { z } from 'zod';
import { defineTool, type Tool, type ToolContext } from '../tool/tool.ts';
import { type Fact, OWN_AUTHOR } from './fact.ts';
import { type AuthorLabel, describeFact, memoryOf } from './fact-view.ts';
import { createForgetTool } from './forget-tool.ts';
import type { MemoryStore } from './memory-store.ts';
import { mergeFindings, type PeerFindings, type SearchPeers } from './peer-search.ts';

export type { AuthorLabel } from './fact-view.ts';

export interface MemoryToolsParts {
  readonly memory: MemoryStore;
  /** Looks in the peers' memories as well. */
  readonly searchPeers?: SearchPeers;
  /** The label of an author, by its proven id. */
  readonly authorLabel?: (id: string) => AuthorLabel | undefined;
  /** Told of each fact that this node's own person or agent wrote, once it is on the disk. */
  readonly onWritten?: (fact: Fact) => void;
}

const NOBODY_ASKED: PeerFindings = { facts: [], silent: [] };

/** `memory_write`, `memory_search` and `memory_forget` over a store. */
export function createMemoryTools(parts: MemoryToolsParts): readonly Tool[] {
  return [writeTool(parts), searchTool(parts), createForgetTool(parts)];
}

function writeTool({ memory, onWritten }: MemoryToolsParts): Tool {
  return defineTool({
    name: 'memory_write',
    description: 'Remembers one fact for later conversations. Say it so that it makes sense by itself.',
    input: z.object({
      text: z.string().min(1).max(4_000),
      tags: z.array(z.string().min(1).max(40)).max(16).optional(),
      replaces: z.string().min(1).max(100).optional().describe('The id of the fact this is the new version of.'),
    }),
    effect: 'idempotent',
    examples: [
      { say: 'remember that {text}', input: { text: '{text}' } },
      { say: 'remember {text}', input: { text: '{text}' } },
    ],
    async run(input, context) {
      const tainted = context.caller !== undefined || context.turn?.tainted === true;
      const draft = {
        text: input.text,
        tags: input.tags ?? [],
        author: context.caller ?? OWN_AUTHOR,
        source: sourceOf(context),
        trusted: !tainted,
      };
      const { fact, added } = await memory.write(draft, input.replaces === undefined ? {} : { replaces: input.replaces });
      if (added && fact.author === OWN_AUTHOR) onWritten?.(fact);
      return { id: fact.id, remembered: fact.text, added, trusted: fact.trusted };
    },
  });
}

function searchTool({ memory, searchPeers, authorLabel }: MemoryToolsParts): Tool {
  return defineTool({
    name: 'memory_search',
    description:
      'Finds remembered facts by their words, here and in the memories of peers, with who wrote each and when. An empty query gives the latest.',
    input: z.object({ query: z.string().max(500), limit: z.int().min(1).max(50).optional() }),
    effect: 'read',
    examples: [
      { say: 'what do you remember about {query}', input: { query: '{query}' } },
      { say: 'what do you know about {query}', input: { query: '{query}' } },
      { say: 'do you remember {query}', input: { query: '{query}' } },
      { say: 'do you remember anything about {query}', input: { query: '{query}' } },
      { say: 'do you know anything about {query}', input: { query: '{query}' } },
      { say: 'what did I tell you about {query}', input: { query: '{query}' } },
      { say: 'what is my {query}', input: { query: '{query}' } },
      { say: 'what do you remember', input: { query: '' } },
      { say: 'list what you remember', input: { query: '' } },
    ],
    async run(input, context) {
      const limit = input.limit ?? 10;
      const query = input.query.trim();
      // A peer's own search goes no further: each asks for itself.
      const asked = query !== '' && context.caller === undefined ? searchPeers : undefined;
      const elsewhere = (await asked?.(query, { limit, signal: context.signal })) ?? NOBODY_ASKED;
      const own = query === '' ? memory.latest({ limit }) : memory.search(query, { limit });
      const facts = mergeFindings(own, elsewhere.facts, limit);
      for (const { fact } of facts) if (!fact.trusted) context.turn?.taint(memoryOf(fact, authorLabel?.(fact.author)));
      const silent = elsewhere.silent.map(({ peer, reason }) => ({ peer, reason: reason.slice(0, 200) }));
      return {
        facts: facts.map((merged) => describeFact(merged, authorLabel?.(merged.fact.author))),
        ...(silent.length === 0 ? {} : { unanswered: silent }),
        // For people; a program or a peer sees that there are none.
        ...(facts.length === 0 && context.turn !== undefined ? { message: 'I remember nothing about that.' } : {}),
      };
    },
  });
}

function sourceOf(context: ToolContext): string {
  if (context.caller !== undefined) return `written by peer ${context.caller}`;
  if (context.turn === undefined) return 'written by hand';
  return context.turn.tainted ? 'written after reading text from outside' : 'said in a conversation';
}
