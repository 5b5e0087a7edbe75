import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Message } from '../brain/brain.ts';
import { fitHistory, messageChars } from './fit-history.ts';
import type { SessionEntry } from './session-entry.ts';

const step = fc.record({
  text: fc.string({ maxLength: 60 }),
  calls: fc.nat({ max: 3 }),
  output: fc.string({ maxLength: 300 }),
});
const turn = fc.record({ text: fc.string({ maxLength: 80 }), steps: fc.array(step, { maxLength: 4 }) });

/** A well-formed conversation. */
const conversation = fc.array(turn, { minLength: 1, maxLength: 8 }).map((turns) => {
  let id = 0;
  const messages: Message[] = turns.flatMap(({ text, steps }) => [
    { role: 'user', text },
    ...steps.flatMap(({ text: said, calls, output }): Message[] => {
      const toolCalls = Array.from({ length: calls }, () => ({ id: `c${id++}`, name: 't', input: {} }));
      const results = toolCalls.map((one): Message => ({ role: 'tool', callId: one.id, name: 't', output, ok: true }));
      return [{ role: 'assistant', text: said, toolCalls }, ...results];
    }),
  ]);
  return messages.map((message): SessionEntry => ({ message, tainted: message.role === 'tool' }));
});

const idsOf = (entries: readonly SessionEntry[], role: 'calls' | 'results') =>
  entries.flatMap(({ message }) => {
    if (role === 'calls') return message.role === 'assistant' ? message.toolCalls.map((one) => one.id) : [];
    return message.role === 'tool' ? [message.callId] : [];
  });

describe('what fits', () => {
  test('begins with a user, ends with the newest, and pairs every call with its result', () => {
    void fc.assert(
      fc.property(conversation, fc.integer({ min: 0, max: 4_000 }), (entries, maxChars) => {
        const kept = fitHistory(entries, maxChars);
        expect(kept[0]?.message.role).toBe('user');
        expect(idsOf(kept, 'results')).toEqual(idsOf(kept, 'calls'));
        const size = kept.reduce((sum, { message }) => sum + messageChars(message), 0);
        const lastUser = entries.findLast(({ message }) => message.role === 'user');
        expect(kept).toContainEqual(lastUser);
        expect(size).toBeLessThanOrEqual(Math.max(maxChars, lastUser === undefined ? 0 : messageChars(lastUser.message)));
      }),
    );
  });

  test('is everything when there is room, but for answers that say and call nothing', () => {
    void fc.assert(
      fc.property(conversation, (entries) => {
        const said = entries.filter(
          ({ message }) => message.role !== 'assistant' || message.text !== '' || message.toolCalls.length > 0,
        );
        expect(fitHistory(entries, 1e9)).toEqual(said);
      }),
    );
  });

  test('leaves out a result without its call, and a call without its result', () => {
    const entries: readonly SessionEntry[] = [
      { role: 'tool', callId: 'lost', name: 't', output: 1, ok: true } as const,
      { role: 'user', text: 'q' } as const,
      {
        role: 'assistant',
        text: '',
        toolCalls: [
          { id: 'a', name: 't', input: {} },
          { id: 'b', name: 't', input: {} },
        ],
      } as const,
      { role: 'tool', callId: 'b', name: 't', output: 2, ok: true } as const,
      { role: 'tool', callId: 'strange', name: 't', output: 3, ok: true } as const,
    ].map((message) => ({ message, tainted: false }));
    const kept = fitHistory(entries, 1e9);
    expect(idsOf(kept, 'calls')).toEqual(['b']);
    expect(idsOf(kept, 'results')).toEqual(['b']);
  });

  test('keeps the taint of an output that it left out', () => {
    const entries: readonly SessionEntry[] = [
      { message: { role: 'user', text: 'q' }, tainted: false },
      { message: { role: 'assistant', text: '', toolCalls: [{ id: 'a', name: 't', input: {} }] }, tainted: false },
      { message: { role: 'tool', callId: 'a', name: 't', output: 'x'.repeat(5_000), ok: true }, tainted: true },
    ];
    const kept = fitHistory(entries, 500);
    expect(kept.at(-1)).toMatchObject({ message: { output: expect.stringContaining('left out') }, tainted: true });
  });
});
