import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HYBRID_TIME_ZERO, hybridMs, hybridTime, nextHybridTime, parseHybridTime } from './hybrid-time.ts';
import { createIdentity, parseIdentity } from './keys.ts';
import { isBodyOf, NO_OPERATION, parseOperationHead, sealOperation, verifyOperation } from './operation.ts';

/** Of the private key whose seed is 32 times 0x07. */
const KEY = `-----BEGIN PRIVATE KEY-----
${Buffer.from(`302e020100300506032b657004220420${'07'.repeat(32)}`, 'hex').toString('base64')}
-----END PRIVATE KEY-----`;

const fields = {
  log: 'memory',
  replica: '0011223344556677',
  seq: 1,
  time: hybridTime(1_700_000_000_000, 5),
  previous: NO_OPERATION,
  body: '{"type":"forget","fact":"f","removes":[]}',
} as const;

describe('an operation', () => {
  test('stands byte for byte as PROTOCOL.md says', () => {
    const head = sealOperation(parseIdentity(KEY), fields);
    const hex = head.bytes.toString('hex');
    expect(hex.slice(128)).toBe(
      [
        '01', // version
        '01', // memory
        '0000',
        'ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c', // the key
        '0011223344556677', // replica
        '0000000000000001', // sequence
        '018bcfe568000005', // time
        '00'.repeat(32), // previous
        head.bodyDigest.toString('hex'),
      ].join(''),
    );
    expect(hex.slice(0, 128)).toBe(VECTOR_SIGNATURE);
    expect(head.bodyDigest.toString('hex')).toBe(VECTOR_BODY_DIGEST);
    expect(verifyOperation(head)).toBe(true);
  });

  test('reads back as it was sealed', () => {
    const author = createIdentity();
    const head = parseOperationHead(sealOperation(author, { ...fields, log: 'sessions', seq: 2 ** 40 }).bytes);
    expect(head).toMatchObject({
      log: 'sessions',
      seq: 2 ** 40,
      author: author.id,
      replica: fields.replica,
      time: fields.time,
    });
    expect(isBodyOf(head, fields.body)).toBe(true);
    expect(isBodyOf(head, `${fields.body} `)).toBe(false);
  });

  test('that was changed in any bit is not the author’s, or none at all', () => {
    const { bytes } = sealOperation(createIdentity(), fields);
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(accepted(changed), `bit ${bit}`).toBe(false);
    }
  });

  test('of any other bytes is refused, and never more than that', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0, maxLength: 200 }), (bytes) => {
        expect(accepted(Buffer.from(bytes))).toBe(false);
      }),
    );
  });

  test('with a body above the bound is not made', () => {
    expect(() => sealOperation(createIdentity(), { ...fields, body: 'é'.repeat(200_001) })).toThrow(
      expect.objectContaining({ code: 'too-large' }),
    );
  });
});

describe('hybrid time', () => {
  const time = fc.tuple(fc.nat({ max: 2 ** 47 }), fc.nat({ max: 0xffff })).map(([ms, count]) => hybridTime(ms, count));

  test('only ever grows, and is never behind the wall clock', () => {
    fc.assert(
      fc.property(time, fc.nat({ max: 2 ** 47 }), (last, nowMs) => {
        const next = nextHybridTime(last, nowMs);
        expect(next > last).toBe(true);
        expect(hybridMs(next)).toBeGreaterThanOrEqual(nowMs);
        expect(parseHybridTime(next)).toBe(next);
      }),
    );
  });

  test('goes over into the next millisecond when one is full', () => {
    expect(nextHybridTime(hybridTime(5, 0xffff), 5)).toBe(hybridTime(6, 0));
    expect(nextHybridTime(HYBRID_TIME_ZERO, 0)).toBe(hybridTime(0, 1));
  });

  test.each(['', '0', 'g'.repeat(16), '0'.repeat(17), 'A'.repeat(16)])('is not %j', (text) => {
    expect(() => parseHybridTime(text)).toThrow(expect.objectContaining({ code: 'invalid' }));
  });
});

function accepted(bytes: Buffer): boolean {
  try {
    return verifyOperation(parseOperationHead(bytes));
  } catch (thrown) {
    expect(thrown).toMatchObject({ code: 'invalid' });
    return false;
  }
}

const VECTOR_SIGNATURE =
  '0a5be9a580ee3b428a1b630b0ef58f19c5b0ed8ff48df1d353f7bd84e7af0f96220ec121666e1692cc602b6b43035f4ac6e93381b64313949ec2e87bada36507';
const VECTOR_BODY_DIGEST = '98eb42ad97dbe7b5961748ab08fc1da9d68b2fbc55fe43debb0b9b9632b10005';
