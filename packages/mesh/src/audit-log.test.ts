import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SkeinError } from '@skein/protocol';
import { VirtualClock } from '@skein/testing';
import { describe, expect, it } from 'vitest';
import { verifyAudit } from './audit-chain.ts';
import { AuditLog, type AuditRecord } from './audit-log.ts';

function openPlace() {
  const directory = mkdtempSync(join(tmpdir(), 'skein-audit-'));
  return { path: join(directory, 'audit.jsonl'), [Symbol.dispose]: () => rmSync(directory, { recursive: true }) };
}

function openLog(path: string, options: { readonly fileBytes?: number } = {}) {
  const clock = new VirtualClock();
  const errors: SkeinError[] = [];
  const log = new AuditLog({ path, clock, onError: (error) => errors.push(error), ...options });
  log.start();
  return { log, clock, errors, [Symbol.dispose]: () => log.close() };
}

/** A file with these events, one after the other. */
function write(path: string, ...records: readonly AuditRecord[]): void {
  using opened = openLog(path);
  for (const record of records) opened.log.append(record);
}

const events = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ event: `e${index}`, peer: 'p', reason: 'Grüße' }));

describe('an audit log', () => {
  it('goes on where it stopped, over any number of starts', () => {
    using place = openPlace();
    for (let start = 0; start < 5; start += 1) write(place.path, ...events(3));
    expect(verifyAudit(place.path)).toMatchObject({ count: 15, torn: false });
    expect(statSync(place.path).mode & 0o777).toBe(0o600);
  });

  it('is on the disk a tenth of a second later', async () => {
    using place = openPlace();
    using opened = openLog(place.path);
    opened.log.append({ event: 'x' });
    await opened.clock.advance(100);
    expect(verifyAudit(place.path).count).toBe(1);
  });

  it('shows every edit, deletion, insertion and reordering: 3,000 at random', () => {
    using place = openPlace();
    write(place.path, ...events(12));
    const lines = readFileSync(place.path, 'utf8').trimEnd().split('\n');
    let undetected = 0;
    for (let round = 0; round < 3_000; round += 1) {
      const at = (round * 7) % 11;
      const text = lines[at] ?? '';
      const cut = 1 + ((round * 13) % (text.length - 2));
      const tampered = [
        // One letter changed, in a line that is not the last.
        lines.with(at, text.slice(0, cut) + (text[cut] === 'x' ? 'y' : 'x') + text.slice(cut + 1)),
        lines.toSpliced(at, 1),
        lines.toSpliced(at, 0, lines[(at * 5 + 1) % 12] ?? ''),
        lines.with(at, lines[at + 1] ?? '').with(at + 1, text),
      ][round % 4];
      writeFileSync(place.path, `${tampered?.join('\n')}\n`);
      try {
        verifyAudit(place.path);
        undetected += 1;
      } catch (error) {
        expect(error).toMatchObject({ code: 'corrupt', message: expect.stringContaining('line ') });
      }
    }
    expect(undetected).toBe(0);
  });

  it('cannot show lines taken off its end by itself; the count remembered elsewhere does', () => {
    using place = openPlace();
    write(place.path, ...events(10));
    const remembered = verifyAudit(place.path);
    const lines = readFileSync(place.path, 'utf8').trimEnd().split('\n');
    for (let kept = 0; kept < 10; kept += 1) {
      writeFileSync(
        place.path,
        lines
          .slice(0, kept)
          .map((text) => `${text}\n`)
          .join(''),
      );
      const now = verifyAudit(place.path);
      expect(now.count < remembered.count && now.head !== remembered.head).toBe(true);
    }
    // The last line changed in what nothing hangs on is the same: its own hash is known only where it was remembered.
    writeFileSync(place.path, `${lines.with(9, (lines[9] ?? '').replace('Grüße', 'Küsse')).join('\n')}\n`);
    expect(verifyAudit(place.path).head).not.toBe(remembered.head);
  });

  it('cut off anywhere by a crash is taken up again, and stays whole ever after', () => {
    using place = openPlace();
    write(place.path, ...events(3));
    const whole = readFileSync(place.path);
    const secondEnds = whole.indexOf('\n', whole.indexOf('\n') + 1);
    for (let length = secondEnds + 1; length <= whole.length; length += 1) {
      writeFileSync(place.path, whole);
      truncateSync(place.path, length);
      const survivors = length >= whole.length - 1 ? 3 : 2;
      expect(verifyAudit(place.path).count, `cut at ${length}`).toBe(survivors);
      write(place.path, { event: 'after' });
      write(place.path, { event: 'and after' });
      expect(verifyAudit(place.path), `cut at ${length}`).toMatchObject({ count: survivors + 2, torn: false });
    }
  });

  it('of which a power cut left some sectors and not others goes on after the last record before the first hole', async () => {
    const sector = 512;
    using place = openPlace();
    write(place.path, ...events(20));
    const whole = readFileSync(place.path);
    const ends = [...whole].flatMap((byte, at) => (byte === 0x0a ? [at + 1] : []));
    for (let hole = 0; hole < whole.length; hole += sector) {
      const bytes = Buffer.from(whole);
      bytes.fill(0, hole, Math.min(hole + sector, bytes.length));
      writeFileSync(place.path, bytes);
      const kept = ends.filter((end) => end <= hole).length;
      using opened = openLog(place.path);
      opened.log.append({ event: 'after' });
      await opened.clock.advance(100);
      expect(verifyAudit(place.path), `a hole at ${hole}`).toMatchObject({ count: kept + 2, torn: false, lostFrom: undefined });
      expect(readFileSync(place.path, 'utf8').trimEnd().split('\n')[kept]).toContain('"records-lost"');
      expect(opened.errors).toEqual([]);
    }
  });

  it('that was tampered with is refused at the start, never gone on with', () => {
    using place = openPlace();
    write(place.path, ...events(3));
    appendFileSync(place.path, '{"seq":4,"previous":"0"}\n');
    const before = readFileSync(place.path);
    expect(() => openLog(place.path)).toThrow(expect.objectContaining({ code: 'corrupt' }));
    expect(readFileSync(place.path)).toEqual(before);
  });

  it('without an end of line is refused before it fills the memory', () => {
    using place = openPlace();
    writeFileSync(place.path, 'x'.repeat(4_000_000));
    expect(() => verifyAudit(place.path)).toThrow(expect.objectContaining({ code: 'corrupt' }));
  });

  it('longer than what is read at once is followed to its end', () => {
    using place = openPlace();
    using opened = openLog(place.path);
    for (let batch = 0; batch < 3; batch += 1) {
      for (let index = 0; index < 5_000; index += 1) opened.log.append({ event: 'tool-served', reason: 'ä'.repeat(50) });
      opened.log.close();
      opened.log.start();
    }
    expect(statSync(place.path).size).toBeGreaterThan(3_000_000);
    expect(verifyAudit(place.path).count).toBe(15_000);
  });

  it('keeps 10,000 records waiting for the disk, and says how many it lost', async () => {
    using place = openPlace();
    using opened = openLog(place.path);
    for (let index = 0; index < 10_500; index += 1) opened.log.append({ event: 'x' });
    await opened.clock.advance(100);
    expect(verifyAudit(place.path).count).toBe(10_001);
    expect(readFileSync(place.path, 'utf8').trimEnd().split('\n').at(-1)).toContain('"records-lost","count":500');
  });

  it.skipIf(!canMount())(
    'on a full disk loses records, says so, and is whole when there is space again (needs root, to mount a tmpfs)',
    async () => {
      using small = mountSmall();
      const path = join(small.directory, 'audit.jsonl');
      const ballast = join(small.directory, 'ballast');
      using opened = openLog(path);
      writeFileSync(ballast, Buffer.alloc(40 * 1024));
      const flush = async (count: number) => {
        for (const record of events(count)) opened.log.append(record);
        await opened.clock.advance(100);
      };
      await flush(200);
      await flush(5);
      expect(opened.errors.length).toBe(2);
      const kept = verifyAudit(path).count;
      expect(kept).toBeGreaterThan(50);
      rmSync(ballast);
      await flush(3);
      expect(verifyAudit(path)).toMatchObject({ count: kept + 4, torn: false });
      expect(readFileSync(path, 'utf8').trimEnd().split('\n').at(-1)).toContain(`"records-lost","count":${205 - kept}`);
    },
  );

  it.skipIf(!canMount()).each(['stops', 'has nothing more to record'])(
    'says what it lost on a full disk also when it %s after there is space again (needs root, to mount a tmpfs)',
    async (then) => {
      using small = mountSmall();
      const path = join(small.directory, 'audit.jsonl');
      const ballast = join(small.directory, 'ballast');
      using opened = openLog(path);
      writeFileSync(ballast, Buffer.alloc(40 * 1024));
      for (const record of events(200)) opened.log.append(record);
      await opened.clock.advance(100);
      const kept = verifyAudit(path).count;
      rmSync(ballast);
      if (then === 'stops') opened.log.close();
      else await opened.clock.advance(10_000);
      expect(verifyAudit(path)).toMatchObject({ count: kept + 1, torn: false });
      expect(readFileSync(path, 'utf8').trimEnd().split('\n').at(-1)).toContain(`"records-lost","count":${200 - kept}`);
    },
  );

  it.skipIf(!canMount())(
    'goes on in its full file while no next one can be made, and in the next one when it can (needs root, to mount a tmpfs)',
    async () => {
      // Room for the directory, the log and the ballast.
      using small = mountSmall('nr_inodes=3');
      const path = join(small.directory, 'audit.jsonl');
      const ballast = join(small.directory, 'ballast');
      using opened = openLog(path, { fileBytes: 1_000 });
      writeFileSync(ballast, '');
      const flush = async (count: number) => {
        for (const record of events(count)) opened.log.append(record);
        await opened.clock.advance(100);
      };
      for (let round = 0; round < 4; round += 1) await flush(10);
      expect(opened.errors.length).toBe(3);
      expect(verifyAudit(path).count).toBe(40);
      rmSync(ballast);
      await flush(10);
      expect(verifyAudit(path)).toMatchObject({ count: 51, first: 41, torn: false });
      expect(opened.errors.length).toBe(3);
    },
  );
});

function mountSmall(option = 'size=64k') {
  const directory = mkdtempSync(join(tmpdir(), 'skein-audit-full-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', option, 'tmpfs', directory]);
  return {
    directory,
    [Symbol.dispose]() {
      execFileSync('umount', [directory]);
      rmSync(directory, { recursive: true });
    },
  };
}

function canMount(): boolean {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false;
  const directory = mkdtempSync(join(tmpdir(), 'skein-audit-probe-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', directory]).status === 0;
  if (mounted) execFileSync('umount', [directory]);
  rmSync(directory, { recursive: true });
  return mounted;
}
