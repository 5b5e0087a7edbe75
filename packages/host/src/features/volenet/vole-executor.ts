import { type ExecutorContext, failedOutcome, type Slots, type Task, type TaskExecutor } from '@skein/agent';
import type { VolePeer } from '@skein/dialects';
import { type ConversationEntry, type PeerId, SkeinError, type TaskOutcome } from '@skein/protocol';

/** What was said and done before, as far as it goes along. */
const SAID_CHARS_MAX = 40_000;
/** What an OpenVole node takes as one task. */
const INPUT_CHARS_MAX = 100_000;
/** How one says that its brain is not for this node: it has done nothing. */
const NOT_ALLOWED = /^(?:Brain access not allowed|Not allowed: )/;

export interface VoleExecutorParts {
  readonly peer: VolePeer;
  /** What the one who asks is called here. */
  readonly fromName: string;
  /** The tasks that the peer does at once for this node. */
  readonly slots: Slots;
  /** The peer had the task when this node stopped. */
  readonly hadIt: boolean;
  /** The peer said that it does no tasks for this node. */
  readonly onDenied: () => void;
}

/**
 * Has an OpenVole node do a task. It tells nothing on the way and cannot be stopped, so all of it counts as one call that
 * must never be repeated. When the connection or this node is lost meanwhile, the task ends as `unknown`; canceled or out
 * of time, it ends as `canceled` or `failed` and says that it may go on over there.
 */
export class VoleExecutor implements TaskExecutor {
  readonly #parts: VoleExecutorParts;

  constructor(parts: VoleExecutorParts) {
    this.#parts = parts;
  }

  get owner(): PeerId {
    return this.#parts.peer.id;
  }

  async run(task: Task, { emit, signal, remainingMs, steps }: ExecutorContext): Promise<TaskOutcome> {
    const { peer, slots, hadIt, onDenied } = this.#parts;
    if (hadIt) {
      const message = `${peer.name} had this task when this node stopped: nobody knows what it did; skein tasks retry gives it anew`;
      return failedOutcome('unknown', { code: 'unavailable', message });
    }
    using _slot = await slots.take(signal);
    // Before the intent: what was never sent can still be given to another.
    if (!peer.isConnected) throw new SkeinError(`${peer.name} is not connected`, { code: 'unavailable' });
    if (task.text.length > INPUT_CHARS_MAX) {
      throw new SkeinError(`A task of ${task.text.length} characters is over the ${INPUT_CHARS_MAX} that VoleNet takes`, {
        code: 'too-large',
      });
    }
    await emit({ type: 'intent', id: `${task.id}:${task.attempt}`, name: `${peer.name} (VoleNet)` });
    const end = await peer.delegate({ input: this.#input(task, steps) }, { signal, timeoutMs: remainingMs });
    if (end.status === 'completed') return { state: 'done', text: end.result ?? '', toolCalls: [], tokens: 0 };
    const reason = end.error ?? 'it gave no reason';
    const isDenied = end.status === 'failed' && NOT_ALLOWED.test(reason);
    if (isDenied) onDenied();
    const message = `${peer.name} did not do the task: ${reason}`;
    return failedOutcome(end.status === 'cancelled' ? 'canceled' : 'failed', {
      code: isDenied ? 'denied' : end.status === 'cancelled' ? 'canceled' : 'unavailable',
      message,
    });
  }

  /** What was said and done before goes along as text: there is no other place for it. */
  #input({ history, text }: Task, steps: readonly ConversationEntry[]): string {
    const asked = `${this.#parts.fromName}: ${text}`;
    const said = history.flatMap(({ message }) => {
      if (message.role === 'tool' || message.text === '') return [];
      return [`${message.role === 'user' ? this.#parts.fromName : 'You'}: ${message.text}`];
    });
    const done = steps.flatMap(linesOf);
    if (said.length === 0 && done.length === 0) return text;
    const already = done.length === 0 ? [] : [`Already done of it, not to be done again:\n${endOf(done)}`];
    const room = INPUT_CHARS_MAX - asked.length;
    const whole = [...(said.length === 0 ? [] : [endOf(said)]), ...already].join('\n\n');
    return `${whole.slice(-Math.max(1, room - 2))}\n\n${asked}`.toWellFormed();
  }
}

function linesOf({ message }: ConversationEntry): readonly string[] {
  switch (message.role) {
    case 'user':
      return [];
    case 'tool':
      return [`${message.name} ${message.ok ? 'gave' : 'failed with'} ${JSON.stringify(message.output)}`];
    case 'assistant':
      return message.text === '' ? [] : [`You: ${message.text}`];
  }
}

function endOf(lines: readonly string[]): string {
  return lines.join('\n').slice(-SAID_CHARS_MAX);
}
