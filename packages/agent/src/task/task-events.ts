import type { TaskEvent, TaskOutcome } from '@skein/protocol';
import { z } from 'zod';
import type { AgentEvent } from '../events.ts';

/** An event of a turn as a task tells it; undefined for those that end a turn: a task ends with its outcome. */
export function taskEventOf(event: AgentEvent): TaskEvent | undefined {
  switch (event.type) {
    case 'answer':
    case 'error':
      return undefined;
    case 'tool-result':
      return { ...event, output: z.json().parse(event.output) };
    case 'turn-start':
    case 'text-delta':
    case 'tool-call':
    case 'tool-output':
    case 'confirm-request':
      return event;
  }
}

/** An event of a task as people see it; undefined for those that are for nodes alone. */
export function agentEventOf(event: TaskEvent): AgentEvent | undefined {
  return event.type === 'step' || event.type === 'intent' ? undefined : event;
}

/** The end of a task as the last event of a turn. */
export function lastEventOf({ state, text, toolCalls, error }: TaskOutcome): AgentEvent {
  if (state === 'done' && text !== undefined) return { type: 'answer', text, toolCalls };
  const { code, message } = error ?? { code: 'internal', message: `The task ended as ${state}` };
  return { type: 'error', code, message };
}
