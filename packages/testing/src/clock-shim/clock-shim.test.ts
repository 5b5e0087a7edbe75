import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildClockShim, clockShimMissing, clockShimVariables } from './clock-shim.ts';
import { ShimClock } from './shim-clock.ts';

const HOUR_MS = 3_600_000;
/** What a reading may be off by on a machine that has other things to do. */
const LATE_MS = 2_000;
/** Every way to the wall clock that a node has, and the clock that its timers go by; read whenever a line comes. */
const PROGRAM = `
  const { DatabaseSync } = require('node:sqlite');
  const now = new DatabaseSync(':memory:').prepare("SELECT unixepoch('subsec') * 1000 AS ms");
  process.stdin.on('data', () => {
    const walls = [Date.now(), new Date().getTime(), now.get().ms, new Date(String(new Date())).getTime()];
    console.log(JSON.stringify({ walls, steadyMs: Number(process.hrtime.bigint()) / 1e6 }));
  });
`;
const missing = clockShimMissing();

describe.skipIf(missing !== null)(`a program under the clock shim${missing === null ? '' : ` (${missing})`}`, () => {
  let directory = '';
  let shim = '';
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'skein-clock-'));
    shim = buildClockShim(directory);
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  async function* readings(clock: ShimClock): AsyncGenerator<{ readonly walls: readonly number[]; readonly steadyMs: number }> {
    const child = spawn(process.execPath, ['-e', PROGRAM], {
      env: clockShimVariables({ shim, clock }),
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    try {
      child.stdin.write('?');
      for await (const line of createInterface({ input: child.stdout })) {
        yield JSON.parse(line);
        child.stdin.write('?');
      }
    } finally {
      child.kill();
    }
  }

  async function read(program: ReturnType<typeof readings>) {
    const { done, value } = await program.next();
    if (done === true) throw new Error('The program has ended');
    return value;
  }

  const steadyMs = () => Number(process.hrtime.bigint()) / 1e6;

  test('sees its wall clock jump while it runs, by every call, and its other clocks go on', async () => {
    using clock = new ShimClock(join(directory, 'jumps'));
    const program = readings(clock);
    await using _ = program;
    for (const aheadMs of [0, HOUR_MS, -HOUR_MS, 61_000, 0]) {
      clock.set(aheadMs);
      // The next reading was asked for before.
      await read(program);
      const { walls, steadyMs: itsMs } = await read(program);
      for (const wallMs of walls) expect(Math.abs(wallMs - Date.now() - aheadMs)).toBeLessThan(LATE_MS);
      expect(Math.abs(itsMs - steadyMs())).toBeLessThan(LATE_MS);
    }
  });

  test('sees its wall clock alone go faster, or all its clocks', async () => {
    using clock = new ShimClock(join(directory, 'rates'));
    const program = readings(clock);
    await using _ = program;
    const first = await read(program);
    clock.run(1_000);
    let last = first;
    while ((last.walls[0] ?? 0) - (first.walls[0] ?? 0) < HOUR_MS / 10) last = await read(program);
    expect(Math.abs(last.steadyMs - steadyMs())).toBeLessThan(LATE_MS);
    clock.run(1);
    const { aheadMs } = clock;
    clock.drift(1_000);
    while (last.steadyMs - first.steadyMs < HOUR_MS / 10) last = await read(program);
    expect(clock.aheadMs - aheadMs).toBeGreaterThan(HOUR_MS / 20);
  });
});
