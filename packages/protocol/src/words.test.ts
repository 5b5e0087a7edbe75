import { describe, expect, it } from 'vitest';
import { createIdentity } from './keys.ts';
import { FINGERPRINT_WORDS, fingerprintWords, WORDS } from './words.ts';

describe('fingerprint words', () => {
  it('come from 256 words that differ in their first three letters', () => {
    expect(WORDS).toHaveLength(256);
    expect(new Set(WORDS.map((word) => word.slice(0, 3))).size).toBe(256);
    expect(WORDS.every((word) => /^[a-z]{3,7}$/.test(word))).toBe(true);
  });

  it('are the same for the same key and other for another', () => {
    const { id } = createIdentity();
    expect(fingerprintWords(id)).toBe(fingerprintWords(id));
    expect(fingerprintWords(id).split(' ')).toHaveLength(FINGERPRINT_WORDS);
    expect(fingerprintWords(createIdentity().id)).not.toBe(fingerprintWords(id));
  });
});
