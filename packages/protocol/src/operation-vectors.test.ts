import { createHash, createPrivateKey, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { hybridMs, hybridTime, nextHybridTime, parseHybridTime } from './hybrid-time.ts';
import { parseIdentity } from './keys.ts';
import { isBodyOf, OPERATION_LOGS, parseOperationHead, sealOperation, verifyOperation } from './operation.ts';

const FILE = fileURLToPath(new URL('../vectors/operations.json', import.meta.url));
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const vectors = z
  .object({
    keys: z.array(z.object({ seed: z.string(), publicKey: z.string(), peerId: z.string() })).min(1),
    operations: z
      .array(
        z.object({
          author: z.int(),
          log: z.enum(['memory', 'sessions']),
          replica: z.string(),
          seq: z.int(),
          timeMs: z.int(),
          counter: z.int(),
          previous: z.string(),
          body: z.string(),
          bodyDigest: z.string(),
          signedText: z.string(),
          head: z.string(),
          digest: z.string(),
          name: z.string(),
        }),
      )
      .min(1),
    refused: z.array(z.object({ why: z.string(), head: z.string() })).min(1),
    times: z.array(z.object({ why: z.string(), last: z.string(), nowMs: z.int(), next: z.string() })).min(1),
  })
  .parse(JSON.parse(readFileSync(FILE, 'utf8')));

const hex = (text: string): Buffer => Buffer.from(text, 'hex');

function keyOf(index: number) {
  const row = vectors.keys[index];
  if (row === undefined) throw new Error(`there is no key ${index}`);
  const der = Buffer.concat([PKCS8_PREFIX, hex(row.seed)]);
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  return { ...row, privateKey, identity: parseIdentity(privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()) };
}

describe('the vectors of operations', () => {
  it.each(vectors.operations)('$name is sealed and read as they say', (vector) => {
    const { identity } = keyOf(vector.author);
    const { log, replica, seq, body } = vector;
    const time = hybridTime(vector.timeMs, vector.counter);
    const sealed = sealOperation(identity, { log, replica, seq, time, previous: hex(vector.previous), body });
    expect(sealed.bytes.toString('hex')).toBe(vector.head);
    const head = parseOperationHead(hex(vector.head));
    expect(head).toMatchObject({ log, replica, seq, time, author: identity.id });
    expect(head.digest.toString('hex')).toBe(vector.digest);
    expect(head.bodyDigest.toString('hex')).toBe(vector.bodyDigest);
    expect(hybridMs(head.time)).toBe(vector.timeMs);
    expect(`${head.author}.${head.replica}.${head.seq}`).toBe(vector.name);
    expect(verifyOperation(head)).toBe(true);
    expect(isBodyOf(head, body)).toBe(true);
  });

  it('are what PROTOCOL.md says, computed by hand', () => {
    for (const vector of vectors.operations) {
      const { privateKey, publicKey, peerId } = keyOf(vector.author);
      const number = (value: number, bytes: number) => value.toString(16).padStart(bytes * 2, '0');
      const rest = hex(
        [
          '01',
          number(OPERATION_LOGS[vector.log], 1),
          '0000',
          publicKey,
          vector.replica,
          number(vector.seq, 8),
          number(vector.timeMs, 6),
          number(vector.counter, 2),
          vector.previous,
          createHash('sha256').update(vector.body, 'utf8').digest('hex'),
        ].join(''),
      );
      const signedText = Buffer.concat([Buffer.from('skein operation 1\n', 'ascii'), rest]);
      expect(vector.signedText).toBe(signedText.toString('hex'));
      expect(vector.head).toBe(Buffer.concat([sign(null, signedText, privateKey), rest]).toString('hex'));
      expect(vector.digest).toBe(createHash('sha256').update(rest).digest('hex'));
      expect(vector.name).toBe(`${peerId}.${vector.replica}.${vector.seq}`);
    }
  });

  it('hold a chain: each names the digest of the one before it', () => {
    const [first, second] = vectors.operations;
    expect(first?.previous).toBe('00'.repeat(32));
    expect(second?.previous).toBe(first?.digest);
  });

  it.each(vectors.refused)('a head is refused: $why', ({ head }) => {
    expect(accepted(hex(head))).toBe(false);
  });

  it.each(vectors.times)('the next time: $why', ({ last, nowMs, next }) => {
    expect(nextHybridTime(parseHybridTime(last), nowMs)).toBe(next);
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
