import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { measured, sized, sizedTimeout } from '@skein/testing';
import { expect, test } from 'vitest';
import { openDatabase } from './open-database.ts';

const PROGRAM = join(import.meta.dirname, '../../test/writer-process.ts');

/** Starts the writer, kills it once it acknowledged so many, and returns the last number it acknowledged. */
async function writeUntilKilled(path: string, acknowledgements: number): Promise<number> {
  const child = spawn(process.execPath, ['--conditions=skein-source', PROGRAM, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  let seen = 0;
  let last = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    seen += 1;
    last = Number(line);
    if (seen === acknowledgements) child.kill('SIGKILL');
  }
  await exited;
  return last;
}

test('what was acknowledged is there after kill -9, over and over on the same file', {
  timeout: sizedTimeout({ ci: 30_000, full: 300_000 }),
  repeats: sized({ ci: 0, full: 24 }),
}, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'skein-kill-'));
  try {
    const path = join(directory, 'a.db');
    for (const acknowledgements of [1, 7, 60, 333]) {
      const last = await writeUntilKilled(path, acknowledgements);
      using database = openDatabase({ path, migrations: [] });
      const row = database.get('SELECT count(*) AS rows, max(id) AS last FROM items');
      expect(row?.rows).toBe(row?.last);
      expect(row?.last).toBeGreaterThanOrEqual(last);
      measured('kills', { counts: { kills: 1 } });
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
