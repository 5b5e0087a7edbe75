import type { PeerId, TaskOutcome } from '@skein/protocol';
import { conversationEntryOf, type SessionEntry } from '../session/session-entry.ts';
import type { NamedTool } from '../tool/tool-set.ts';
import type { Agent } from '../turn/agent.ts';
import type { Conversation, Opening } from '../turn/conversation.ts';
import type { ExecutorContext, Task, TaskExecutor } from './task.ts';
import { taskEventOf } from './task-events.ts';

export interface LocalExecutorParts {
  readonly agent: Agent;
  readonly self: PeerId;
  /** Which tools a task of another node may use here; its own tasks may use all. */
  readonly mayUse: (task: Task, named: NamedTool) => boolean;
}

/** Runs tasks with this node's own agent. */
export class LocalExecutor implements TaskExecutor {
  readonly owner = 'me';
  readonly #parts: LocalExecutorParts;

  constructor(parts: LocalExecutorParts) {
    this.#parts = parts;
  }

  async run(task: Task, context: ExecutorContext): Promise<TaskOutcome> {
    const { agent, self, mayUse } = this.#parts;
    const own = task.origin === self;
    const request = {
      text: task.text,
      sessionId: task.session,
      interactive: task.interactive,
      ...(task.source === undefined ? {} : { source: task.source }),
      ...(own ? {} : { onBehalfOf: task.path, mayUse: (named: NamedTool) => mayUse(task, named) }),
    };
    const answer = await agent.run(request, {
      signal: context.signal,
      conversation: new TaskConversation({ task, own, context }),
      keyPrefix: task.id,
      brain: (brain) => context.meter(brain),
      emit: async (event) => {
        const told = taskEventOf(event);
        if (told !== undefined) await context.emit(told);
      },
    });
    const toolCalls = answer.toolCalls.map((call) => ({ ...call, name: call.name.slice(0, 200) }));
    return { state: 'done', text: answer.text, toolCalls, tokens: 0 };
  }

  async confirm(_task: Task, id: string, approve: boolean): Promise<boolean> {
    return this.#parts.agent.confirm(id, approve);
  }
}

/** The conversation of a task, in its journal: the history came with it, and what is done goes there as it is done. */
class TaskConversation implements Conversation {
  readonly lane: string;
  readonly #task: Task;
  readonly #context: ExecutorContext;

  constructor(parts: { readonly task: Task; readonly own: boolean; readonly context: ExecutorContext }) {
    this.#task = parts.task;
    this.#context = parts.context;
    // Another node's conversation never waits for one of this node, whatever it is called.
    this.lane = parts.own ? parts.task.session : `${parts.task.origin}/${parts.task.sender}/${parts.task.session}`;
  }

  async open(): Promise<Opening> {
    return { history: this.#task.history, steps: this.#context.steps };
  }

  async append(entries: readonly SessionEntry[]): Promise<void> {
    await this.#context.emit({ type: 'step', entries: entries.map(conversationEntryOf) });
  }

  async intend({ id, name }: { readonly id: string; readonly name: string }): Promise<void> {
    await this.#context.emit({ type: 'intent', id, name });
  }
}
