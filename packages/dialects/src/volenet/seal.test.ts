import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type BoxKeys, BoxOpener, type BoxPublicKeys, BoxSealer, type SealedBox } from './seal.ts';

function recipient() {
  const x25519 = generateKeyPairSync('x25519');
  const mlKem = generateKeyPairSync('ml-kem-768');
  return {
    open: { x25519: x25519.publicKey, mlKem: mlKem.publicKey },
    keys: { x25519: x25519.privateKey, mlKem: mlKem.privateKey },
  };
}

/** A sealer whose clock stands until it is moved. */
function sealer(to: BoxPublicKeys, aad = 'a|b') {
  let nowMs = 0;
  const box = new BoxSealer({ to, aad, clock: { monotonicMs: () => nowMs } });
  return {
    box,
    seal: (text: string) => box.seal(text),
    wait: (ms: number) => {
      nowMs += ms;
    },
  };
}

const openBox = (box: SealedBox, keys: BoxKeys, aad: string) => new BoxOpener(keys).open(box, aad).toString();

describe('a sealed box', () => {
  const to = recipient();
  const versions = [
    { name: 'of the first version', keys: { x25519: to.open.x25519 } },
    { name: 'of the second version', keys: to.open },
  ];

  it.each(versions)('$name opens to what was sealed, by its recipient, for its purpose', ({ keys }) => {
    const box = sealer(keys).seal('hällo');
    expect(openBox(box, to.keys, 'a|b')).toBe('hällo');
    expect(() => openBox(box, to.keys, 'a|c')).toThrow('does not open');
    expect(() => openBox(box, recipient().keys, 'a|b')).toThrow('does not open');
  });

  it.each(versions)('$name opens no more when any part of it is changed, left out or cut', ({ keys }) => {
    const box = sealer(keys).seal('a message');
    // Of two who open it, one has opened it before and kept its key.
    const warm = new BoxOpener(to.keys);
    warm.open(box, 'a|b');
    const openers = [() => new BoxOpener(to.keys), () => warm];
    const refused = (forged: SealedBox, what: string) => {
      for (const opener of openers) expect(() => opener().open(forged, 'a|b'), what).toThrow('does not open');
    };
    for (const [field, text = ''] of Object.entries<string | undefined>(box)) {
      const bytes = Buffer.from(text, 'base64');
      for (const at of [0, bytes.length >> 1, bytes.length - 1]) {
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ 1;
        // The key's own encoding has bits that stand for nothing.
        if (field === 'epk' && at === 0) continue;
        refused({ ...box, [field]: changed.toString('base64') }, `${field} at ${at}`);
      }
      refused({ ...box, [field]: '' }, `no ${field}`);
    }
    expect(warm.open(box, 'a|b').toString()).toBe('a message');
  });

  it('of the second version is none of the first when its second key is taken out', () => {
    const { kem: _stripped, ...box } = sealer(to.open).seal('a message');
    expect(() => openBox(box, to.keys, 'a|b')).toThrow('does not open');
    const warm = new BoxOpener(to.keys);
    warm.open(sealer(to.open).seal('another'), 'a|b');
    expect(() => warm.open(box, 'a|b')).toThrow('does not open');
  });
});

describe('a key that was agreed on', () => {
  const to = recipient();

  it('seals for ten seconds, each text with a nonce of its own, and then no more', () => {
    const { seal, wait } = sealer(to.open);
    const first = seal('same');
    wait(9_999);
    const second = seal('same');
    expect(second).toMatchObject({ epk: first.epk, kem: first.kem });
    expect(new Set([first.n, second.n, first.c, second.c]).size).toBe(4);
    wait(1);
    const third = seal('same');
    expect(third.epk).not.toBe(first.epk);
    expect(third.kem).not.toBe(first.kem);
    for (const box of [first, second, third]) expect(openBox(box, to.keys, 'a|b')).toBe('same');
  });

  it('seals 1,024 texts at most', () => {
    const { seal } = sealer(to.open);
    const keys = Array.from({ length: 1_025 }, () => seal('x').epk);
    expect(new Set(keys.slice(0, 1_024)).size).toBe(1);
    expect(keys[1_024]).not.toBe(keys[0]);
  });

  it('is never that of another recipient or purpose', () => {
    const opener = new BoxOpener(to.keys);
    const box = sealer(to.open).seal('for a|b');
    expect(opener.open(box, 'a|b').toString()).toBe('for a|b');
    expect(() => opener.open(box, 'a|c')).toThrow('does not open');
    expect(sealer(to.open, 'a|c').seal('x').epk).not.toBe(box.epk);
  });

  it('does not stand in the way of boxes with other keys, or from others, in any order', () => {
    const opener = new BoxOpener(to.keys);
    const one = sealer(to.open);
    const two = sealer(to.open);
    const other = sealer(to.open, 'c|b');
    for (const from of [one, one, two, one, other, two]) {
      const aad = from === other ? 'c|b' : 'a|b';
      expect(opener.open(from.seal('text'), aad).toString()).toBe('text');
    }
  });
});
