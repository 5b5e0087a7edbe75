import { SkeinError } from '@skein/protocol';
import type { Brain, BrainPart, BrainRequest } from '../brain/brain.ts';
import type { AgentEvent, ToolCallSummary } from '../events.ts';
import type { MemoryStore } from '../memory/memory-store.ts';
import { fitHistory } from '../session/fit-history.ts';
import type { SessionEntry } from '../session/session-entry.ts';
import type { SessionStore } from '../session/session-store.ts';
import type { ToolSet } from '../tool/tool-set.ts';
import type { AgentOptions } from './agent-options.ts';
import type { Confirmations } from './confirmations.ts';
import { factsThatFit, systemPrompt } from './system-prompt.ts';
import { type CallOutcome, ToolCalls } from './tool-calls.ts';
import { iterateUntilAborted, untilAborted } from './waiting.ts';

/** One request to an agent. */
export interface AskRequest {
  readonly text: string;
  readonly sessionId: string;
  /** Somebody can answer a `confirm-request`; without, such a call is refused. */
  readonly interactive: boolean;
  /** Set when the text itself comes from outside, and from where: then nothing is changed on its word alone. */
  readonly source?: string;
}

export interface TurnParts {
  readonly turnId: string;
  readonly request: AskRequest;
  readonly brain: Brain;
  readonly tools: ToolSet;
  readonly sessions: SessionStore;
  readonly memory: MemoryStore | undefined;
  readonly confirmations: Confirmations;
  readonly options: AgentOptions;
  readonly now: () => number;
  readonly emit: (event: AgentEvent) => Promise<void>;
  readonly signal: AbortSignal;
}

/** One answer of the brain: what it said, and its calls with their results. */
interface Step {
  readonly text: string;
  readonly outcomes: readonly CallOutcome[];
  readonly reason: Extract<BrainPart, { type: 'finish' }>['reason'];
}

/** One turn: the user's text kept, then the brain asked until it answers without calling tools. */
export class Turn {
  readonly #parts: TurnParts;
  readonly #calls: ToolCalls;
  readonly #summaries: ToolCallSummary[] = [];
  readonly #sources = new Set<string>();
  #entries: readonly SessionEntry[] = [];
  #tainted = false;
  #tokens = 0;

  constructor(parts: TurnParts) {
    this.#parts = parts;
    this.#calls = new ToolCalls({ ...parts, interactive: parts.request.interactive });
  }

  /**
   * Runs to the answer, whose event it returns.
   * @throws SkeinError the brain's, `too-large` at a limit of the turn, `unavailable` and `corrupt` from the store, or the
   * signal's reason. What the steps before did is kept in the conversation; a failure never is.
   */
  async run(): Promise<AgentEvent> {
    const { request, sessions, options, turnId, brain, emit, signal } = this.#parts;
    const history = sessions.read(request.sessionId, { maxChars: options.maxHistoryChars });
    const asked: SessionEntry = { message: { role: 'user', text: request.text }, tainted: request.source !== undefined };
    await sessions.append(request.sessionId, [asked]);
    await untilAborted(emit({ type: 'turn-start', turnId, sessionId: request.sessionId, brain: brain.name }), signal);
    if (request.source !== undefined) this.#sources.add(request.source.slice(0, 100));
    this.#entries = [...history, asked];
    const facts = this.#recall();
    for (let number = 1; number <= options.maxSteps; number += 1) {
      const step = await this.#step(this.#request(facts), number === options.maxSteps);
      if (step.outcomes.length === 0) return this.#answer(step);
      await this.#keep(step);
      if (this.#tokens >= options.maxTurnTokens) throw tooManyTokens(this.#tokens, options.maxTurnTokens);
    }
    throw tooManySteps(options.maxSteps);
  }

  #request(facts: ReturnType<MemoryStore['search']>): BrainRequest {
    const { tools, options, now } = this.#parts;
    const entries = fitHistory(this.#entries, options.maxHistoryChars);
    for (const { message, tainted } of entries) {
      if (!tainted) continue;
      this.#tainted = true;
      if (message.role === 'tool') this.#sources.add(message.name);
    }
    const system = systemPrompt({
      name: options.name,
      instructions: options.instructions,
      nowMs: now(),
      tools: tools.all(),
      facts,
    });
    return { system, messages: entries.map((entry) => entry.message), tools: tools.offered() };
  }

  #recall(): ReturnType<MemoryStore['search']> {
    const { memory, options, request } = this.#parts;
    if (memory === undefined || options.maxFacts === 0) return [];
    const facts = factsThatFit(memory.search(request.text, { limit: options.maxFacts }), options.maxFactChars);
    for (const fact of facts) {
      if (fact.trusted) continue;
      this.#tainted = true;
      this.#sources.add(`memory of ${fact.author.slice(0, 60)}`);
    }
    return facts;
  }

