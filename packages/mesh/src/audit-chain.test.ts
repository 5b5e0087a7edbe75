import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createIdentity, openAuditCheckpoint, type SkeinError, signAuditCheckpoint } from '@skein/protocol';
import { VirtualClock } from '@skein/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AUDIT_ARCHIVES_KEPT, auditHash, CHAIN_START, listArchives, verifyAudit } from './audit-chain.ts';
import { writeAuditEnd } from './audit-end.ts';
import { AuditLog } from './audit-log.ts';

const identity = createIdentity();

type Entry = Record<string, unknown>;

/** A log in a folder of its own; a file is full after a few records where `fileBytes` is small. */
function openPlace(fileBytes?: number) {
  // What is done 10,000 times needs no disk.
  const directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'skein-audit-chain-'));
  const path = join(directory, 'audit.jsonl');
  const endPath = join(directory, 'audit.end');
  const clock = new VirtualClock();
  const errors: SkeinError[] = [];
  const size = fileBytes === undefined ? {} : { fileBytes };
  const create = () =>
    new AuditLog({ path, end: { path: endPath, identity }, clock, onError: (error) => errors.push(error), ...size });
  const open = () => {
    const log = create();
    log.start();
    return log;
  };
  /** Things happen one after the other, each on the disk before the next. */
  const live = async (count: number) => {
    const log = open();
    for (let index = 0; index < count; index += 1) {
      log.append({ event: `e${index}`, peer: 'p', reason: 'Grüße' });
      await clock.advance(100);
    }
    log.close();
  };
  const files = () => [...listArchives(path), path];
  return {
    directory,
    path,
    endPath,
    clock,
    errors,
    create,
    open,
    live,
    files,
    [Symbol.dispose]: () => rmSync(directory, { recursive: true }),
  };
}

/** The next checkpoint that the log gives out; asked for before it is due, as the disk takes its own time. */
function nextCheckpoint(log: AuditLog): Promise<string> {
  return new Promise((resolve) => {
    const release = log.onCheckpoint((checkpoint) => {
      release();
      resolve(checkpoint);
    });
  });
}

type Place = ReturnType<typeof openPlace>;

const linesOf = (path: string) => readFileSync(path, 'utf8').trimEnd().split('\n');

/** What the one who has the whole disk and the key can make of changed records: a chain that is whole in itself. */
function forge(place: Place, files: readonly (readonly Entry[])[]): void {
  let count = 0;
  let head = CHAIN_START;
  let log = CHAIN_START;
  const paths = place.files();
  for (const [index, path] of paths.entries()) {
    const lines = (files[index] ?? []).map(({ seq: _seq, previous: _previous, ...entry }) => {
      count += 1;
      const renamed = entry.event === 'log-continued' ? { ...entry, log } : entry;
      const text = JSON.stringify({ seq: count, ...renamed, previous: head });
      head = auditHash(text);
      if (count === 1) log = head;
      return `${text}\n`;
    });
    writeFileSync(path, lines.join(''));
  }
  writeFileSync(place.endPath, `${signAuditCheckpoint(identity, { count, head, log, atMs: 1 })}\n`);
}

const change = fc.record({
  kind: fc.constantFrom('edit', 'delete', 'swap', 'insert', 'cut', 'empty'),
  at: fc.nat(),
  other: fc.nat(),
  rechained: fc.boolean(),
  letter: fc.constantFrom('x', '0', ' ', '"', 'é'),
});
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

/** The records of all files with one thing changed that lies before the checkpoint. */
function changed(files: readonly (readonly Entry[])[], { kind, at, other, letter }: Change): readonly (readonly Entry[])[] {
  const flat = files.flatMap((entries, file) => entries.map((_, index) => ({ file, index })));
  const place = flat[at % flat.length] ?? { file: 0, index: 0 };
  const second = flat[other % flat.length] ?? { file: 0, index: 0 };
  const entry = files[place.file]?.[place.index] ?? {};
  const to = files[second.file]?.[second.index] ?? {};
  const map = (edit: (entries: readonly Entry[], file: number) => readonly Entry[]) => files.map(edit);
  switch (kind) {
    case 'edit':
      return map((entries, file) => (file === place.file ? entries.with(place.index, { ...entry, reason: letter }) : entries));
    case 'delete':
      return map((entries, file) => (file === place.file ? entries.toSpliced(place.index, 1) : entries));
    case 'insert':
      return map((entries, file) =>
        file === place.file ? entries.toSpliced(place.index, 0, { ...to, reason: letter }) : entries,
      );
    case 'swap':
      return map((entries, file) =>
        entries.map((old, index) => {
          if (file === place.file && index === place.index) return to;
          return file === second.file && index === second.index ? entry : old;
        }),
      );
    case 'cut':
      return map((entries, file) => (file > place.file ? [] : file === place.file ? entries.slice(0, place.index) : entries));
    case 'empty':
      return map(() => []);
  }
}

