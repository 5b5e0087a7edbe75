import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createRoute,
  HEADER_BYTES,
  MESSAGE_TYPE,
  type OutgoingMessage,
  parseHeader,
  traceOf,
  writeMessage,
} from './envelope.ts';

const ROUTE = createRoute(Buffer.alloc(32, 1), Buffer.alloc(32, 2), Buffer.alloc(16, 3));
const ASK: OutgoingMessage = { type: MESSAGE_TYPE.request, priority: 'bulk', budgetMs: 9, call: 4, body: '{}', bodyBytes: 2 };

function written(message: OutgoingMessage = ASK, stamp = { sequence: 5, timeMs: 6 }): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + message.bodyBytes);
  writeMessage(bytes, 0, ROUTE, message, stamp);
  return bytes;
}

describe('a header', () => {
  it('comes back with every field as it was, up to the largest numbers', () => {
    const whole = fc.maxSafeNat();
    const message = fc.record({
      type: fc.constantFrom(...Object.values(MESSAGE_TYPE)),
      priority: fc.constantFrom('control' as const, 'interactive' as const, 'bulk' as const),
      budgetMs: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      call: whole,
      body: fc.string({ unit: 'binary', maxLength: 50 }),
      trace: fc.option(fc.uint8Array({ minLength: 16, maxLength: 16 }), { nil: undefined }),
    });
    fc.assert(
      fc.property(message, whole, whole, (fields, sequence, timeMs) => {
        const { body, trace, ...header } = fields;
        const bytes = written({ ...fields, bodyBytes: Buffer.byteLength(body) }, { sequence, timeMs });
        const { bodyStart, bodyEnd, ...read } = parseHeader(bytes, 0, ROUTE);
        expect(read).toEqual({ ...header, sequence, timeMs });
        expect(bytes.toString('utf8', bodyStart, bodyEnd)).toBe(Buffer.from(body).toString());
        const isTraced = trace?.some((byte) => byte !== 0) ?? false;
        expect(traceOf(bytes, bodyStart)).toEqual(isTraced ? trace : undefined);
      }),
    );
  });

  it('is written over whatever stood there before', () => {
    const bytes = Buffer.alloc(HEADER_BYTES + 2, 0xff);
    writeMessage(bytes, 0, ROUTE, ASK, { sequence: 5, timeMs: 6 });
    expect(bytes).toEqual(written());
  });

  it.each([
    ['another version', 0, 2, 'unsupported'],
    ['version 0', 0, 0, 'unsupported'],
    ['no type', 1, 0, 'invalid'],
    ['a type there is not', 1, 11, 'invalid'],
    ['a priority there is not', 2, 3, 'invalid'],
    ['the first reserved byte', 3, 1, 'invalid'],
    ['the last reserved bytes', 111, 1, 'invalid'],
    ['a body longer than what came', 4, 1, 'invalid'],
    ['another sender', 8, 9, 'denied'],
    ['another recipient', 71, 9, 'denied'],
    ['another session', 87, 9, 'denied'],
    ['a sequence above 2^53', 88, 0x20, 'invalid'],
    ['a time above 2^53', 96, 0xff, 'invalid'],
    ['a call above 2^53', 112, 0x20, 'invalid'],
  ])('with %s is refused', (_name, at, value, code) => {
    const bytes = written();
    bytes[at] = value;
    expect(() => parseHeader(bytes, 0, ROUTE)).toThrow(expect.objectContaining({ code }));
  });

  it('cut at any length is refused', () => {
    const bytes = written();
    for (let length = 0; length < bytes.length; length += 1) {
      expect(() => parseHeader(bytes.subarray(0, length), 0, ROUTE)).toThrow(expect.objectContaining({ code: 'invalid' }));
    }
  });
});

it('a route of anything but two ids and a session is our own fault', () => {
  expect(() => createRoute(Buffer.alloc(32), Buffer.alloc(31), Buffer.alloc(16))).toThrow(
    expect.objectContaining({ code: 'internal' }),
  );
});
