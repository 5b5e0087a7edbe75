import { type PeerId, SkeinError } from '@skein/protocol';
import type { Brain, BrainPart, BrainRequest } from '../brain/brain.ts';
import type { AgentEvent, ToolCallSummary } from '../events.ts';
import { type AuthorLabel, memoryOf } from '../memory/fact-view.ts';
import type { MemoryStore } from '../memory/memory-store.ts';
import { fitHistory } from '../session/fit-history.ts';
import type { SessionEntry } from '../session/session-entry.ts';
import type { NamedTool, ToolSet } from '../tool/tool-set.ts';
import type { AgentOptions } from './agent-options.ts';
import type { Confirmations } from './confirmations.ts';
import type { Conversation } from './conversation.ts';
import { stepsBefore } from './steps-before.ts';
import { factsThatFit, type KnownPeer, systemPrompt } from './system-prompt.ts';
import { type CallOutcome, type StartedCall, ToolCalls } from './tool-calls.ts';
import { iterateUntilAborted, untilAborted } from './waiting.ts';

/** One request to an agent. */
export interface AskRequest {
  readonly text: string;
  readonly sessionId: string;
  /** Somebody can answer a `confirm-request`; without, such a call is refused. */
  readonly interactive: boolean;
  /** Set when the text itself comes from outside, and from where: then nothing is changed on its word alone. */
  readonly source?: string;
  /** The nodes this is done for, the one that was asked first; then nothing of this node's own memory is recalled. */
  readonly onBehalfOf?: readonly PeerId[];
  /** Which tools it may use: the others are neither offered nor run. Without, all of them. */
  readonly mayUse?: (named: NamedTool) => boolean;
}

export interface TurnParts {
  readonly turnId: string;
  readonly request: AskRequest;
  readonly brain: Brain;
  readonly tools: ToolSet;
  readonly conversation: Conversation;
  /** What the keys of its calls begin with; without, they have none. */
  readonly keyPrefix: string | undefined;
  readonly memory: MemoryStore | undefined;
  readonly peers: () => readonly KnownPeer[];
  readonly authorLabel: ((id: string) => AuthorLabel | undefined) | undefined;
  readonly confirmations: Confirmations;
  readonly options: AgentOptions;
  readonly now: () => number;
  readonly emit: (event: AgentEvent) => Promise<void>;
  readonly signal: AbortSignal;
}

