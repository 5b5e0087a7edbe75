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
  /** The call it is about; null when that was not seen. */
  readonly call: string | null;
  readonly decision: 'open' | 'approved' | 'refused' | 'expired';
}

export type TurnPart = { readonly type: 'text'; readonly text: string } | ToolPart | ConfirmPart;

/** One question and what came of it. */
export interface Turn {
  readonly key: string;
  /** The node's id of the work; null for a past turn. */
  readonly task: string | null;
  readonly question: string;
  readonly brain: string | null;
  readonly parts: readonly TurnPart[];
  readonly state: 'running' | 'done' | 'stopped' | 'failed';
  readonly error: { readonly code: ErrorCode; readonly message: string } | null;
}

/** Characters of a call's partial output that are kept; the oldest go. */
const MAX_PARTIAL = 20_000;

/** A turn just asked, or being told from its beginning. */
export function beginTurn(key: string, question: string, task: string | null = null): Turn {
  return { key, task, question, brain: null, parts: [], state: 'running', error: null };
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
      return changeTool(settleConfirm(turn, event.id, 'approved'), event.id, (tool) => ({
        ...tool,
        partial: (tool.partial + event.delta).slice(-MAX_PARTIAL),
      }));
    case 'tool-result': {
      const { ok, ms, output } = event;
      const settled = settleConfirm(turn, event.id, ok ? 'approved' : 'expired');
      return changeTool(settled, event.id, (tool) => ({ ...tool, result: { ok, ms, output } }));
    }
    case 'confirm-request': {
      const { id, name, peer, input, reason } = event;
      const call = callFor(turn, { name, input });
      return { ...turn, parts: [...turn.parts, { type: 'confirm', id, name, peer, input, reason, call, decision: 'open' }] };
    }
    case 'answer':
      return endTurn({ ...turn, parts: withAnswer(turn.parts, event.text) }, { state: 'done', error: null });
    case 'error':
      if (event.code === 'canceled') return endTurn(turn, { state: 'stopped', error: null });
      return endTurn(turn, { state: 'failed', error: { code: event.code, message: event.message } });
  }
}

/** Where a task that is told from its beginning is shown: in the turn it has, in the past one that has only its question, or anew. */
export function placeTask(
  turns: readonly Turn[],
  task: { readonly id: string; readonly text: string },
  newKey: string,
): readonly Turn[] {
  const place = turns.findLastIndex(
    (turn) => turn.task === task.id || (turn.task === null && turn.parts.length === 0 && turn.question === task.text),
  );
  const turn = turns[place];
  if (turn === undefined) return [...turns, beginTurn(newKey, task.text, task.id)];
  return turns.with(place, beginTurn(turn.key, turn.question, task.id));
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

/** Past messages as turns, to be shown as they would have looked; their keys begin with `name`. */
export function turnsOf(messages: readonly PastMessage[], name = 'past'): Turn[] {
  const turns: Turn[] = [];
  for (const [index, message] of messages.entries()) {
    const last = turns.at(-1);
    if (message.role === 'user' || last === undefined) {
      const question = message.role === 'user' ? message.text : '';
      turns.push({ ...beginTurn(`${name}-${index}`, question), state: 'done' });
    }
    if (message.role === 'assistant') {
      const turn = turns.at(-1);
      if (turn !== undefined)
        turns[turns.length - 1] = { ...turn, parts: [...turn.parts, { type: 'text', text: message.text }] };
    }
  }
  return turns;
}

/**
 * What is shown, with what was said in the conversation elsewhere, in the order of the node's turns. What was seen as it
 * happened stays as it is, since past turns say nothing of tool calls; so does what the node does not keep, since it failed.
 */
export function mergeTurns(shown: readonly Turn[], past: readonly Turn[]): readonly Turn[] {
  const merged: Turn[] = [];
  let at = 0;
  for (const turn of past) {
    const found = shown.findIndex((one, index) => index >= at && isSame(one, turn));
    const same = shown[found];
    if (same === undefined) merged.push(turn);
    else merged.push(...shown.slice(at, found), wasSeen(same) ? same : { ...turn, key: same.key });
    at = Math.max(at, found + 1);
  }
  return [...merged, ...shown.slice(at)];
}

/** One that is under way elsewhere has its question first, and its answer when it comes. */
function isSame(shown: Turn, past: Turn): boolean {
  return shown.question === past.question && (!wasSeen(shown) || wordsOf(shown).includes(wordsOf(past)));
}

/** The blanks around a tool call are not the model's. */
function wordsOf(turn: Turn): string {
  return textOf(turn).replace(/\s+/g, ' ').trim();
}

function wasSeen(turn: Turn): boolean {
  return turn.brain !== null;
}

/** The words of an answer, without what its tools said. */
export function textOf(turn: Turn): string {
  return turn.parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n');
}

/** The call that waits for this question. */
function callFor(turn: Turn, { name, input }: { readonly name: string; readonly input: unknown }): string | null {
  const text = JSON.stringify(input);
  const call = turn.parts.findLast(
    (part) => part.type === 'tool' && part.result === null && part.name === name && JSON.stringify(part.input) === text,
  );
  return call?.type === 'tool' ? call.id : null;
}

/** A call that goes on, or has ended, waits for nobody: somebody answered, here or in another window, or nobody did. */
function settleConfirm(turn: Turn, call: string, decision: ConfirmPart['decision']): Turn {
  const isOpen = (part: TurnPart) => part.type === 'confirm' && part.call === call && part.decision === 'open';
  if (!turn.parts.some(isOpen)) return turn;
  return { ...turn, parts: turn.parts.map((part) => (part.type === 'confirm' && isOpen(part) ? { ...part, decision } : part)) };
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
