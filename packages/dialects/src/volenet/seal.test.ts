import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { openBox, sealBox } from './seal.ts';

function recipient() {
  const x25519 = generateKeyPairSync('x25519');
  const mlKem = generateKeyPairSync('ml-kem-768');
  return {
    open: { x25519: x25519.publicKey, mlKem: mlKem.publicKey },
    keys: { x25519: x25519.privateKey, mlKem: mlKem.privateKey },
  };
}

describe('a sealed box', () => {
  const to = recipient();
  const versions = [
    { name: 'of the first version', keys: { x25519: to.open.x25519 } },
    { name: 'of the second version', keys: to.open },
  ];

  it.each(versions)('$name opens to what was sealed, by its recipient, for its purpose', ({ keys }) => {
    const box = sealBox('hällo', keys, 'a|b');
    expect(openBox(box, to.keys, 'a|b').toString()).toBe('hällo');
    expect(() => openBox(box, to.keys, 'a|c')).toThrow('does not open');
    expect(() => openBox(box, recipient().keys, 'a|b')).toThrow('does not open');
  });

  it.each(versions)('$name opens no more when any part of it is changed, left out or cut', ({ keys }) => {
    const box = sealBox('a message', keys, 'a|b');
    for (const [field, text = ''] of Object.entries<string | undefined>(box)) {
      const bytes = Buffer.from(text, 'base64');
      for (const at of [0, bytes.length >> 1, bytes.length - 1]) {
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ 1;
        // The key's own encoding has bits that stand for nothing.
        if (field === 'epk' && at === 0) continue;
        const forged = { ...box, [field]: changed.toString('base64') };
        expect(() => openBox(forged, to.keys, 'a|b'), `${field} at ${at}`).toThrow('does not open');
      }
      expect(() => openBox({ ...box, [field]: '' }, to.keys, 'a|b')).toThrow('does not open');
    }
  });

  it('of the second version is none of the first when its second key is taken out', () => {
    const { kem: _stripped, ...box } = sealBox('a message', to.open, 'a|b');
    expect(() => openBox(box, to.keys, 'a|b')).toThrow('does not open');
  });
});