/** Writes a change as it is, without any care for the chain. */
function scribble(place: Place, files: readonly (readonly Entry[])[]): void {
  for (const [index, path] of place.files().entries()) {
    writeFileSync(path, (files[index] ?? []).map((entry) => `${JSON.stringify(entry)}\n`).join(''));
  }
}

async function expectAllShown(place: Place, runs: number): Promise<void> {
  const whole = place.files().map((path) => readFileSync(path, 'utf8'));
  const end = readFileSync(place.endPath, 'utf8');
  // Kept by a peer: what the attacker cannot reach.
  const held = openAuditCheckpoint(end.trim());
  const entries = whole.map((text) =>
    text
      .trimEnd()
      .split('\n')
      .map((line): Entry => JSON.parse(line)),
  );
  let tried = 0;
  const property = fc.asyncProperty(change, async (what) => {
    for (const [index, path] of place.files().entries()) writeFileSync(path, whole[index] ?? '');
    writeFileSync(place.endPath, end);
    const forged = changed(entries, what);
    if (what.rechained) forge(place, forged);
    else scribble(place, forged);
    const same = place.files().every((path, index) => readFileSync(path, 'utf8') === whole[index]);
    if (same) return;
    tried += 1;
    // As `skein doctor` and a start with what peers gave back look at it.
    expect(() => verifyAudit(place.path, [held])).toThrow(expect.objectContaining({ code: 'corrupt' }));
    // As a node looks at it that starts from the forged disk and then meets the peer.
    const log = place.create();
    try {
      log.start();
    } catch (error) {
      expect(error).toMatchObject({ code: 'corrupt' });
      return;
    }
    expect(await log.compare(held)).not.toBe('fits');
    log.close();
  });
  await fc.assert(property, { numRuns: runs });
  expect(tried).toBeGreaterThan(runs * 0.8);
}

describe('an audit log of which a peer keeps a checkpoint', () => {
  it('shows each of 9,000 edits, deletions, insertions, reorderings and cuts, chained anew and signed or not', async () => {
    using place = openPlace();
    await place.live(10);
    await expectAllShown(place, 9_000);
  }, 120_000);

  it('shows 1,000 of them over several files', async () => {
    using place = openPlace(700);
    await place.live(16);
    expect(listArchives(place.path).length).toBeGreaterThan(2);
    await expectAllShown(place, 1_000);
  }, 120_000);

  it('fits what was kept at any time of it, and says when that is of another log', async () => {
    using place = openPlace(700);
    const held: string[] = [];
    const log = place.open();
    for (let index = 0; index < 12; index += 1) {
      log.append({ event: `e${index}` });
      const next = nextCheckpoint(log);
      await place.clock.advance(60_100);
      held.push(await next);
    }
    expect(held).toHaveLength(12);
    log.close();
    const again = place.open();
    for (const checkpoint of held) expect(await again.compare(openAuditCheckpoint(checkpoint))).toBe('fits');
    again.close();
    using other = openPlace();
    await other.live(20);
    const stranger = other.open();
    expect(await stranger.compare(openAuditCheckpoint(held[3] ?? ''))).toBe('other-log');
    stranger.close();
  });
});

describe('a checkpoint', () => {
  it('is made within a minute of the first record, once a minute at most, and never when nothing was added', async () => {
    using place = openPlace();
    const log = place.open();
    const counts: number[] = [];
    log.onCheckpoint((text) => counts.push(openAuditCheckpoint(text).count));
    await place.clock.advance(300_000);
    log.append({ event: 'a' });
    const first = nextCheckpoint(log);
    await place.clock.advance(60_200);
    expect(openAuditCheckpoint(await first).count).toBe(1);
    const second = nextCheckpoint(log);
    for (let index = 0; index < 50; index += 1) {
      log.append({ event: 'b' });
      await place.clock.advance(1_000);
    }
    expect(counts).toEqual([1]);
    await place.clock.advance(20_000);
    expect(openAuditCheckpoint(await second).count).toBe(51);
    await place.clock.advance(600_000);
    log.append({ event: 'c' });
    log.close();
    expect(counts).toEqual([1, 51, 52]);
    expect(place.errors).toEqual([]);
  });

  it('of another key beside the log is refused at the start', async () => {
    using place = openPlace();
    await place.live(3);
    const chain = verifyAudit(place.path);
    writeAuditEnd(place.endPath, createIdentity(), { ...chain, atMs: 1 });
    expect(() => place.open()).toThrow(expect.objectContaining({ code: 'corrupt' }));
  });

  it('of a former key of this node counts', async () => {
    using place = openPlace();
    await place.live(3);
    const next = createIdentity();
    const open = (formerIds: readonly (typeof identity.id)[]) =>
      new AuditLog({
        path: place.path,
        end: { path: place.endPath, identity: next, formerIds },
        clock: place.clock,
        onError: () => {},
      });
    expect(() => open([]).start()).toThrow(expect.objectContaining({ code: 'corrupt' }));
    const log = open([identity.id]);
    log.start();
    log.append({ event: 'after' });
    log.close();
    expect(openAuditCheckpoint(readFileSync(place.endPath, 'utf8').trim()).issuer.id).toBe(next.id);
  });
});

