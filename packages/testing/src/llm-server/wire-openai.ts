import { argumentsOf, finishOf, fragments, type LlmRequest, type LlmTurn, textOf } from './script.ts';
import type { Wire } from './wire.ts';

const FINISH = { stop: 'stop', 'tool-calls': 'tool_calls', length: 'length', filtered: 'content_filter' } as const;

/** Chat completions: https://platform.openai.com/docs/api-reference/chat */
export const formatOpenAi: Wire = {
  answer(turn, request) {
    return request.stream
      ? { contentType: 'text/event-stream', events: streamed(turn, request) }
      : { contentType: 'application/json', events: [JSON.stringify(whole(turn, request))] };
  },
  textEvent: (text, request) => event(chunk(request, { content: text }, null)),
  errorEvent: (message) => event({ error: { message, type: 'server_error', code: null, param: null } }),
  errorBody: (status, message) =>
    JSON.stringify({ error: { message, type: status === 429 ? 'rate_limit_exceeded' : 'api_error', code: null, param: null } }),
  wrongEvent: event({ id: 7, object: [], choices: [{ index: 'x', delta: { content: { a: 1 }, tool_calls: 'no' } }] }),
};

function streamed(turn: LlmTurn, request: LlmRequest): string[] {
  const events = [event(chunk(request, { role: 'assistant', content: '' }, null))];
  for (const text of fragments(textOf(turn, request), 8)) events.push(event(chunk(request, { content: text }, null)));
  const calls = (turn.toolCalls ?? []).map((call, index) => ({ call, index, pieces: fragments(argumentsOf(call), 5) }));
  for (const { call, index } of calls) {
    const start = { index, id: call.id ?? `call_${index}`, type: 'function', function: { name: call.name, arguments: '' } };
    events.push(event(chunk(request, { tool_calls: [start] }, null)));
  }
  // Fragments of parallel calls take turns: only the index tells them apart.
  const longest = Math.max(0, ...calls.map(({ pieces }) => pieces.length));
  for (let at = 0; at < longest; at++) {
    for (const { index, pieces } of calls) {
      const piece = pieces[at];
      if (piece === undefined) continue;
      events.push(event(chunk(request, { tool_calls: [{ index, function: { arguments: piece } }] }, null)));
    }
  }
  events.push(event(chunk(request, {}, FINISH[finishOf(turn)])));
  if (wantsUsage(request)) events.push(event({ ...chunk(request, {}, null), choices: [], usage: usage(turn) }));
  events.push('data: [DONE]\n\n');
  return events;
}

function whole(turn: LlmTurn, request: LlmRequest): object {
  const calls = (turn.toolCalls ?? []).map((call, index) => ({
    id: call.id ?? `call_${index}`,
    type: 'function',
    function: { name: call.name, arguments: argumentsOf(call) },
  }));
  const message = { role: 'assistant', content: textOf(turn, request), ...(calls.length ? { tool_calls: calls } : {}) };
  return {
    id: 'chatcmpl-script',
    object: 'chat.completion',
    created: 1_700_000_000,
    model: request.model,
    choices: [{ index: 0, message, finish_reason: FINISH[finishOf(turn)] }],
    usage: usage(turn),
  };
}

function chunk(request: LlmRequest, delta: object, finish: string | null): object {
  return {
    id: 'chatcmpl-script',
    object: 'chat.completion.chunk',
    created: 1_700_000_000,
    model: request.model,
    choices: [{ index: 0, delta, finish_reason: finish }],
  };
}

function wantsUsage({ body }: LlmRequest): boolean {
  const options = body.stream_options;
  return typeof options === 'object' && options !== null && 'include_usage' in options && options.include_usage === true;
}

function usage(turn: LlmTurn): object {
  const { inputTokens, outputTokens } = turn.usage ?? { inputTokens: 1, outputTokens: 1 };
  return { prompt_tokens: inputTokens, completion_tokens: outputTokens, total_tokens: inputTokens + outputTokens };
}

function event(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}
