import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createIdentity, type SkeinError } from '@skein/protocol';
import { describe, expect, it } from 'vitest';
import { ReplayGuard, ReplayWindow } from './replay.ts';

const START = 1_700_000_000_000;

function folder() {
  const directory = mkdtempSync(path.join(tmpdir(), 'vole-replay-'));
  const errors: SkeinError[] = [];
  let nowMs = START;
  const clock = { now: () => nowMs, monotonicMs: () => nowMs - START };
  return {
    errors,
    file: path.join(directory, 'vole-replay.json'),
    marks: path.join(directory, 'vole-replay.marks'),
    /** `boot`: the run of the system. */
    guard: (boot?: string) => new ReplayGuard({ directory, clock, boot, onError: (error) => errors.push(error) }),
    pass: (ms: number) => {
      nowMs += ms;
    },
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}

const peer = createIdentity().id;
const other = createIdentity().id;

describe('a message that came before', () => {
  it('is refused for as long as it is fresh, from its sender only', () => {
    using at = folder();
    const guard = at.guard();
    expect(guard.accept(peer, 'm1', START + 1)).toBe('new');
    expect(guard.accept(other, 'm1', START + 1)).toBe('new');
    for (let seconds = 0; seconds < 65; seconds += 1) {
      at.pass(1_000);
      expect(guard.accept(peer, 'm1', START + 1)).toBe('seen');
      guard.accept(peer, `later ${seconds}`, START + 1 + seconds * 1_000);
    }
  });

  it('is refused after an orderly restart, and what is newer is heard at once', () => {
    using at = folder();
    const before = at.guard();
    expect(before.accept(peer, 'm1', START + 1)).toBe('new');
    before.close();
    at.pass(700);
    const after = at.guard();
    expect(after.accept(peer, 'm1', START + 1)).not.toBe('new');
    expect(after.accept(peer, 'm2', START + 2)).toBe('new');
  });

  it('is refused after a crash at any time, and what is newer is heard within 10 s', () => {
    for (const heardMs of [0, 3_000, 9_999, 10_001, 25_000]) {
      using at = folder();
      const before = at.guard();
      before.accept(peer, 'first', START);
      at.pass(heardMs);
      expect(before.accept(peer, 'last', START + heardMs)).toBe('new');
      const after = at.guard();
      expect(after.accept(peer, 'first', START)).not.toBe('new');
      expect(after.accept(peer, 'last', START + heardMs)).not.toBe('new');
      expect(after.accept(peer, 'new', START + heardMs + 10_001)).toBe('new');
    }
  });

  it('is refused after this process was killed at any time, and what is newer is heard at once', () => {
    for (const heardMs of [1, 3_000, 9_999, 10_001, 25_000]) {
      using at = folder();
      const before = at.guard('boot 1');
      before.accept(other, 'theirs', START);
      before.accept(peer, 'first', START);
      at.pass(heardMs);
      expect(before.accept(peer, 'last', START + heardMs + 0.25)).toBe('new');
      const after = at.guard('boot 1');
      expect(after.accept(peer, 'first', START)).toBe('unsure');
      expect(after.accept(peer, 'last', START + heardMs + 0.25)).toBe('unsure');
      expect(after.accept(peer, 'new', START + heardMs + 2)).toBe('new');
      expect(after.accept(other, 'theirs', START)).toBe('unsure');
      expect(after.accept(other, 'new', START + 1)).toBe('new');
      // And killed once more.
      const again = at.guard('boot 1');
      expect(again.accept(peer, 'new', START + heardMs + 2)).toBe('unsure');
      expect(again.accept(peer, 'newer', START + heardMs + 3)).toBe('new');
    }
  });

  it('is refused after the system was lost, when what was not synced says too little', () => {
    using at = folder();
    const before = at.guard('boot 1');
    before.accept(peer, 'first', START);
    const early = readFileSync(at.marks, 'utf8');
    expect(before.accept(peer, 'last', START + 5_000)).toBe('new');
    writeFileSync(at.marks, early);
    expect(at.guard('boot 2').accept(peer, 'last', START + 5_000)).toBe('unsure');
    expect(at.guard('boot 2').accept(peer, 'new', START + 10_001)).toBe('new');
  });

  it('is refused when the marks are not whole', () => {
    for (const damage of [(text: string) => text.slice(0, -3), (text: string) => text.replace(/\d\n$/, 'x\n'), () => '']) {
      using at = folder();
      const before = at.guard('boot 1');
      before.accept(peer, 'first', START);
      writeFileSync(at.marks, damage(readFileSync(at.marks, 'utf8')));
      expect(at.guard('boot 1').accept(peer, 'first', START)).toBe('unsure');
    }
  });

  it('costs a write to the disk only now and then', () => {
    using at = folder();
    const guard = at.guard();
    guard.accept(peer, 'm0', START);
    const written = readFileSync(at.file, 'utf8');
    for (let n = 1; n <= 9_000; n += 1_000) guard.accept(peer, `m${n}`, START + n);
    expect(readFileSync(at.file, 'utf8')).toBe(written);
  });

  it('is refused after a restart also from a peer whose clock is behind, which is not shut out for that', () => {
    using at = folder();
    const before = at.guard();
    // What came stamped before the first start was heard never; later on 40 s behind is as good as any.
    at.pass(50_000);
    expect(before.accept(peer, 'm1', START + 10_000)).toBe('new');
    before.close();
    const after = at.guard();
    expect(after.accept(peer, 'm1', START + 10_000)).not.toBe('new');
    expect(after.accept(peer, 'm2', START + 10_001)).toBe('new');
  });

  it('is refused when the file was lost or damaged, and that is said', () => {
    using at = folder();
    const before = at.guard();
    before.accept(peer, 'm1', START + 5);
    at.pass(10);
    writeFileSync(at.file, '{"damaged', { mode: 0o600 });
    expect(at.guard().accept(peer, 'm1', START + 5)).not.toBe('new');
    expect(at.errors.map(({ code }) => code)).toEqual(['corrupt']);
    rmSync(at.file);
    expect(at.guard().accept(peer, 'm1', START + 5)).not.toBe('new');
  });

  it('does not shut everybody out when the clock was an hour ahead', () => {
    using at = folder();
    const before = at.guard();
    before.accept(peer, 'm1', START + 3_600_000);
    before.close();
    expect(at.guard().accept(peer, 'm2', START + 16_000)).toBe('new');
  });
});

describe('the window of one peer', () => {
  it('keeps its bound by refusing what it let go of, never by hearing it twice', () => {
    const window = new ReplayWindow({ floorMs: 0, monotonicMs: 0 });
    const count = 200_000;
    let accepted = 0;
    for (let n = 1; n <= count; n += 1) accepted += window.accept(`m${n}`, n, 0) === 'new' ? 1 : 0;
    expect(accepted).toBe(count);
    for (let n = 1; n <= count; n += 997) expect(window.accept(`m${n}`, n, 0)).not.toBe('new');
  });
});
