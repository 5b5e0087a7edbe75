import { abortReason } from '@skein/protocol';
import type { Brain, BrainPart, BrainRequest, Message } from '../brain.ts';
import { composeAnswer } from './answers.ts';
import { buildCatalog } from './catalog.ts';
import type { Turn } from './conversation.ts';
import { planLast, turnsOf } from './conversation.ts';
import { Planner } from './planning.ts';
import { callsOf } from './subject.ts';

export interface IntentsBrainOptions {
  /** How the node that runs it is called, in requests and answers. */
  readonly thisNode?: string;
}

const DEFAULTS = { thisNode: 'this node' } as const;
const DELTA_CHARACTERS = 48;
/** It costs nothing, and says so: a brain that says nothing is taken to cost what its texts are long. */
const NO_TOKENS = { inputTokens: 0, outputTokens: 0 } as const;

/**
 * A brain that needs no model and no network. It matches what is asked to the examples the offered tools declare, calls
 * them on the nodes that are meant, and tells what they answered. It keeps no state: the same messages and tools always
 * give the same parts.
 */
export function createIntentsBrain(options: IntentsBrainOptions = {}): Brain {
  const thisNode = options.thisNode ?? DEFAULTS.thisNode;
  return {
    name: 'intents (built in)',
    respond: (request, { signal }) => respond(request, { thisNode, signal }),
  };
}

async function* respond(
  request: BrainRequest,
  { thisNode, signal }: { readonly thisNode: string; readonly signal: AbortSignal },
): AsyncGenerator<BrainPart> {
  if (signal.aborted) throw abortReason(signal);
  const catalog = buildCatalog(request.tools, request.peers);
  const planner = new Planner({ catalog, thisNode });
  const turns = turnsOf(request.messages);
  const last = turns.at(-1);
  const plan = planLast(turns, planner, { catalog, thisNode });
  if (last !== undefined && last.calls.length > 0) {
    const subjects = plan.type === 'calls' ? plan.subjects : [];
    const notes = plan.type === 'calls' ? plan.notes : [];
    yield* say(composeAnswer(subjects, outcomesOf(last), { thisNode, notes }), signal);
    return;
  }
  if (plan.type === 'say') {
    yield* say(plan.text, signal);
    return;
  }
  const taken = new Set(request.messages.flatMap(callIds));
  let number = request.messages.length;
  for (const { name, input } of callsOf(plan.subjects)) {
    if (signal.aborted) throw abortReason(signal);
    while (taken.has(`call-${number}`)) number += 1;
    yield { type: 'tool-call', call: { id: `call-${number}`, name, input } };
    number += 1;
  }
  yield { type: 'finish', reason: 'tool-calls', usage: NO_TOKENS };
}

function callIds(message: Message): string[] {
  return message.role === 'assistant' ? message.toolCalls.map((call) => call.id) : [];
}

function outcomesOf(turn: Turn) {
  return turn.calls.map((call) => {
    const found = turn.results.get(call.id);
    return { call, result: found === undefined ? undefined : { output: found.output, ok: found.ok } };
  });
}

/** Text in pieces of a few words, as a model would stream it. */
async function* say(text: string, signal: AbortSignal): AsyncGenerator<BrainPart> {
  let at = 0;
  while (at < text.length) {
    if (signal.aborted) throw abortReason(signal);
    const space = text.indexOf(' ', at + DELTA_CHARACTERS);
    let end = space < 0 || space > at + DELTA_CHARACTERS * 4 ? Math.min(text.length, at + DELTA_CHARACTERS * 4) : space;
    // Never between the halves of a character outside the first plane.
    if (!text.slice(at, end).isWellFormed()) end += 1;
    yield { type: 'text-delta', text: text.slice(at, end) };
    at = end;
  }
  if (signal.aborted) throw abortReason(signal);
  yield { type: 'finish', reason: 'stop', usage: NO_TOKENS };
}
