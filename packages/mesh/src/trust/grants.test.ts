import { createIdentity, GRANTS, type Grant } from '@skein/protocol';
import { measured } from '@skein/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decide, matchesGlob, type Refinement, refine, restrict } from './grants.ts';
import { TRUST_DEFAULTS, TRUST_LEVELS, type TrustRecord } from './trust-record.ts';

const identity = createIdentity();
const record = (options: Partial<TrustRecord> = {}): TrustRecord => ({
  identity,
  name: 'x',
  kind: 'skein',
  voleExtra: undefined,
  ...TRUST_DEFAULTS,
  ...options,
});

/** The promise, written out: every level and grant. `brain` depends on allow-brain alone. */
const MATRIX: Record<string, Record<Grant, boolean>> = {
  full: { presence: true, tools: true, brain: false, 'memory-read': true, 'memory-write': true, sessions: true, chat: true },
  tool: { presence: true, tools: true, brain: false, 'memory-read': true, 'memory-write': false, sessions: true, chat: true },
  read: { presence: true, tools: false, brain: false, 'memory-read': true, 'memory-write': false, sessions: true, chat: true },
};

const cases = TRUST_LEVELS.flatMap((trust) =>
  GRANTS.flatMap((grant) =>
    [false, true].flatMap((allowBrain) => [false, true].map((revoked) => ({ trust, grant, allowBrain, revoked }))),
  ),
);

describe('the table of grants', () => {
  it.each(cases)(
    'trust=$trust, grant $grant, allow-brain $allowBrain, revoked $revoked',
    ({ trust, grant, allowBrain, revoked }) => {
      const expected = !revoked && (grant === 'brain' ? allowBrain : MATRIX[trust]?.[grant] === true);
      expect(decide(record({ trust, allowBrain, revoked }), grant).allowed).toBe(expected);
      expect(decide(record({ trust, allowBrain, revoked }), grant, 'some_tool').allowed).toBe(expected);
    },
  );

  it.each(GRANTS)('denies %s to an unknown key', (grant) => {
    expect(decide(undefined, grant)).toEqual({ allowed: false, reason: 'its key is not in the trust file' });
  });

  it('denies a grant that is not in the table', () => {
    // A grant of a later version, as it would come through a table that is newer than this one.
    const unknown = 'shell' as Grant;
    expect(decide(record({ trust: 'full', allowBrain: true }), unknown).allowed).toBe(false);
  });

  it('lets deny win, and an allow list speak for everything it does not name', () => {
    const full = { trust: 'full' } as const;
    const may = (options: Partial<TrustRecord>, tool: string) => decide(record({ ...full, ...options }), 'tools', tool).allowed;
    expect(may({}, 'shell_exec')).toBe(true);
    expect(may({ denyTools: ['shell_*'] }, 'shell_exec')).toBe(false);
    expect(may({ allowTools: ['shell_exec'], denyTools: ['shell_exec'] }, 'shell_exec')).toBe(false);
    expect(may({ allowTools: ['read_*'] }, 'read_file')).toBe(true);
    expect(may({ allowTools: ['read_*'] }, 'write_file')).toBe(false);
    expect(may({ allowTools: [] }, 'read_file')).toBe(false);
    expect(may({ allowTools: ['*'], denyTools: ['*'] }, 'read_file')).toBe(false);
    expect(decide(record({ trust: 'read', allowTools: ['*'] }), 'tools', 'read_file').allowed).toBe(false);
  });

  it('gives no other meaning to a glob than that of a trailing star', () => {
    expect(matchesGlob('read_file', 'read_file')).toBe(true);
    expect(matchesGlob('read_file', 'read_file2')).toBe(false);
    expect(matchesGlob('read*', 'read')).toBe(true);
    expect(matchesGlob('*', '')).toBe(true);
    expect(matchesGlob('a.c', 'abc')).toBe(false);
    expect(matchesGlob('a*c', 'abc')).toBe(false);
    expect(matchesGlob('READ*', 'read_file')).toBe(false);
    expect(matchesGlob('', 'read')).toBe(false);
  });
});

/** The same promise said another way: gather what is allowed, then look the wish up in it. */
function reference(options: TrustRecord | undefined, grant: Grant, tool: string | undefined): boolean {
  const wishes = new Set<string>();
  const escaped = (glob: string) => glob.replace(/[-]/g, '\\-').replace(/\*$/, '.*');
  const any = (globs: readonly string[]) =>
    globs.length > 0 && new RegExp(`^(?:${globs.map(escaped).join('|')})$`).test(tool ?? '');
  if (options === undefined || options.revoked) return false;
  for (const wish of ['presence', 'memory-read', 'sessions', 'chat']) wishes.add(wish);
  if (options.trust === 'full') wishes.add('memory-write');
  if (options.trust !== 'read') {
    const listed = tool === undefined || options.allowTools === undefined || any(options.allowTools);
    if (listed && !(tool !== undefined && any(options.denyTools))) wishes.add('tools');
  }
  if (options.allowBrain) wishes.add('brain');
  return wishes.has(grant);
}

describe('decide', () => {
  it('agrees with a reference model on 100,000 random records', () => {
    const letters = fc.stringMatching(/^[ab_-]{1,3}$/);
    const glob = fc.oneof(
      fc.constant('*'),
      letters,
      letters.map((text) => `${text}*`),
    );
    const someRecord = fc
      .record({
        trust: fc.constantFrom(...TRUST_LEVELS),
        allowBrain: fc.boolean(),
        allowTools: fc.option(fc.array(glob, { maxLength: 3 }), { nil: undefined }),
        denyTools: fc.array(glob, { maxLength: 3 }),
        voter: fc.boolean(),
        revoked: fc.integer({ min: 0, max: 7 }).map((chance) => chance === 0),
      })
      .map((options) => record(options));
    fc.assert(
      fc.property(
        fc.option(someRecord, { nil: undefined, freq: 20 }),
        fc.constantFrom(...GRANTS),
        fc.option(letters, { nil: undefined }),
        (options, grant, tool) => decide(options, grant, tool).allowed === reference(options, grant, tool),
      ),
      { numRuns: 100_000 },
    );
    measured('permissions', { counts: { records: 100_000 } });
  });
});

const glob = fc.constantFrom('*', 'shell_*', 's*', 'shell_exec', 'read_*', 'read_file', 'none');
const globs = fc.array(glob, { maxLength: 3 });
const entry: fc.Arbitrary<Refinement> = fc.record(
  { trust: fc.constantFrom(...TRUST_LEVELS), allowBrain: fc.boolean(), allowTools: globs, denyTools: globs },
  { requiredKeys: [] },
);
const standing = fc.record({
  trust: fc.constantFrom(...TRUST_LEVELS),
  allowBrain: fc.boolean(),
  allowTools: fc.option(globs, { nil: undefined }),
  denyTools: globs,
  revoked: fc.boolean(),
});
const tools = ['shell_exec', 'shell_kill', 'read_file', 'system_info'];

describe('what an entry takes away', () => {
  it('leaves exactly what both the line and the entry in its place allow', () => {
    fc.assert(
      fc.property(standing, entry, (options, some) => {
        const [own, refined, restricted] = [record(options), refine(record(options), some), restrict(record(options), some)];
        for (const grant of GRANTS) {
          const both = decide(own, grant).allowed && decide(refined, grant).allowed;
          expect(decide(restricted, grant).allowed, grant).toBe(both);
        }
        for (const tool of tools) {
          const both = decide(own, 'tools', tool).allowed && decide(refined, 'tools', tool).allowed;
          expect(decide(restricted, 'tools', tool).allowed, tool).toBe(both);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
