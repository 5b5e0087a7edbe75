import os from 'node:os';
import { expect, test } from 'vitest';
import { MemoryWatermark, watermarkBytes } from './memory-watermark.ts';

test('memory is short above the watermark and no longer below it, looked at four times a second', () => {
  let [residentBytes, nowMs, looks] = [50, 0, 0];
  const watermark = new MemoryWatermark({
    bytes: 100,
    monotonicMs: () => nowMs,
    residentBytes: () => {
      looks += 1;
      return residentBytes;
    },
  });
  expect(watermark.isShort()).toBe(false);
  residentBytes = 101;
  nowMs = 249;
  expect(watermark.isShort()).toBe(false);
  nowMs = 250;
  expect(watermark.isShort()).toBe(true);
  residentBytes = 100;
  nowMs = 500;
  expect(watermark.isShort()).toBe(false);
  expect(looks).toBe(3);
});

test('the watermark of this process is below what it may have, and above what it needs', () => {
  expect(watermarkBytes()).toBeLessThan(os.totalmem());
  expect(watermarkBytes()).toBeGreaterThan(process.memoryUsage.rss());
});
