import { BODY_BYTES_MAX, MESSAGE_TYPE, type OutgoingMessage, type Priority } from '@skein/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SendQueue } from './send-queue.ts';

const MIB = 1024 * 1024;
const RANK = { control: 0, interactive: 1, bulk: 2 } as const;

/** A message that says how large it is without being it. */
function message(priority: Priority, call: number, bodyBytes = 100): OutgoingMessage {
  return { type: MESSAGE_TYPE.request, priority, budgetMs: 0, call, body: '', bodyBytes };
}

const errorOf = (run: () => void): unknown => {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
};

describe('what waits for one peer', () => {
  it('leaves by priority, in each in the order it came, whatever came when', () => {
    const lane = fc.constantFrom('control' as const, 'interactive' as const, 'bulk' as const);
    const size = fc.integer({ min: 0, max: 60_000 });
    fc.assert(
      fc.property(fc.array(fc.tuple(lane, size), { maxLength: 80 }), fc.integer({ min: 1, max: 32 }), (given, max) => {
        const queue = new SendQueue();
        for (const [call, [priority, bytes]] of given.entries()) queue.push(message(priority, call, bytes));
        const left: OutgoingMessage[] = [];
        while (queue.count > 0) {
          const taken = queue.take(max, 48 * 1024);
          expect(taken.length).toBeGreaterThan(0);
          expect(taken.length).toBeLessThanOrEqual(max);
          const bytes = taken.reduce((sum, { bodyBytes }) => sum + bodyBytes, 0);
          expect(taken.length === 1 || bytes <= 48 * 1024).toBe(true);
          left.push(...taken);
        }
        const keys = left.map(({ priority, call }) => RANK[priority] * 1_000 + call);
        expect(keys).toEqual([...keys].sort((a, b) => a - b));
        expect(left.length).toBe(given.length);
      }),
    );
  });

  it('keeps its order through more than it moves at a time', () => {
    const queue = new SendQueue();
    const left: number[] = [];
    for (let call = 0; call < 5_000; call += 1) {
      queue.push(message('bulk', call));
      if (call % 3 === 0) left.push(...queue.take(2, MIB).map((taken) => taken.call));
    }
    while (queue.count > 0) left.push(...queue.take(32, MIB).map((taken) => taken.call));
    expect(left).toEqual(Array.from({ length: 5_000 }, (_, call) => call));
  });

  it('is at most 8 MiB or 16,384 messages, and the sender is told when to come back', () => {
    const bytes = new SendQueue();
    for (let call = 0; call < 8; call += 1) bytes.push(message('bulk', call, MIB));
    expect(errorOf(() => bytes.push(message('interactive', 9, 1)))).toMatchObject({ code: 'busy', retryAfterMs: 100 });
    expect(errorOf(() => bytes.assertRoom('bulk'))).toMatchObject({ code: 'busy', retryAfterMs: 100 });
    const count = new SendQueue();
    for (let call = 0; call < 16_384; call += 1) count.push(message('bulk', call, 0));
    expect(errorOf(() => count.push(message('bulk', 0, 0)))).toMatchObject({ code: 'busy', retryAfterMs: 100 });
    count.take(1, MIB);
    count.push(message('bulk', 0, 0));
  });

  it('has room left for control when it is full, and that has an end too', () => {
    const queue = new SendQueue();
    for (let call = 0; call < 16_384; call += 1) queue.push(message('bulk', call, 0));
    for (let call = 0; call < 16_384; call += 1) queue.push(message('control', call, 0));
    expect(errorOf(() => queue.push(message('control', 0, 0)))).toMatchObject({ code: 'busy' });
    expect(queue.take(1, MIB)[0]?.priority).toBe('control');
  });

  it('never takes a body above the bound, and forgets all when cleared', () => {
    const queue = new SendQueue();
    expect(errorOf(() => queue.push(message('control', 0, BODY_BYTES_MAX + 1)))).toMatchObject({ code: 'too-large' });
    queue.push(message('control', 0, BODY_BYTES_MAX));
    queue.clear();
    expect([queue.count, queue.take(10, MIB)]).toEqual([0, []]);
    for (let call = 0; call < 8; call += 1) queue.push(message('bulk', call, MIB));
  });
});
