import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { type Measurement, PROOF_ROWS } from '../packages/testing/src/sized.ts';
import { formatProof, judge, p99 } from './proof-report.ts';
import { PROOF_GOALS, type ProofGoal } from './proof-rows.ts';
import { ROOT } from './set-up.mjs';

const GOAL: ProofGoal = {
  row: 'kills',
  goal: '100 kills',
  files: [],
  atLeast: { kills: 100, failPoints: 12 },
  atMost: { recoveryMs: 3_000 },
};
const FINE = { failures: [], leftOut: [], seconds: 1 };

function kills(count: number, peaks: Measurement['peaks'] = { failPoints: 12, recoveryMs: 800 }): Measurement {
  return { row: 'kills', counts: { kills: count }, peaks, p99s: {} };
}

test('counts are added up, of peaks the highest is taken, and other rows have no part in it', () => {
  const other: Measurement = { row: 'fuzz', counts: { kills: 1_000 }, peaks: { recoveryMs: 1e6 }, p99s: {} };
  const result = judge(GOAL, [kills(40), other, kills(60, { recoveryMs: 2_000 })], FINE, 1);
  expect(result).toMatchObject({ passed: true, short: [], reached: { kills: 100, failPoints: 12, recoveryMs: 2_000 } });
});

test.each<readonly [string, readonly Measurement[], string]>([
  ['one too few', [kills(99)], 'kills 99, not 100'],
  ['none measured', [], 'kills 0, not 100'],
  ['a peak too low', [kills(100, { failPoints: 11, recoveryMs: 1 })], 'fail points 11, not 12'],
  ['a peak too high', [kills(100, { failPoints: 12, recoveryMs: 3_001 })], 'recovery 3,001 ms, above 3,000'],
  ['a peak that nobody measured', [kills(100, { failPoints: 12 })], 'recoveryMs was not measured'],
  ['a peak that is no number', [kills(100, { failPoints: 12, recoveryMs: Number.NaN })], 'recovery NaN ms, above 3,000'],
])('%s falls short', (_name, measurements, words) => {
  const result = judge(GOAL, measurements, FINE, 1);
  expect(result.passed).toBe(false);
  expect(result.short).toContain(words);
  expect(formatProof([result])).toMatch(/FAILED.*0 passed, 1 failed$/s);
});

test('a failed test fails its row, whatever was reached', () => {
  const result = judge(GOAL, [kills(100)], { ...FINE, failures: ['it broke'] }, 1);
  expect(result.passed).toBe(false);
  expect(formatProof([result])).toContain('failed: it broke');
});

test('of a tenth of the full size a tenth of each count is asked, and all of each peak', () => {
  expect(judge(GOAL, [kills(10)], FINE, 0.1).passed).toBe(true);
  expect(judge(GOAL, [kills(9)], FINE, 0.1).passed).toBe(false);
  expect(judge(GOAL, [kills(10, { failPoints: 2, recoveryMs: 1 })], FINE, 0.1).passed).toBe(false);
});

test('the 99th percentile leaves out a hundredth, and no more', () => {
  expect(p99(Array.from({ length: 100 }, (_, at) => 100 - at))).toBe(99);
  expect(p99([3, 1, 2])).toBe(3);
  expect(p99([])).toBeNaN();
});

test('a 99th percentile is that of all tests of a row together', () => {
  const goal = { ...GOAL, atMost: { recoveryP99Ms: 3_000 } };
  const times = (recoveryP99Ms: number[]): Measurement => ({ ...kills(50), p99s: { recoveryP99Ms } });
  const most = [...Array<number>(98).fill(1), 3_000];
  expect(judge(goal, [times(most), times([9_000])], FINE, 1)).toMatchObject({
    passed: true,
    reached: { recoveryP99Ms: 3_000 },
  });
  expect(judge(goal, [times(most), times([9_000, 9_000])], FINE, 1).short).toEqual(['recovery p99 9,000 ms, above 3,000']);
});

test('every row has its goal, once', () => {
  expect(PROOF_GOALS.map(({ row }) => row)).toEqual(PROOF_ROWS);
});

test.each(PROOF_GOALS)(
  'the tests of $row are there and measure all that is asked of it',
  ({ row, files, only, atLeast, atMost }) => {
    const all = globSync(['packages/*/{src,test}/**/*.test.ts', 'bench/src/*.test.ts'], { cwd: ROOT });
    const texts = files.map((file) => {
      const found = all.filter((place) => place.includes(file));
      expect(found, file).toHaveLength(1);
      return readFileSync(path.join(ROOT, found[0] ?? ''), 'utf8');
    });
    const whole = texts.join('\n');
    expect(whole).toContain(`measured('${row}'`);
    for (const name of [...Object.keys(atLeast), ...Object.keys(atMost ?? {})]) expect(whole).toContain(name);
    if (only !== undefined) for (const [place, text] of texts.entries()) expect(text, files[place]).toMatch(only);
  },
);
