import type { ConversationEntry, TaskEvent } from '@skein/protocol';
import { type AgentEvent, whoRan } from '../events.ts';
import { agentEventOf } from './task-events.ts';

/** Calls that are remembered as told, and results; beyond, the oldest is forgotten and may be told once more. */
const MAX_CALLS = 10_000;

/**
 * What one who watches a task is told, as people see it. The journal keeps steps, not what was told while they were made:
 * a step whose own events are gone, since the node began anew or the reader came late, is told as those; and a call that is
 * taken up again is told once.
 */
export class ToldEvents {
  readonly #calls = new Set<string>();
  readonly #results = new Set<string>();
  /** Whether text of the step that is being made was told. */
  #said = false;

  /** The next event of `TaskRunner.watch`, as nothing, itself, or what it stands for. */
  take(event: TaskEvent): readonly AgentEvent[] {
    if (event.type === 'step') return event.entries.flatMap((entry) => this.#stepEvents(entry));
    if (event.type === 'tool-call' && !remember(this.#calls, event.id)) return [];
    if (event.type === 'tool-result' && !remember(this.#results, event.id)) return [];
    if (event.type === 'text-delta') this.#said = true;
    const shown = agentEventOf(event);
    return shown === undefined ? [] : [shown];
  }

  #stepEvents(entry: ConversationEntry): readonly AgentEvent[] {
    const { message, ms = 0 } = entry;
    switch (message.role) {
      case 'user':
        return [];
      case 'assistant': {
        const { text, toolCalls } = message;
        const said = this.#said || text === '' ? [] : [{ type: 'text-delta', text } as const];
        this.#said = false;
        return [
          ...said,
          ...toolCalls.flatMap(({ id, name, input }): readonly AgentEvent[] =>
            remember(this.#calls, id) ? [{ type: 'tool-call', id, name, peer: whoRan(name, entry), input }] : [],
          ),
        ];
      }
      case 'tool': {
        const { callId: id, name, ok, output } = message;
        const peer = whoRan(name, entry);
        return remember(this.#results, id) ? [{ type: 'tool-result', id, name, peer, ok, ms, output }] : [];
      }
    }
  }
}

/** False for what is remembered already. */
function remember(known: Set<string>, id: string): boolean {
  if (known.has(id)) return false;
  const [oldest] = known;
  if (known.size >= MAX_CALLS && oldest !== undefined) known.delete(oldest);
  known.add(id);
  return true;
}
