import { finishOf, fragments, type LlmRequest, type LlmTurn, textOf } from './script.ts';
import type { Wire } from './wire.ts';

/** /api/chat: https://github.com/ollama/ollama/blob/main/docs/api.md */
export const formatOllama: Wire = {
  answer(turn, request) {
    const last = line({ ...part(request, ''), ...ending(turn) });
    const calls = toolCalls(turn);
    if (!request.stream) {
      const message = { role: 'assistant', content: textOf(turn, request), ...calls };
      return { contentType: 'application/json', events: [line({ ...part(request, ''), message, ...ending(turn) })] };
    }
    const events = fragments(textOf(turn, request), 8).map((text) => line(part(request, text)));
    if (calls.tool_calls.length)
      events.push(line({ ...part(request, ''), message: { role: 'assistant', content: '', ...calls } }));
    return { contentType: 'application/x-ndjson', events: [...events, last] };
  },
  textEvent: (text, request) => line(part(request, text)),
  errorEvent: (message) => line({ error: message }),
  errorBody: (_status, message) => JSON.stringify({ error: message }),
  wrongEvent: line({ model: 7, message: 'no', done: 'perhaps' }),
};

/** Ollama sends whole calls, their arguments as an object. */
function toolCalls(turn: LlmTurn): { tool_calls: object[] } {
  return {
    tool_calls: (turn.toolCalls ?? []).map((call) => ({
      function: { name: call.name, arguments: call.rawInput ?? call.input ?? {} },
    })),
  };
}

function part(request: LlmRequest, content: string): object {
  return { model: request.model, created_at: '2026-01-01T00:00:00Z', message: { role: 'assistant', content }, done: false };
}

function ending(turn: LlmTurn): object {
  const { inputTokens, outputTokens } = turn.usage ?? { inputTokens: 1, outputTokens: 1 };
  return {
    done: true,
    done_reason: finishOf(turn) === 'length' ? 'length' : 'stop',
    total_duration: 1,
    load_duration: 1,
    prompt_eval_count: inputTokens,
    prompt_eval_duration: 1,
    eval_count: outputTokens,
    eval_duration: 1,
  };
}

function line(data: object): string {
  return `${JSON.stringify(data)}\n`;
}
