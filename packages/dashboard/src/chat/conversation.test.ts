import type { AgentEvent } from '@skein/agent';
import { describe, expect, it } from 'vitest';
import { advanceTurn, beginTurn, decide, endTurn, mergeTurns, placeTask, textOf, turnsOf } from './conversation.ts';

function after(...events: AgentEvent[]) {
  return events.reduce((turn, event) => advanceTurn(turn, event, 100), beginTurn('k', 'question'));
}

const call = { id: 'c', name: 'p/t', peer: 'p' };

describe('a turn', () => {
  it('joins text and keeps it apart around a tool call', () => {
    const turn = after(
      { type: 'text-delta', text: 'a' },
      { type: 'text-delta', text: 'b' },
      { type: 'tool-call', ...call, input: {} },
      { type: 'text-delta', text: 'c' },
    );
    expect(turn.parts.map((part) => (part.type === 'text' ? part.text : part.type))).toEqual(['ab', 'tool', 'c']);
  });

  it('tells an answer once, streamed or not', () => {
    const streamed = after({ type: 'text-delta', text: ' It is so. ' }, { type: 'answer', text: 'It is so.', toolCalls: [] });
    const whole = after({ type: 'answer', text: 'It is so.', toolCalls: [] });
    expect(textOf(streamed).trim()).toBe('It is so.');
    expect(textOf(whole)).toBe('It is so.');
  });

  it('bounds the partial output of a call to its end', () => {
    const turn = after(
      { type: 'tool-call', ...call, input: {} },
      { type: 'tool-output', id: 'c', delta: 'x'.repeat(30_000) },
      { type: 'tool-output', id: 'c', delta: 'end' },
    );
    const [part] = turn.parts;
    expect(part?.type === 'tool' && part.partial.length).toBe(20_000);
    expect(part?.type === 'tool' && part.partial.endsWith('end')).toBe(true);
  });

  it('leaves no confirmation open once it is over', () => {
    const asked = after({ type: 'confirm-request', ...call, input: {}, reason: 'r' });
    const decision = (turn: typeof asked) => turn.parts.map((part) => (part.type === 'confirm' ? part.decision : null));
    expect(decision(endTurn(asked, { state: 'stopped', error: null }))).toEqual(['expired']);
    expect(decision(endTurn(decide(asked, 'c', 'refused'), { state: 'done', error: null }))).toEqual(['refused']);
  });

  it('is stopped, not failed, when its task was canceled', () => {
    expect(after({ type: 'error', code: 'canceled', message: 'The task was canceled' })).toMatchObject({
      state: 'stopped',
      error: null,
    });
  });

  it('waits for nobody once the call that was asked about goes on, whoever answered', () => {
    const asked = [
      { type: 'tool-call', ...call, input: { a: 1 } },
      { type: 'tool-call', ...call, id: 'other', input: { a: 2 } },
      { type: 'confirm-request', ...call, id: 'k', input: { a: 1 }, reason: 'r' },
    ] as const;
    const decisions = (turn: ReturnType<typeof after>) =>
      turn.parts.flatMap((part) => (part.type === 'confirm' ? [part.decision] : []));
    const result = { type: 'tool-result', ...call, ms: 1, output: null } as const;
    expect(decisions(after(...asked, { ...result, id: 'other', ok: true }))).toEqual(['open']);
    expect(decisions(after(...asked, { ...result, ok: true }))).toEqual(['approved']);
    expect(decisions(after(...asked, { ...result, ok: false }))).toEqual(['expired']);
    expect(decisions(after(...asked, { type: 'tool-output', id: 'c', delta: 'x' }))).toEqual(['approved']);
  });

  it('is made of past messages in pairs', () => {
    const turns = turnsOf([
      { role: 'user', text: 'q1' },
      { role: 'assistant', text: 'a1' },
      { role: 'user', text: 'q2' },
    ]);
    expect(turns.map((turn) => [turn.question, textOf(turn), turn.state])).toEqual([
      ['q1', 'a1', 'done'],
      ['q2', '', 'done'],
    ]);
    expect(turnsOf([{ role: 'assistant', text: 'alone' }]).map(textOf)).toEqual(['alone']);
  });
});

describe('a conversation that goes on elsewhere too', () => {
  const said = (question: string, ...answer: string[]) => [
    { role: 'user' as const, text: question },
    ...answer.map((text) => ({ role: 'assistant' as const, text })),
  ];
  const words = (turns: ReturnType<typeof mergeTurns>) => turns.map((turn) => `${turn.question}: ${textOf(turn).trim()}`);

  it('is shown in the order of the node, and keeps what was seen as it happened', () => {
    const seen = after(
      { type: 'turn-start', turnId: 't', sessionId: 's', brain: 'b' },
      { type: 'tool-call', ...call, input: {} },
      {
        type: 'answer',
        text: 'mine',
        toolCalls: [],
      },
    );
    const failed = endTurn(beginTurn('f', 'lost'), { state: 'failed', error: null });
    const past = turnsOf([...said('before', 'first'), ...said('question', 'mine'), ...said('after', 'last')], 'p');
    const merged = mergeTurns([seen, failed], past);
    expect(words(merged)).toEqual(['before: first', 'question: mine', 'after: last', 'lost: ']);
    expect(merged[1]).toBe(seen);
  });

  it('is one turn with what is kept of it, though a tool ran between its words', () => {
    const seen = after(
      { type: 'turn-start', turnId: 't', sessionId: 's', brain: 'b' },
      { type: 'text-delta', text: 'Looking. ' },
      { type: 'tool-call', ...call, input: {} },
      { type: 'text-delta', text: 'Found.' },
    );
    expect(mergeTurns([seen], turnsOf(said('question', 'Looking. ', 'Found.')))).toEqual([seen]);
  });

  it('shows a task in its own turn, in the past one that has its question alone, or anew', () => {
    const past = turnsOf([...said('again', 'once'), ...said('again')]);
    const task = { id: 'id', text: 'again' };
    const placed = placeTask(past, task, 'new');
    expect(placed.map(({ key, task: of, state }) => [key, of, state])).toEqual([
      ['past-0', null, 'done'],
      ['past-2', 'id', 'running'],
    ]);
    const [, running] = placed;
    const grown = [past[0], advanceTurn(running ?? past[1] ?? beginTurn('', ''), { type: 'text-delta', text: 'x' }, 1)];
    expect(
      placeTask(
        grown.flatMap((turn) => turn ?? []),
        task,
        'new',
      ),
    ).toEqual(placed);
    expect(placeTask(past, { id: 'id', text: 'else' }, 'new').at(-1)).toMatchObject({ key: 'new', question: 'else' });
  });

  it('fills in an answer that was not there yet, and says nothing twice', () => {
    const first = mergeTurns([], turnsOf(said('slow'), 'a'));
    const second = mergeTurns(first, turnsOf([...said('slow', 'done'), ...said('slow')], 'b'));
    expect(words(second)).toEqual(['slow: done', 'slow: ']);
    expect(words(mergeTurns(second, turnsOf([...said('slow', 'done'), ...said('slow', 'again')], 'c')))).toEqual([
      'slow: done',
      'slow: again',
    ]);
    expect(new Set(second.map((turn) => turn.key)).size).toBe(2);
  });
});
