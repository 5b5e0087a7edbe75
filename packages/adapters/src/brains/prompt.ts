import type { LanguageModelV4FunctionTool, LanguageModelV4Message, LanguageModelV4ToolResultPart } from '@ai-sdk/provider';
import { type BrainRequest, formatAsData, type Message, type OfferedTool, type ToolCall } from '@skein/agent';
import type { ToolNames } from './tool-names.ts';

type ToolMessage = Extract<Message, { role: 'tool' }>;

/** Every tool name a request mentions: those offered, and those of calls in its history. */
export function namesOf({ tools, messages }: BrainRequest): Set<string> {
  const names = new Set(tools.map(({ name }) => name));
  for (const message of messages) {
    if (message.role === 'assistant') for (const call of message.toolCalls) names.add(call.name);
  }
  return names;
}

/**
 * A request as a provider's prompt. Providers refuse a call without its result and a result without its call, and both
 * occur in a history that was cut or whose turn was stopped: a missing result is said to be missing, a stray one is left
 * out. All results of one step stand together in one message, behind it.
 */
export function createPrompt(request: BrainRequest, names: ToolNames): LanguageModelV4Message[] {
  const prompt: LanguageModelV4Message[] = [];
  if (request.system !== '') prompt.push({ role: 'system', content: request.system });
  const { messages } = request;
  for (let at = 0; at < messages.length; at++) {
    const message = messages[at];
    if (message === undefined || message.role === 'tool') continue;
    if (message.role === 'user') {
      prompt.push({ role: 'user', content: [{ type: 'text', text: message.text }] });
      continue;
    }
    if (message.text === '' && message.toolCalls.length === 0) continue;
    prompt.push({
      role: 'assistant',
      content: [
        ...(message.text === '' ? [] : [{ type: 'text' as const, text: message.text }]),
        ...message.toolCalls.map((call) => ({
          type: 'tool-call' as const,
          toolCallId: call.id,
          toolName: names.toWire(call.name),
          input: historicInput(call.input),
        })),
      ],
    });
    if (message.toolCalls.length === 0) continue;
    const results = resultsAfter(messages, at);
    prompt.push({ role: 'tool', content: message.toolCalls.map((call) => resultPart(call, results.get(call.id), names)) });
  }
  return prompt;
}

/** The tools as a provider sees them. The peer stands in the name, so a model can choose by it. */
export function createTools(tools: readonly OfferedTool[], names: ToolNames): LanguageModelV4FunctionTool[] {
  return tools.map((tool) => ({
    type: 'function',
    name: names.toWire(tool.name),
    description: tool.peer === undefined ? tool.description : `${tool.description} (runs on ${tool.peer})`,
    inputSchema: { type: 'object', properties: {}, ...tool.input },
  }));
}

function resultsAfter(messages: readonly Message[], at: number): Map<string, ToolMessage> {
  const results = new Map<string, ToolMessage>();
  for (let next = at + 1; next < messages.length; next++) {
    const message = messages[next];
    if (message === undefined || message.role === 'assistant') break;
    if (message.role === 'tool') results.set(message.callId, message);
  }
  return results;
}

function resultPart(call: ToolCall, result: ToolMessage | undefined, names: ToolNames): LanguageModelV4ToolResultPart {
  const head = { type: 'tool-result' as const, toolCallId: call.id, toolName: names.toWire(call.name) };
  if (result === undefined)
    return { ...head, output: { type: 'error-text', value: 'There is no result: the call was interrupted' } };
  const { output, ok } = result;
  if (result.untrusted)
    return { ...head, output: { type: ok ? 'text' : 'error-text', value: formatAsData(call.name, output) } };
  if (typeof output === 'string') return { ...head, output: { type: ok ? 'text' : 'error-text', value: output } };
  return { ...head, output: { type: ok ? 'json' : 'error-json', value: output } };
}

/** Providers take only objects here; arguments that were not JSON are shown as the text they were. */
function historicInput(input: unknown): unknown {
  return typeof input === 'object' && input !== null && !Array.isArray(input) ? input : { invalidArguments: input ?? null };
}
