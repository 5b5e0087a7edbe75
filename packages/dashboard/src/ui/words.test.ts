import { describe, expect, it } from 'vitest';
import { formatAgo, formatDuration, formatJson } from './words.ts';

describe('words', () => {
  it.each([
    [0.4, '0 ms'],
    [999, '999 ms'],
    [1_234, '1.2 s'],
    [61_000, '1 min'],
    [7_300_000, '2 h'],
    [200_000_000, '2 d'],
  ])('says %d ms as %s', (ms, words) => {
    expect(formatDuration(ms)).toBe(words);
  });

  it('says how long ago, and now for what is to come', () => {
    expect(formatAgo(0, 61_000)).toBe('1 min ago');
    expect(formatAgo(0, 12_300)).toBe('12 s ago');
    expect(formatAgo(5_000, 0)).toBe('now');
  });

  it('spells out characters that show nothing or turn others around', () => {
    expect(formatJson('a\u202Eb\u200Bc\u0007\nd\té')).toBe('a\\u{202e}b\\u{200b}c\\u{7}\nd\té');
    expect(formatJson({ a: ['\u2066x'] })).toBe('{\n  "a": [\n    "\\u{2066}x"\n  ]\n}');
    expect(formatJson(undefined)).toBe('undefined');
  });
});
