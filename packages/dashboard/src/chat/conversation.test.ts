import type { AgentEvent } from '@skein/agent';
import { describe, expect, it } from 'vitest';
import { advanceTurn, beginTurn, decide, endTurn, textOf, turnsOf } from './conversation.ts';

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
