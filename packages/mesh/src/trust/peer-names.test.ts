import { createIdentity, formatKeyLine, parseName } from '@skein/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { distinctNames } from './peer-names.ts';
import { parseTrustLine, type TrustRecord } from './trust-record.ts';

const record = (name: string, more: Partial<TrustRecord> = {}): TrustRecord => ({
  ...parseTrustLine(formatKeyLine(createIdentity(), name)),
  ...more,
});
const namesOf = (records: readonly TrustRecord[], ownName?: string) => distinctNames(records, ownName).map(({ name }) => name);
const short = ({ identity }: TrustRecord) => identity.id.slice(0, 4);

describe('names of peers', () => {
  it('are those of the file, as long as no two are the same', () => {
    expect(namesOf([record('us'), record('eu')], 'home')).toEqual(['us', 'eu']);
  });

  it('go to the line that comes first; the others have the beginning of their ids in front', () => {
    const [first, second, third] = [record('alpha'), record('alpha'), record('Alpha')];
    expect(namesOf([first, second, third])).toEqual(['alpha', `${short(second)}-alpha`, `${short(third)}-Alpha`]);
  });

  it('are never that of this node', () => {
    const peer = record('home');
    expect(namesOf([peer], 'home')).toEqual([`${short(peer)}-home`]);
  });

  it('are not taken by a line that is called as another would be then', () => {
    const [first, second] = [record('alpha'), record('alpha')];
    const sly = record(`${short(second)}-alpha`);
    const names = namesOf([first, second, sly]);
    expect(new Set(names).size).toBe(3);
    expect(names[2]).toBe(sly.name);
  });

  it('stay with a node that took another key, wherever the line of that key stands', () => {
    const [next, second] = [record('alpha'), record('alpha')];
    const old = record('alpha', { revoked: true, successor: next.identity.id });
    expect(namesOf([old, second, next])).toEqual(['alpha', `${short(second)}-alpha`, 'alpha']);
  });

  it('are free for another once the key that had them is revoked, which is not mistaken for it', () => {
    const old = record('alpha', { revoked: true });
    expect(namesOf([old, record('alpha')])).toEqual([`${short(old)}-alpha`, 'alpha']);
  });

  it('are different for any lines, are names, and stay when they are read from what was written', () => {
    const pool = Array.from({ length: 6 }, () => createIdentity());
    const name = fc.constantFrom('a', 'A', 'b', 'a'.repeat(64), `${pool[0]?.id.slice(0, 4) ?? ''}-a`);
    const line = fc.record({ name, revoked: fc.boolean(), successor: fc.option(fc.nat(pool.length - 1)) });
    fc.assert(
      fc.property(fc.array(line, { maxLength: pool.length }), (lines) => {
        const records = lines.flatMap(({ name: label, revoked, successor }, index) => {
          const identity = pool[index];
          if (identity === undefined) return [];
          const next = revoked && successor !== null ? pool[successor]?.id : undefined;
          return [record(label, { identity, revoked, successor: next })];
        });
        const named = distinctNames(records, 'b');
        const live = named.filter(({ revoked }) => !revoked).map((one) => one.name.toLowerCase());
        expect(new Set([...live, 'b']).size).toBe(live.length + 1);
        for (const one of named) expect(parseName(one.name)).toBe(one.name);
        const again = distinctNames(named, 'b').filter(({ revoked }) => !revoked);
        expect(again.map((one) => one.name)).toEqual(named.filter(({ revoked }) => !revoked).map((one) => one.name));
      }),
    );
  });
});
