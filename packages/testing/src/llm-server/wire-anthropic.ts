import { argumentsOf, finishOf, fragments, type LlmRequest, type LlmTurn, textOf } from './script.ts';
import type { Wire } from './wire.ts';

const FINISH = { stop: 'end_turn', 'tool-calls': 'tool_use', length: 'max_tokens', filtered: 'refusal' } as const;

/** Messages: https://docs.anthropic.com/en/api/messages-streaming */
export const formatAnthropic: Wire = {
  answer(turn, request) {
    return request.stream
      ? { contentType: 'text/event-stream', events: streamed(turn, request) }
      : { contentType: 'application/json', events: [JSON.stringify(whole(turn, request))] };
  },
  textEvent: (text) => event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } }),
  errorEvent: (message) => event({ type: 'error', error: { type: 'overloaded_error', message } }),
  errorBody: (status, message) =>
    JSON.stringify({ type: 'error', error: { type: status === 429 ? 'rate_limit_error' : 'api_error', message } }),
  wrongEvent: event({ type: 'content_block_delta', index: 'x', delta: { type: 'text_delta', text: { a: 1 } } }),
};

function streamed(turn: LlmTurn, request: LlmRequest): string[] {
  const { inputTokens, outputTokens } = turn.usage ?? { inputTokens: 1, outputTokens: 1 };
  const events = [
    event({
      type: 'message_start',
      message: {
        ...envelope(request),
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: { input_tokens: inputTokens, output_tokens: 1 },
      },
    }),
    event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
    event({ type: 'ping' }),
  ];
  for (const text of fragments(textOf(turn, request), 8)) {
    events.push(event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } }));
  }
  events.push(event({ type: 'content_block_stop', index: 0 }));
  for (const [at, call] of (turn.toolCalls ?? []).entries()) {
    const index = at + 1;
    const block = { type: 'tool_use', id: call.id ?? `toolu_${at}`, name: call.name, input: {} };
    events.push(event({ type: 'content_block_start', index, content_block: block }));
    for (const piece of fragments(argumentsOf(call), 5)) {
      events.push(event({ type: 'content_block_delta', index, delta: { type: 'input_json_delta', partial_json: piece } }));
    }
    events.push(event({ type: 'content_block_stop', index }));
  }
  const delta = { stop_reason: FINISH[finishOf(turn)], stop_sequence: null };
  events.push(event({ type: 'message_delta', delta, usage: { output_tokens: outputTokens } }));
  events.push(event({ type: 'message_stop' }));
  return events;
}

function whole(turn: LlmTurn, request: LlmRequest): object {
  const { inputTokens, outputTokens } = turn.usage ?? { inputTokens: 1, outputTokens: 1 };
  const text = textOf(turn, request);
  const calls = (turn.toolCalls ?? []).map((call, at) => ({
    type: 'tool_use',
    id: call.id ?? `toolu_${at}`,
    name: call.name,
    input: call.input ?? {},
  }));
  return {
    ...envelope(request),
    content: [...(text === '' ? [] : [{ type: 'text', text }]), ...calls],
    stop_reason: FINISH[finishOf(turn)],
    stop_sequence: null,
    usage: { input_tokens: inputTokens, output_tokens: outputTokens },
  };
}

function envelope(request: LlmRequest): object {
  return { id: 'msg_script', type: 'message', role: 'assistant', model: request.model };
}

function event(data: { readonly type: string; readonly [field: string]: unknown }): string {
  return `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
}
