import { randomUUID } from 'node:crypto';
import { openDatabase } from '@skein/engine';
import { z } from 'zod';
import type { Brain, Message } from '../src/brain/brain.ts';
import type { AgentEvent } from '../src/events.ts';
import { memoryMigrations } from '../src/memory/memory-migrations.ts';
import { MemoryStore } from '../src/memory/memory-store.ts';
import { createMemoryTools } from '../src/memory/memory-tools.ts';
import { sessionMigrations } from '../src/session/session-migrations.ts';
import { SessionStore } from '../src/session/session-store.ts';
import { defineTool, type Tool, type ToolContext, type ToolDefinition } from '../src/tool/tool.ts';
import { ToolSet } from '../src/tool/tool-set.ts';
import { Agent } from '../src/turn/agent.ts';
import type { AgentOptions } from '../src/turn/agent-options.ts';
import type { AskRequest } from '../src/turn/turn.ts';

/** A tool of any input whose work is a function; `read` unless said otherwise. */
export function tool(
  name: string,
  run: (input: Record<string, unknown>, context: ToolContext) => ReturnType<ToolDefinition<z.ZodObject>['run']>,
  more?: Partial<Pick<Tool, 'peer' | 'untrusted'>> & Partial<Pick<Tool['descriptor'], 'effect' | 'openWorld'>>,
): Tool {
  const { effect = 'read', openWorld = false, ...rest } = more ?? {};
  const made = defineTool({ name, description: name, input: z.object({}), effect, openWorld, run: () => null });
  return { ...made, ...rest, run: async (input, context) => run(z.record(z.string(), z.unknown()).parse(input), context) };
}

export interface TestAgentParts {
  readonly brain: Brain;
  readonly tools?: readonly Tool[];
  readonly options?: Partial<AgentOptions>;
}

/** An agent on a database in memory, with memory tools. */
export function createTestAgent(parts: TestAgentParts) {
  const database = openDatabase({ path: ':memory:', migrations: [...sessionMigrations, ...memoryMigrations] });
  const now = () => Date.now();
  const randomId = () => randomUUID();
  const sessions = new SessionStore({ database, now });
  const memory = new MemoryStore({ database, now, randomId });
  const tools = new ToolSet({ local: createMemoryTools({ memory }) });
  for (const one of parts.tools ?? []) tools.add(one);
  const agent = new Agent({ brain: parts.brain, tools, sessions, memory, now, randomId, options: parts.options ?? {} });
  const messages = (sessionId = 's'): readonly Message[] =>
    sessions.read(sessionId, { maxChars: 1e9 }).map((entry) => entry.message);
  return {
    agent,
    database,
    sessions,
    memory,
    tools,
    messages,
    ask: (text: string, more?: Partial<AskRequest> & { readonly signal?: AbortSignal }) => {
      const { signal = new AbortController().signal, ...request } = more ?? {};
      return agent.ask({ text, sessionId: 's', interactive: false, ...request }, { signal });
    },
    async [Symbol.asyncDispose]() {
      await agent[Symbol.asyncDispose]();
      database.close();
    },
  };
}

export type TestAgent = ReturnType<typeof createTestAgent>;

/** Every event of a turn. */
export async function collect(
  turn: AsyncIterable<AgentEvent>,
  onEvent: (event: AgentEvent) => void = () => {},
): Promise<readonly AgentEvent[]> {
  const events: AgentEvent[] = [];
  for await (const event of turn) {
    events.push(event);
    onEvent(event);
  }
  return events;
}

/** The events of one type. */
export function eventsOf<Type extends AgentEvent['type']>(
  events: readonly AgentEvent[],
  type: Type,
): readonly Extract<AgentEvent, { type: Type }>[] {
  return events.filter((event): event is Extract<AgentEvent, { type: Type }> => event.type === type);
}
