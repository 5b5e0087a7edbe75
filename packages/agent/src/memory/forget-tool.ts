import { type Json, SkeinError } from '@skein/protocol';
import { z } from 'zod';
import { defineTool, type Tool, type ToolContext } from '../tool/tool.ts';
import type { Fact } from './fact.ts';
import { type AuthorLabel, describeFact, memoryOf } from './fact-view.ts';
import type { MemoryStore } from './memory-store.ts';

/** Facts that are listed when several fit. */
const MAX_LISTED = 20;

export interface ForgetToolParts {
  readonly memory: MemoryStore;
  /** The label of an author, by its proven id. */
  readonly authorLabel?: (id: string) => AuthorLabel | undefined;
}

const input = z.object({
  id: z.string().min(1).max(100).optional().describe('The id that memory_search gave, or its first characters.'),
  about: z.string().min(1).max(500).optional().describe('Words that only that fact has, where its id is not known.'),
});

/**
 * `memory_forget`: erases the one fact an id or words stand for. Where several fit none is, and they are listed. A peer
 * names a fact by its whole id and learns no more than whether there was one.
 */
export function createForgetTool(parts: ForgetToolParts): Tool {
  const { memory, authorLabel } = parts;
  return defineTool({
    name: 'memory_forget',
    description:
      'Erases one remembered fact, by its id or by words that only it has, here and at the peers that share memory. Lists the facts when several fit, and erases none.',
    input,
    effect: 'idempotent',
    examples: [
      { say: 'forget {fact}', input: { about: '{fact}' } },
      { say: 'forget the fact {fact}', input: { about: '{fact}' } },
      { say: 'forget about {fact}', input: { about: '{fact}' } },
      { say: 'forget everything about {fact}', input: { about: '{fact}' } },
      { say: 'forget what you remember about {fact}', input: { about: '{fact}' } },
      { say: 'forget what you know about {fact}', input: { about: '{fact}' } },
    ],
    async run({ id, about }, context) {
      if (context.caller !== undefined) return { forgotten: id !== undefined && (await memory.forget(id)) };
      if ((id === undefined) === (about === undefined)) throw eitherOr();
      const found = id === undefined ? byWords(parts, about ?? '') : memory.withId(id, { limit: MAX_LISTED });
      const [only] = found;
      if (only === undefined) return { forgotten: false, message: 'I remember nothing like that.' };
      const told = found.map((fact) => tell(fact, context, authorLabel?.(fact.author)));
      if (found.length > 1) {
        return { forgotten: false, message: 'Several facts fit. Say which one by its id: “forget <id>”.', facts: told };
      }
      const forgotten = await memory.forget(only.id);
      return { forgotten, message: forgotten ? 'Forgotten:' : 'I remember nothing like that.', facts: forgotten ? told : [] };
    },
  });
}

/** The facts that have all of the words; where there are none, and it may be one, those whose id begins so. */
function byWords({ memory }: ForgetToolParts, about: string): readonly Fact[] {
  const found = memory.searchAll(about, { limit: MAX_LISTED });
  return found.length === 0 ? memory.withId(about.trim(), { limit: MAX_LISTED }) : found;
}

function tell(fact: Fact, { turn }: ToolContext, label: AuthorLabel | undefined): Record<string, Json> {
  if (!fact.trusted) turn?.taint(memoryOf(fact, label));
  return describeFact({ fact }, label);
}

function eitherOr(): SkeinError {
  return new SkeinError('memory_forget takes either the id of a fact or words about it, as {"id": "…"} or {"about": "…"}', {
    code: 'invalid',
  });
}
