import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createIdentity,
  formatIdentity,
  formatKeyLine,
  parseIdentity,
  parseKeyLine,
  parseName,
  publicIdentity,
  signBytes,
  verifyBytes,
} from './keys.ts';

const refused = (code: string, words: string) => expect.objectContaining({ code, message: expect.stringContaining(words) });

describe('an identity', () => {
  it('comes back from its file as it was', () => {
    const identity = createIdentity();
    const back = parseIdentity(formatIdentity(identity));
    expect([back.id, Buffer.from(back.bytes)]).toEqual([identity.id, Buffer.from(identity.bytes)]);
    expect(verifyBytes(identity, Buffer.from('x'), signBytes(back, Buffer.from('x')))).toBe(true);
  });

  it.each([
    ['nothing', ''],
    ['half a key', formatIdentity(createIdentity()).slice(0, 60)],
    ['a public key', createIdentity().key.export({ type: 'spki', format: 'pem' }).toString()],
    ['another kind of key', generateKeyPairSync('x25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()],
  ])('from %s is refused as corrupt, and the error does not quote it', (_name, pem) => {
    try {
      parseIdentity(pem);
    } catch (error) {
      expect(error).toMatchObject({ code: 'corrupt' });
      const secret = pem.split('\n')[1] ?? '';
      if (secret !== '') expect(JSON.stringify([String(error), error])).not.toContain(secret);
      return;
    }
    expect.fail('it was taken');
  });
});

describe('a signature', () => {
  const [alice, bob] = [createIdentity(), createIdentity()];

  it('is good for its bytes and its key, and for no other', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.uint8Array({ maxLength: 100 }), (bytes, other) => {
        const signature = signBytes(alice, bytes);
        expect(verifyBytes(alice, bytes, signature)).toBe(true);
        expect(verifyBytes(bob, bytes, signature)).toBe(false);
        expect(verifyBytes(alice, other, signature)).toBe(Buffer.from(bytes).equals(other));
      }),
    );
  });

  it('of any other length than 64 bytes is none', () => {
    const signature = signBytes(alice, Buffer.from('x'));
    for (const length of [0, 1, 63]) expect(verifyBytes(alice, Buffer.from('x'), signature.subarray(0, length))).toBe(false);
    expect(verifyBytes(alice, Buffer.from('x'), Buffer.concat([signature, Buffer.of(0)]))).toBe(false);
  });

  it('has one spelling: its scalar plus the order of the group is refused', () => {
    const signature = signBytes(alice, Buffer.from('x'));
    const order = 2n ** 252n + 27_742_317_777_372_353_535_851_937_790_883_648_493n;
    const scalar = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`) + order;
    const second = Buffer.concat([
      signature.subarray(0, 32),
      Buffer.from(scalar.toString(16).padStart(64, '0'), 'hex').reverse(),
    ]);
    expect(verifyBytes(alice, Buffer.from('x'), second)).toBe(false);
  });

  it('that would fit any bytes under a key of small order fits none', () => {
    // The points whose multiples are few (RFC 8032, 5.1): with such a key anybody could sign anything.
    const smallOrder = [
      '00'.repeat(32),
      `01${'00'.repeat(31)}`,
      `ec${'ff'.repeat(30)}7f`,
      '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
      'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    ];
    const anybodys = Buffer.from(`01${'00'.repeat(63)}`, 'hex');
    for (const point of smallOrder) {
      const key = publicIdentity(Buffer.from(point, 'hex'));
      for (let index = 0; index < 64; index += 1) expect(verifyBytes(key, Buffer.of(index), anybodys), point).toBe(false);
    }
  });
});

describe('a key line', () => {
  const identity = createIdentity();
  const base64 = Buffer.from(identity.bytes).toString('base64');

  it('comes back as it was, VoleNet’s form too', () => {
    expect(parseKeyLine(formatKeyLine(identity, 'us-monitor'))).toMatchObject({
      name: 'us-monitor',
      identity: { id: identity.id },
    });
    const spki = identity.key.export({ type: 'spki', format: 'der' }).toString('base64');
    expect(parseKeyLine(`vole-ed25519 ${spki} old url=x`)).toMatchObject({ name: 'old', identity: { id: identity.id } });
    expect(parseKeyLine(`skein-ed25519 ${base64}`).name).toBe(identity.id.slice(0, 8));
  });

  it.each([
    ['another kind', `ssh-ed25519 ${base64} x`, 'skein-ed25519'],
    ['no key', 'skein-ed25519', '32 bytes'],
    ['a key that is not base64', 'skein-ed25519 !!! x', 'not base64'],
    ['a key spelt another way', `skein-ed25519 ${base64.replace(/=$/, '')} x`, 'not base64'],
    ['a short key', `skein-ed25519 ${Buffer.alloc(31).toString('base64')} x`, '32 bytes'],
    ['a raw key in VoleNet’s form', `vole-ed25519 ${base64} x`, 'SubjectPublicKeyInfo'],
    ['a name nobody can type', `skein-ed25519 ${base64} ../x`, 'not a name'],
    ['nothing', '', 'skein-ed25519'],
  ])('with %s is refused, and says why', (_name, line, words) => {
    expect(() => parseKeyLine(line)).toThrow(refused('invalid', words));
  });
});

it.each(['', '.x', '-x', 'a b', 'a/b', 'a\n', 'ä', 'x'.repeat(65), '__proto__'])('"%s" is no name', (name) => {
  expect(() => parseName(name)).toThrow(refused('invalid', 'not a name'));
});
