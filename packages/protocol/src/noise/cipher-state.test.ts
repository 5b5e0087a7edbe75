import { createCipheriv } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CipherState, TAG_BYTES } from './cipher-state.ts';

const KEY = Buffer.alloc(32, 7);
const refused = expect.objectContaining({ code: 'unauthenticated' });

describe('a CipherState', () => {
  it('opens what its twin sealed, in order, and leaves the prefix readable', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ maxLength: 300 })), { maxLength: 5 }),
        (records) => {
          const [sender, receiver] = [new CipherState(KEY), new CipherState(KEY)];
          for (const [prefix, plaintext] of records) {
            const record = sender.seal(prefix, plaintext);
            expect(record).toHaveLength(prefix.length + plaintext.length + TAG_BYTES);
            expect(record.subarray(0, prefix.length)).toEqual(Buffer.from(prefix));
            expect(receiver.open(record, prefix.length)).toEqual(Buffer.from(plaintext));
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  it('refuses every single-bit flip, prefix included, and still opens the true record after', () => {
    const [sender, receiver] = [new CipherState(KEY), new CipherState(KEY)];
    const record = sender.seal(Buffer.from('head'), Buffer.from('body of a record'));
    for (let bit = 0; bit < record.length * 8; bit += 1) {
      const flipped = Buffer.from(record);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => receiver.open(flipped, 4)).toThrow(refused);
    }
    expect(receiver.open(record, 4).toString()).toBe('body of a record');
  });

  it('refuses every truncation', () => {
    const record = new CipherState(KEY).seal(Buffer.from('head'), Buffer.from('body'));
    for (let length = 0; length < record.length; length += 1) {
      expect(() => new CipherState(KEY).open(record.subarray(0, length), 4)).toThrow(refused);
    }
  });

  it('refuses a replay, a gap and another order', () => {
    const sender = new CipherState(KEY);
    const [first, second] = [sender.seal(Buffer.alloc(0), Buffer.from('1')), sender.seal(Buffer.alloc(0), Buffer.from('2'))];
    const receiver = new CipherState(KEY);
    expect(() => receiver.open(second, 0)).toThrow(refused);
    receiver.open(first, 0);
    expect(() => receiver.open(first, 0)).toThrow(refused);
    expect(receiver.open(second, 0).toString()).toBe('2');
  });

  it('rekeys by REKEY of Noise: the first 32 bytes of zeros encrypted under the nonce 2^64-1', () => {
    const cipher = createCipheriv('chacha20-poly1305', KEY, Buffer.from('00000000ffffffffffffffff', 'hex'), {
      authTagLength: 16,
    });
    const nextKey = cipher.update(Buffer.alloc(32));
    const rekeyed = new CipherState(KEY);
    rekeyed.rekey();
    expect(rekeyed.encryptWithAd(Buffer.alloc(0), Buffer.from('x'))).toEqual(
      new CipherState(nextKey).encryptWithAd(Buffer.alloc(0), Buffer.from('x')),
    );
  });

  it('keeps its counter over a rekey and refuses records of the old key', () => {
    const [sender, receiver] = [new CipherState(KEY), new CipherState(KEY)];
    receiver.open(sender.seal(Buffer.alloc(0), Buffer.from('1')), 0);
    const old = sender.seal(Buffer.alloc(0), Buffer.from('2'));
    receiver.rekey();
    expect(() => receiver.open(old, 0)).toThrow(refused);
    sender.rekey();
    expect(sender.counter).toBe(2);
  });
});