  async #step(request: BrainRequest, last: boolean): Promise<Step> {
    const { brain, options, emit, signal } = this.#parts;
    const seen = { tainted: this.#tainted, sources: [...this.#sources] };
    const calls: Promise<CallOutcome | SkeinError>[] = [];
    let text = '';
    for await (const part of iterateUntilAborted(brain.respond(request, { signal }), signal)) {
      switch (part.type) {
        case 'text-delta':
          text += part.text;
          if (text.length > options.maxAnswerChars) throw tooLong(options.maxAnswerChars);
          if (part.text !== '') await untilAborted(emit({ type: 'text-delta', text: part.text }), signal);
          break;
        case 'tool-call':
          // What the last answer would call, no answer could tell of.
          if (last) throw tooManySteps(options.maxSteps);
          calls.push(this.#calls.start(part.call, seen));
          break;
        case 'finish': {
          this.#tokens += (part.usage?.inputTokens ?? 0) + (part.usage?.outputTokens ?? 0);
          const outcomes = (await untilAborted(Promise.all(calls), signal)).map(orThrow);
          return { text, outcomes, reason: part.reason };
        }
      }
    }
    throw new SkeinError(`The brain ${brain.name} stopped in the middle of its answer: ask again`, { code: 'unavailable' });
  }

  async #keep(step: Step): Promise<void> {
    const toolCalls = step.outcomes.map((outcome) => outcome.call);
    const entries: SessionEntry[] = [
      { message: { role: 'assistant', text: step.text, toolCalls }, tainted: this.#tainted },
      ...step.outcomes.map((outcome) => outcome.entry),
    ];
    for (const { source, summary } of step.outcomes) {
      this.#summaries.push(summary);
      if (source !== undefined) this.#sources.add(source);
    }
    this.#entries = [...this.#entries, ...entries];
    await this.#parts.sessions.append(this.#parts.request.sessionId, entries);
  }

  async #answer(step: Step): Promise<AgentEvent> {
    const { brain, sessions, request } = this.#parts;
    if (step.text.trim() === '') {
      const why = step.reason === 'filtered' ? 'its provider withheld the answer' : 'its answer was empty';
      throw new SkeinError(`The brain ${brain.name} gave nothing: ${why}. Ask in another way`, { code: 'unavailable' });
    }
    const message = { role: 'assistant', text: step.text, toolCalls: [] } as const;
    await sessions.append(request.sessionId, [{ message, tainted: this.#tainted }]);
    return { type: 'answer', text: step.text, toolCalls: this.#summaries };
  }
}

function orThrow(outcome: CallOutcome | SkeinError): CallOutcome {
  if (outcome instanceof SkeinError) throw outcome;
  return outcome;
}

function tooManySteps(maxSteps: number): SkeinError {
  return new SkeinError(`No answer after ${maxSteps} steps, the most one turn may take: ask for less at once`, {
    code: 'too-large',
  });
}

function tooManyTokens(tokens: number, maxTokens: number): SkeinError {
  return new SkeinError(
    `No answer after ${tokens} tokens; one turn may take ${maxTokens} (agent.maxTurnTokens): ask for less at once`,
    { code: 'too-large' },
  );
}

function tooLong(maxChars: number): SkeinError {
  return new SkeinError(`The brain's answer went over ${maxChars} characters, so it was stopped`, { code: 'too-large' });
}
