import type { AgentEvent } from '@skein/agent';
import type { ErrorCode, Json } from '@skein/protocol';
import type { PastMessage } from '../api/api.ts';

/** A tool call as it is seen: running until it has a result. */
export interface ToolPart {
  readonly type: 'tool';
  readonly id: string;
  readonly name: string;
  readonly peer: string | null;
  readonly input: unknown;
  readonly startedAtMs: number;
  /** Partial output so far, the end of it. */
  readonly partial: string;
  readonly result: { readonly ok: boolean; readonly ms: number; readonly output: Json } | null;
}

/** A call that waits, or waited, for a person's word. */
export interface ConfirmPart {
  readonly type: 'confirm';
  readonly id: string;
  readonly name: string;
  readonly peer: string | null;
  readonly input: unknown;
  readonly reason: string;
  readonly decision: 'open' | 'approved' | 'refused' | 'expired';
}

export type TurnPart = { readonly type: 'text'; readonly text: string } | ToolPart | ConfirmPart;

/** One question and what came of it. */
export interface Turn {
  readonly key: string;
  readonly question: string;
  readonly brain: string | null;
  readonly parts: readonly TurnPart[];
  readonly state: 'running' | 'done' | 'stopped' | 'failed';
  readonly error: { readonly code: ErrorCode; readonly message: string } | null;
}

/** Characters of a call's partial output that are kept; the oldest go. */
const MAX_PARTIAL = 20_000;

/** A turn just asked. */
export function beginTurn(key: string, question: string): Turn {
  return { key, question, brain: null, parts: [], state: 'running', error: null };
}

/** The turn after one more event. */
export function advanceTurn(turn: Turn, event: AgentEvent, atMs: number): Turn {
  switch (event.type) {
    case 'turn-start':
      return { ...turn, brain: event.brain };
    case 'text-delta':
      return { ...turn, parts: appendText(turn.parts, event.text) };
    case 'tool-call': {
      const { id, name, peer, input } = event;
      return {
        ...turn,
        parts: [...turn.parts, { type: 'tool', id, name, peer, input, startedAtMs: atMs, partial: '', result: null }],
      };
    }
    case 'tool-output':
      return changeTool(turn, event.id, (tool) => ({ ...tool, partial: (tool.partial + event.delta).slice(-MAX_PARTIAL) }));
    case 'tool-result': {
      const { ok, ms, output } = event;
      return changeTool(turn, event.id, (tool) => ({ ...tool, result: { ok, ms, output } }));
    }
    case 'confirm-request': {
      const { id, name, peer, input, reason } = event;
      return { ...turn, parts: [...turn.parts, { type: 'confirm', id, name, peer, input, reason, decision: 'open' }] };
    }
    case 'answer':
      return endTurn({ ...turn, parts: withAnswer(turn.parts, event.text) }, { state: 'done', error: null });
    case 'error':
      return endTurn(turn, { state: 'failed', error: { code: event.code, message: event.message } });
  }
}

/** The turn after it ended, whatever it was still waiting for. */
export function endTurn(turn: Turn, end: Pick<Turn, 'state' | 'error'>): Turn {
  const parts = turn.parts.map((part) =>
    part.type === 'confirm' && part.decision === 'open' ? { ...part, decision: 'expired' as const } : part,
  );
  return { ...turn, ...end, parts };
}

/** The turn after a person decided. */
export function decide(turn: Turn, id: string, decision: ConfirmPart['decision']): Turn {
  const parts = turn.parts.map((part) => (part.type === 'confirm' && part.id === id ? { ...part, decision } : part));
  return { ...turn, parts };
}

/** Past messages as turns, to be shown as they would have looked. */
export function turnsOf(messages: readonly PastMessage[]): Turn[] {
  const turns: Turn[] = [];
  for (const [index, message] of messages.entries()) {
    const last = turns.at(-1);
    if (message.role === 'user' || last === undefined) {
      const question = message.role === 'user' ? message.text : '';
      turns.push({ ...beginTurn(`past-${index}`, question), state: 'done' });
    }
    if (message.role === 'assistant') {
      const turn = turns.at(-1);
      if (turn !== undefined)
        turns[turns.length - 1] = { ...turn, parts: [...turn.parts, { type: 'text', text: message.text }] };
    }
  }
  return turns;
}

/** The words of an answer, without what its tools said. */
export function textOf(turn: Turn): string {
  return turn.parts.map((part) => (part.type === 'text' ? part.text : '')).join('\n');
}

function appendText(parts: readonly TurnPart[], text: string): readonly TurnPart[] {
  const last = parts.at(-1);
  if (last?.type !== 'text') return [...parts, { type: 'text', text }];
  return [...parts.slice(0, -1), { type: 'text', text: last.text + text }];
}

/** A brain that streams has told its answer already; one that does not tells it here for the first time. */
function withAnswer(parts: readonly TurnPart[], answer: string): readonly TurnPart[] {
  const told = parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
  return answer.trim() === '' || told.includes(answer.trim()) ? parts : [...parts, { type: 'text', text: answer }];
}

function changeTool(turn: Turn, id: string, change: (tool: ToolPart) => ToolPart): Turn {
  return { ...turn, parts: turn.parts.map((part) => (part.type === 'tool' && part.id === id ? change(part) : part)) };
}
