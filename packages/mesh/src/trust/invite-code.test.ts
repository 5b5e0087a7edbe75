import { createIdentity } from '@skein/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatInviteCode, type InviteCode, parseInviteCode } from './invite-code.ts';

const peer = createIdentity().id;
const code: InviteCode = { peer, id: '0123456789abcdef', secret: Buffer.alloc(16, 7), addresses: ['192.168.1.20:9700'] };

describe('an invitation code', () => {
  it('reads back as it was made, also in upper case, cut into lines and with spaces around', () => {
    const text = formatInviteCode(code);
    expect(text).toMatch(/^skein1[a-z2-7]+$/);
    expect(text.length).toBeLessThan(150);
    expect(parseInviteCode(text)).toEqual(code);
    const pasted = `  ${text.toUpperCase().replace(/(.{40})/g, '$1\n  ')}\n`;
    expect(parseInviteCode(pasted)).toEqual(code);
  });

  it('reads back for all addresses and secrets', () => {
    const address = fc.oneof(
      fc.tuple(fc.domain(), fc.nat(65_535)).map(([host, port]) => `${host}:${port}`),
      fc.tuple(fc.ipV4(), fc.nat(65_535)).map(([host, port]) => `${host}:${port}`),
      fc.tuple(fc.ipV6(), fc.nat(65_535)).map(([host, port]) => `[${host}]:${port}`),
    );
    fc.assert(
      fc.property(
        fc.array(address, { minLength: 1, maxLength: 8 }),
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        (addresses, secret) => {
          fc.pre(addresses.every((text) => text.length <= 120));
          const made = { ...code, addresses, secret: Buffer.from(secret) };
          expect(parseInviteCode(formatInviteCode(made))).toEqual(made);
        },
      ),
    );
  });

  it('with any letter changed, left out or doubled is refused', () => {
    const text = formatInviteCode(code);
    for (let at = 0; at < text.length; at += 1) {
      const other = text[at] === 'a' ? 'b' : 'a';
      for (const wrong of [
        text.slice(0, at) + other + text.slice(at + 1),
        text.slice(0, at) + text.slice(at + 1),
        text.slice(0, at) + text.charAt(at) + text.slice(at),
      ]) {
        if (wrong !== text) expect(() => parseInviteCode(wrong)).toThrow(expect.objectContaining({ code: 'invalid' }));
      }
    }
  });

  it('says what is wrong with what is none', () => {
    expect(() => parseInviteCode('hello')).toThrow(/begins with "skein1"/);
    expect(() => parseInviteCode(`skein1${'a'.repeat(5_000)}`)).toThrow(/at most/);
    expect(() => parseInviteCode('skein1!!')).toThrow(/only a-z and 2-7/);
    expect(() => parseInviteCode(`${formatInviteCode(code).slice(0, -8)}`)).toThrow(/cut off or mistyped/);
  });

  it('is not made of what does not fit', () => {
    expect(() => formatInviteCode({ ...code, addresses: [] })).toThrow(/1 to 8 addresses/);
    expect(() => formatInviteCode({ ...code, addresses: ['nonsense'] })).toThrow(/host:port/);
    expect(() => formatInviteCode({ ...code, addresses: ['host:70000'] })).toThrow(/host:port/);
    expect(() => formatInviteCode({ ...code, secret: Buffer.alloc(8) })).toThrow(/a secret of 16/);
  });

  it('junk never throws anything but an error that says so', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), fc.boolean(), (junk, prefixed) => {
        expect(() => parseInviteCode(prefixed ? `skein1${junk}` : junk)).toThrow(expect.objectContaining({ code: 'invalid' }));
      }),
    );
  });
});