describe('an audit log of several files', () => {
  it('puts full files aside, keeps four, and the chain runs through over any number of starts', async () => {
    using place = openPlace(700);
    for (let life = 0; life < 8; life += 1) await place.live(5);
    const archives = listArchives(place.path);
    expect(archives).toHaveLength(AUDIT_ARCHIVES_KEPT);
    for (const file of archives) expect(statSync(file).mode & 0o777).toBe(0o600);
    const chain = verifyAudit(place.path);
    // Each file but the first begins with a record of its own that says so.
    expect(chain.count).toBeGreaterThan(40);
    for (const file of place.files()) expect(linesOf(file)[0]).toContain('"event":"log-continued"');
    expect(place.errors).toEqual([]);
  });

  it('shows that a whole file was taken away, the oldest, one between or the last', async () => {
    using place = openPlace(700);
    for (let life = 0; life < 8; life += 1) await place.live(5);
    for (const file of place.files()) {
      const text = readFileSync(file);
      unlinkSync(file);
      expect(() => place.open(), file).toThrow(expect.objectContaining({ code: 'corrupt' }));
      writeFileSync(file, text);
    }
    place.open().close();
  });

  it('shows that its oldest lines were taken away, under whatever name the rest stands', async () => {
    using place = openPlace(700);
    for (let life = 0; life < 8; life += 1) await place.live(5);
    const [oldest = ''] = listArchives(place.path);
    const lines = linesOf(oldest);
    const first: { seq: number } = JSON.parse(lines[1] ?? '');
    unlinkSync(oldest);
    const renamed = `${place.path}.${String(first.seq).padStart(16, '0')}`;
    writeFileSync(renamed, `${lines.slice(1).join('\n')}\n`);
    expect(() => place.open()).toThrow(expect.objectContaining({ code: 'corrupt' }));
  });

  it('shows that its oldest file was taken away, when the others are divided so that as many are there', async () => {
    using place = openPlace(700);
    for (let life = 0; life < 8; life += 1) await place.live(5);
    const [oldest = '', second = ''] = listArchives(place.path);
    const lines = linesOf(second);
    const half: { seq: number } = JSON.parse(lines[3] ?? '');
    unlinkSync(oldest);
    writeFileSync(second, `${lines.slice(0, 3).join('\n')}\n`);
    writeFileSync(`${place.path}.${String(half.seq).padStart(16, '0')}`, `${lines.slice(3).join('\n')}\n`);
    expect(listArchives(place.path)).toHaveLength(AUDIT_ARCHIVES_KEPT);
    expect(() => place.open()).toThrow(expect.objectContaining({ code: 'corrupt' }));
  });

  it('that was killed between putting a file aside and beginning the next goes on', async () => {
    using place = openPlace(700);
    await place.live(4);
    const { count } = verifyAudit(place.path);
    renameSync(place.path, `${place.path}.${'1'.padStart(16, '0')}`);
    await place.live(3);
    expect(verifyAudit(place.path).count).toBe(count + 4);
    expect(linesOf(place.path)[0]).toContain('log-continued');
  });

  it('with a first line cut off by a crash begins that file again', async () => {
    using place = openPlace(700);
    for (let life = 0; life < 3; life += 1) await place.live(5);
    const log = place.open();
    for (let index = 0; index < 30 && linesOf(place.path).length > 1; index += 1) {
      log.append({ event: 'x' });
      await place.clock.advance(100);
    }
    log.close();
    const [first = ''] = linesOf(place.path);
    const { count } = verifyAudit(place.path);
    rmSync(place.endPath);
    writeFileSync(place.path, first.slice(0, 30));
    const cut = verifyAudit(place.path);
    expect(cut.count).toBeLessThan(count);
    await place.live(2);
    expect(verifyAudit(place.path)).toMatchObject({ count: cut.count + 3, torn: false });
  });
});

describe('zeros, as a power cut leaves them,', () => {
  const zeroed = (path: string, text: string) => {
    const bytes = readFileSync(path);
    const at = bytes.indexOf(text);
    bytes.fill(0, at, at + text.length);
    writeFileSync(path, bytes);
  };

  it('do not hide a record that was remembered', async () => {
    using place = openPlace();
    await place.live(6);
    zeroed(place.path, '"event":"e3"');
    expect(() => place.open()).toThrow(expect.objectContaining({ code: 'corrupt' }));
  });

  it('are no excuse in a file that was put aside', async () => {
    using place = openPlace(700);
    await place.live(9);
    const [oldest = ''] = listArchives(place.path);
    zeroed(oldest, '"event":"e1"');
    expect(() => verifyAudit(place.path)).toThrow(expect.objectContaining({ code: 'corrupt' }));
  });
});
