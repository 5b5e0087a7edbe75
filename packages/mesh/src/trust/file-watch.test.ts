import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ErrorCode, SkeinError } from '@skein/protocol';
import { VirtualClock } from '@skein/testing';
import { expect, it } from 'vitest';
import { FileWatch } from './file-watch.ts';

/** A watched file that was changed once, and whose reader fails so often. */
function changedFile({ code, failures }: { readonly code: ErrorCode; readonly failures: number }) {
  const directory = mkdtempSync(join(tmpdir(), 'skein-watch-'));
  const path = join(directory, 'file');
  writeFileSync(path, 'old');
  const clock = new VirtualClock();
  const errors: SkeinError[] = [];
  let reads = 0;
  const watch = new FileWatch({
    path,
    clock,
    onChanged: () => {
      reads += 1;
      if (reads <= failures) throw new SkeinError('It cannot be read', { code });
    },
    onError: (error) => errors.push(error),
  });
  watch.markSeen();
  watch.start();
  writeFileSync(path, 'newer');
  return {
    clock,
    errors,
    reads: () => reads,
    [Symbol.dispose]() {
      watch.close();
      rmSync(directory, { recursive: true });
    },
  };
}

it('a change that could not be read for a fault that passes is read when it has, and the fault told once', async () => {
  using file = changedFile({ code: 'internal', failures: 3 });
  await file.clock.advance(10_000);
  expect(file.reads()).toBe(4);
  expect(file.errors.length).toBe(1);
});

it('a change is tried twice a second at most while it cannot be read', async () => {
  using file = changedFile({ code: 'unavailable', failures: 1_000 });
  await file.clock.advance(10_000);
  expect(file.reads()).toBeGreaterThan(5);
  expect(file.reads()).toBeLessThanOrEqual(20);
  expect(file.errors.length).toBe(1);
});

it('a change that is wrong is read once', async () => {
  using file = changedFile({ code: 'corrupt', failures: 1_000 });
  await file.clock.advance(10_000);
  expect(file.reads()).toBe(1);
  expect(file.errors.length).toBe(1);
});
