import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createIdentity, type SkeinError } from '@skein/protocol';
import { VirtualClock } from '@skein/testing';
import { describe, expect, it } from 'vitest';
import { verifyAudit } from './audit-chain.ts';
import { readAuditEnd } from './audit-end.ts';
import { AuditLog } from './audit-log.ts';

const identity = createIdentity();
const readEnd = (path: string) => readAuditEnd(path, new Set([identity.id]));

function openPlace() {
  const directory = mkdtempSync(join(tmpdir(), 'skein-audit-end-'));
  const path = join(directory, 'audit.jsonl');
  const endPath = join(directory, 'audit.end');
  const clock = new VirtualClock();
  const errors: SkeinError[] = [];
  const open = () => {
    const log = new AuditLog({ path, end: { path: endPath, identity }, clock, onError: (error) => errors.push(error) });
    log.start();
    return log;
  };
  /** One life of the log in which so many things happen. */
  const live = (count: number, name = 'e') => {
    const log = open();
    for (let index = 0; index < count; index += 1) log.append({ event: `${name}${index}`, reason: 'Grüße' });
    log.close();
  };
  return { path, endPath, clock, errors, open, live, [Symbol.dispose]: () => rmSync(directory, { recursive: true }) };
}

describe('an audit log that remembers its end', () => {
  it('shows every cut: whole lines, parts of lines, all of it', () => {
    using place = openPlace();
    place.live(20);
    const whole = readFileSync(place.path);
    for (let length = 0; length < whole.length - 1; length += 1) {
      writeFileSync(place.path, whole);
      truncateSync(place.path, length);
      expect(() => place.open(), `cut at ${length}`).toThrow(expect.objectContaining({ code: 'corrupt' }));
      expect(statSync(place.path).size).toBe(length);
    }
    rmSync(place.path);
    expect(() => place.open()).toThrow(expect.objectContaining({ code: 'corrupt' }));
  });

  it('shows a change of its last line, and a chain written anew', () => {
    using place = openPlace();
    place.live(3);
    const whole = readFileSync(place.path, 'utf8');
    writeFileSync(place.path, whole.replace(/e2(?=[^\n]*\n$)/, 'e9'));
    expect(() => place.open()).toThrow(expect.objectContaining({ code: 'corrupt' }));
    using other = openPlace();
    other.live(8, 'other');
    writeFileSync(place.path, readFileSync(other.path));
    expect(() => place.open()).toThrow(expect.objectContaining({ code: 'corrupt' }));
  });

  it('goes on over many lives, and over one that ended without a last word', async () => {
    using place = openPlace();
    place.live(3);
    const killed = place.open();
    killed.append({ event: 'seen by the disk alone' });
    await place.clock.advance(100);
    expect(verifyAudit(place.path).count).toBe(4);
    expect(readEnd(place.endPath)?.count).toBe(3);
    place.live(2);
    expect(readEnd(place.endPath)).toMatchObject({ count: 6 });
    expect(place.errors).toEqual([]);
  });

  it('remembers a damaged end as damage, not as no end', () => {
    using place = openPlace();
    place.live(1);
    writeFileSync(place.endPath, '{"count":0', { mode: 0o600 });
    expect(() => place.open()).toThrow(expect.objectContaining({ code: 'corrupt' }));
  });
});