/** One answer of the brain: what it said, and the ends of its calls. */
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
  #said: readonly string[] = [];
  #tokens = 0;

  constructor(parts: TurnParts) {
    this.#parts = parts;
    const { interactive, onBehalfOf, mayUse } = parts.request;
    this.#calls = new ToolCalls({ ...parts, interactive, onBehalfOf, mayUse });
  }

  /**
   * Runs to the answer, whose event it returns. One that was cut off goes on where its steps end: the same calls, under
   * the same keys.
   * @throws SkeinError the brain's, `too-large` at a limit of the turn, `unavailable` and `corrupt` from the store, or the
   * signal's reason. What the steps before did is kept in the conversation; a failure never is.
   */
  async run(): Promise<AgentEvent & { readonly type: 'answer' }> {
    const { request, conversation, options, turnId, brain, emit, signal } = this.#parts;
    const asked: SessionEntry = { message: { role: 'user', text: request.text }, tainted: request.source !== undefined };
    const { history, steps } = await conversation.open(asked, { maxChars: options.maxHistoryChars });
    await untilAborted(emit({ type: 'turn-start', turnId, sessionId: request.sessionId, brain: brain.name }), signal);
    if (request.source !== undefined) this.#sources.add(request.source.slice(0, 100));
    this.#entries = [...history, asked, ...steps];
    const facts = this.#recall();
    const before = await this.#resume(steps);
    if (before.answer !== undefined) return this.#told(before.answer);
    for (let number = before.count + 1; number <= options.maxSteps; number += 1) {
      const step = await this.#step(this.#request(facts), number === options.maxSteps);
      if (step.outcomes.length === 0) return this.#answer(step);
      if (this.#tokens >= options.maxTurnTokens) throw tooManyTokens(this.#tokens, options.maxTurnTokens);
    }
    throw tooManySteps(options.maxSteps);
  }

  /** Takes up the steps that were made before: how many answers of the brain, and the last one when that was the end. */
  async #resume(steps: readonly SessionEntry[]): Promise<{ readonly count: number; readonly answer: string | undefined }> {
    const { done, open, answers, last } = stepsBefore(steps);
    if (last === undefined) return { count: 0, answer: undefined };
    this.#calls.remember([...done.map(({ call }) => call), ...open]);
    this.#summaries.push(...done.map(({ summary }) => summary));
    this.#look(this.#entries);
    const seen = { tainted: last.tainted, sources: [...this.#sources], said: this.#said };
    await this.#finish(open.map((call) => this.#calls.resume(call, seen, Promise.resolve())));
    return { count: answers, answer: last.message.toolCalls.length === 0 ? last.message.text : undefined };
  }

  #request(facts: ReturnType<MemoryStore['search']>): BrainRequest {
    const { tools, options, now } = this.#parts;
    const { mayUse = () => true } = this.#parts.request;
    const entries = fitHistory(this.#entries, options.maxHistoryChars);
    this.#look(entries);
    const usable = tools.all().filter(mayUse);
    const names = new Set(usable.map((named) => named.name));
    const system = systemPrompt({
      name: options.name,
      instructions: options.instructions,
      nowMs: now(),
      tools: usable,
      facts,
      peers: this.#parts.peers(),
    });
    return {
      system,
      messages: entries.map((entry) => entry.message),
      tools: tools.offered().filter(({ name }) => names.has(name)),
      peers: this.#parts.peers().map(({ name }) => name),
    };
  }

  /** Notes what of this is from outside, and what this node's people said. */
  #look(entries: readonly SessionEntry[]): void {
    this.#said = entries.flatMap(({ message, tainted }) => (message.role === 'user' && !tainted ? [message.text] : []));
    for (const { message, tainted } of entries) {
      if (!tainted) continue;
      this.#tainted = true;
      if (message.role === 'tool') this.#sources.add(message.name);
    }
  }

  #recall(): ReturnType<MemoryStore['search']> {
    const { memory, options, request, authorLabel } = this.#parts;
    // What this node remembers is not told to another by way of an answer: that is what the memory tools are granted for.
    if (memory === undefined || options.maxFacts === 0 || request.onBehalfOf !== undefined) return [];
    const facts = factsThatFit(memory.search(request.text, { limit: options.maxFacts }), options.maxFactChars);
    for (const fact of facts) {
      if (fact.trusted) continue;
      this.#tainted = true;
      this.#sources.add(memoryOf(fact, authorLabel?.(fact.author)));
    }
    return facts;
  }

  async #step(request: BrainRequest, last: boolean): Promise<Step> {
    const { brain, options, emit, signal } = this.#parts;
    const seen = { tainted: this.#tainted, sources: [...this.#sources], said: this.#said };
    const calls: StartedCall[] = [];
    const kept = Promise.withResolvers<void>();
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
          calls.push(this.#calls.start(part.call, seen, kept.promise));
          break;
        case 'finish': {
          this.#tokens += (part.usage?.inputTokens ?? 0) + (part.usage?.outputTokens ?? 0);
          if (calls.length === 0) return { text, outcomes: [], reason: part.reason };
          await this.#append({
            message: { role: 'assistant', text, toolCalls: calls.map(({ call }) => call) },
            tainted: seen.tainted,
          });
          kept.resolve();
          return { text, outcomes: await this.#finish(calls), reason: part.reason };
        }
      }
    }
    throw new SkeinError(`The brain ${brain.name} stopped in the middle of its answer: ask again`, { code: 'unavailable' });
  }

  /** Waits for calls, each of which keeps its own result. */
  async #finish(calls: readonly StartedCall[]): Promise<readonly CallOutcome[]> {
    const { signal } = this.#parts;
    const outcomes = (await untilAborted(Promise.all(calls.map(({ outcome }) => outcome)), signal)).map(orThrow);
    for (const { source, summary, entry } of outcomes) {
      this.#summaries.push(summary);
      this.#entries = [...this.#entries, entry];
      if (source !== undefined) this.#sources.add(source);
    }
    return outcomes;
  }

  async #append(entry: SessionEntry): Promise<void> {
    this.#entries = [...this.#entries, entry];
    await untilAborted(this.#parts.conversation.append([entry]), this.#parts.signal);
  }

  async #answer(step: Step): Promise<AgentEvent & { readonly type: 'answer' }> {
    if (step.text.trim() === '') {
      const why = step.reason === 'filtered' ? 'its provider withheld the answer' : 'its answer was empty';
      throw new SkeinError(`The brain ${this.#parts.brain.name} gave nothing: ${why}. Ask in another way`, {
        code: 'unavailable',
      });
    }
    await this.#append({ message: { role: 'assistant', text: step.text, toolCalls: [] }, tainted: this.#tainted });
    return this.#told(step.text);
  }

  #told(text: string): AgentEvent & { readonly type: 'answer' } {
    return { type: 'answer', text, toolCalls: this.#summaries };
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
