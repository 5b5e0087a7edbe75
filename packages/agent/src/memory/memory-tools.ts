import type { Json } from '@skein/protocol';
import { z } from 'zod';
import { formatAsData } from '../taint.ts';
import { defineTool, type Tool, type ToolContext } from '../tool/tool.ts';
import { type Fact, OWN_AUTHOR } from './fact.ts';
import type { MemoryStore } from './memory-store.ts';
import { type MergedFact, mergeFindings, type PeerFindings, type SearchPeers } from './peer-search.ts';

/** What is known of a fact's author besides its id. */
export interface AuthorLabel {
  readonly name: string;
  /** Its trust was taken back: what it wrote before stays, marked. */
  readonly revoked: boolean;
}

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
  return [writeTool(parts), searchTool(parts), forgetTool(parts.memory)];
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
      { say: 'what do you remember', input: { query: '' } },
    ],
    async run(input, context) {
      const limit = input.limit ?? 10;
      const query = input.query.trim();
      // A peer's own search goes no further: each asks for itself.
      const asked = query !== '' && context.caller === undefined ? searchPeers : undefined;
      const elsewhere = (await asked?.(query, { limit, signal: context.signal })) ?? NOBODY_ASKED;
      const own = query === '' ? memory.latest({ limit }) : memory.search(query, { limit });
      const facts = mergeFindings(own, elsewhere.facts, limit);
      for (const { fact } of facts) if (!fact.trusted) context.turn?.taint(`memory of ${fact.author}`);
      const silent = elsewhere.silent.map(({ peer, reason }) => ({ peer, reason: reason.slice(0, 200) }));
      return {
        facts: facts.map((merged) => describeFact(merged, authorLabel?.(merged.fact.author))),
        ...(silent.length === 0 ? {} : { unanswered: silent }),
      };
    },
  });
}

function forgetTool(memory: MemoryStore): Tool {
  return defineTool({
    name: 'memory_forget',
    description: 'Erases one remembered fact by the id that memory_search gave, here and at the peers that share memory.',
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

function describeFact({ fact, peer }: MergedFact, label: AuthorLabel | undefined): Record<string, Json> {
  const source = fact.trusted ? fact.source : plainWords(fact.source);
  return {
    id: plainWords(fact.id),
    text: fact.trusted ? fact.text : formatAsData(`${fact.author}: ${fact.source}`, fact.text),
    tags: fact.trusted ? fact.tags : fact.tags.map(plainWords),
    author: fact.author,
    ...(label === undefined ? {} : { authorName: label.name }),
    ...(label?.revoked === true ? { authorRevoked: true } : {}),
    source,
    trusted: fact.trusted,
    at: new Date(fact.atMs).toISOString(),
    ...(fact.concurrent === true ? { concurrent: true } : {}),
    ...(peer === undefined ? {} : { foundAt: peer }),
  };
}

/** What an untrusted author chose and that stands outside the marks of data: nothing of it can look like a mark. */
function plainWords(text: string): string {
  return text.replace(/[^\p{L}\p{N} ._~/:@+-]/gu, '_');
}
