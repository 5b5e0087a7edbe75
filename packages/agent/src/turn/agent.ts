import { SkeinError } from '@skein/protocol';
import type { Brain } from '../brain/brain.ts';
import type { AgentEvent } from '../events.ts';
import type { AuthorLabel } from '../memory/fact-view.ts';
import type { MemoryStore } from '../memory/memory-store.ts';
import type { SessionStore } from '../session/session-store.ts';
import type { ToolSet } from '../tool/tool-set.ts';
import { AGENT_DEFAULTS, type AgentOptions } from './agent-options.ts';
import { Confirmations } from './confirmations.ts';
import { type Conversation, SessionConversation } from './conversation.ts';
import { Lanes } from './lanes.ts';
import { checkRequestText } from './request-text.ts';
import type { KnownPeer } from './system-prompt.ts';
import { type AskRequest, Turn } from './turn.ts';
import { TurnStream } from './turn-stream.ts';
import { Scope } from './waiting.ts';

export interface AgentParts {
  readonly brain: Brain;
  readonly tools: ToolSet;
  readonly sessions: SessionStore;
  /** Without it, nothing is recalled. */
  readonly memory?: MemoryStore;
  /** The connected peers, for the brain to know; without, those whose tools it has. */
  readonly peers?: () => readonly KnownPeer[];
  /** The label of an author of facts, by its proven id. */
  readonly authorLabel?: (id: string) => AuthorLabel | undefined;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Ids that cannot be guessed: a confirmation is answered by one. */
  readonly randomId: () => string;
  readonly options?: Partial<AgentOptions>;
}

/** What a turn is run with, beside its request. */
export interface RunContext {
  readonly emit: (event: AgentEvent) => Promise<void>;
  readonly signal: AbortSignal;
  /** Without, that of the request's session in the agent's own store. */
  readonly conversation?: Conversation;
  /** What the keys of its calls begin with; without, they have none. */
  readonly keyPrefix?: string;
  /** The brain to ask, made from the agent's own. */
  readonly brain?: (own: Brain) => Brain;
}

/** One agent: its brain, tools and conversations. Disposing it ends the turns that run. */
export class Agent {
  readonly #parts: AgentParts;
  #options: AgentOptions;
  readonly #confirmations: Confirmations;
  readonly #lanes: Lanes;
  readonly #life = new Scope({ what: 'The agent' });
  readonly #running = new Set<Promise<unknown>>();
  readonly #turns = new Set<Scope>();

  constructor(parts: AgentParts) {
    this.#parts = parts;
    this.#options = { ...AGENT_DEFAULTS, ...parts.options };
    this.#confirmations = new Confirmations(parts);
    this.#lanes = new Lanes({ maxWaiting: this.#options.maxWaitingTurns, maxInAll: this.#options.maxTurns });
  }

  /**
   * One turn, beginning with the first read, after the ones before it in its conversation. The user's text is kept before
   * `turn-start` is told. The last event is `answer` or `error`; only an abort of the signal throws (`canceled`). To stop
   * reading cancels it.
   */
  ask(request: AskRequest, options: { readonly signal: AbortSignal }): AsyncIterableIterator<AgentEvent> {
    return new TurnStream({
      signal: options.signal,
      timeoutMs: this.#options.turnTimeoutMs,
      work: (context) => this.run(request, context),
    });
  }

  /**
   * One turn, at once, to its answer; told as it goes, waiting for whoever is told. It has no time limit but its signal.
   * @throws SkeinError what the turn failed with, or the signal's reason.
   */
  run(request: AskRequest, context: RunContext): Promise<AgentEvent & { readonly type: 'answer' }> {
    return this.#track(this.#turn(request, context));
  }

  /** Other options, for the turns that begin from now on; `paused` ends those that run. How many may run and wait stays as it was. */
  configure(options: Partial<AgentOptions>): void {
    this.#options = { ...this.#options, ...options };
    if (this.#options.paused) for (const turn of this.#turns) turn.abort(paused());
  }

  /** A person's answer to a `confirm-request`. False when nothing with this id waits (any more). */
  confirm(id: string, approve: boolean): boolean {
    return this.#confirmations.answer(id, approve);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#life.abort(new SkeinError('The agent is stopping', { code: 'unavailable' }));
    await Promise.allSettled(this.#running);
  }

  async #turn(request: AskRequest, context: RunContext): Promise<AgentEvent & { readonly type: 'answer' }> {
    const { brain, tools, sessions, memory, now, randomId, peers = () => [], authorLabel } = this.#parts;
    const { conversation = new SessionConversation({ sessions, sessionId: request.sessionId }) } = context;
    const text = checkRequestText(request.text);
    if (this.#options.paused) throw paused();
    using scope = new Scope({ parent: context.signal, what: 'The turn' });
    // Not a second parent: the agent outlives its turns, and each must let go of it when it ends.
    const { signal: life } = this.#life;
    const stop = () => scope.abort(new SkeinError('The agent is stopping', { code: 'unavailable' }));
    if (life.aborted) stop();
    life.addEventListener('abort', stop, { once: true });
    this.#turns.add(scope);
    try {
      using _lane = await this.#lanes.enter(conversation.lane, { signal: scope.signal });
      const turn = new Turn({
        turnId: randomId(),
        request: { ...request, text },
        brain: context.brain?.(brain) ?? brain,
        tools,
        conversation,
        keyPrefix: context.keyPrefix,
        memory,
        peers,
        authorLabel,
        confirmations: this.#confirmations,
        options: this.#options,
        now,
        emit: context.emit,
        signal: scope.signal,
      });
      return await turn.run();
    } finally {
      life.removeEventListener('abort', stop);
      this.#turns.delete(scope);
      scope.abort(new SkeinError('The turn has ended', { code: 'canceled' }));
    }
  }

  async #track<T>(work: Promise<T>): Promise<T> {
    this.#running.add(work);
    try {
      return await work;
    } finally {
      this.#running.delete(work);
    }
  }
}

function paused(): SkeinError {
  return new SkeinError('The brain of this node is paused (agent.paused): nothing is asked of it', { code: 'unavailable' });
}
