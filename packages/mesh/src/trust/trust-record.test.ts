import { createIdentity, formatKeyLine, publicIdentity } from '@skein/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatTrustLine,
  parseTrustLine,
  parseTrustOptions,
  TRUST_DEFAULTS,
  TRUST_LEVELS,
  type TrustRecord,
} from './trust-record.ts';

const identity = createIdentity();
const line = formatKeyLine(identity, 'eu-monitor');
const spki = identity.key.export({ type: 'spki', format: 'der' }).toString('base64');

const glob = fc.oneof(fc.constant('*'), fc.stringMatching(/^[a-zA-Z0-9_-]{1,20}\*?$/));
const options = fc
  .record({
    trust: fc.constantFrom(...TRUST_LEVELS),
    assumed: fc.boolean(),
    allowBrain: fc.boolean(),
    allowTools: fc.option(fc.array(glob, { maxLength: 4 }), { nil: undefined }),
    denyTools: fc.array(glob, { maxLength: 4 }),
    voter: fc.boolean(),
    url: fc.option(
      fc.webUrl({ validSchemes: ['ws', 'wss'] }).filter((url) => !/[,@\s]/.test(url)),
      { nil: undefined },
    ),
    revoker: fc.boolean(),
    root: fc.option(fc.uint8Array({ minLength: 32, maxLength: 32 }), { nil: undefined }),
    revocation: fc.constantFrom(
      { revoked: false, shareRevocation: false, successor: undefined },
      { revoked: true, shareRevocation: false, successor: undefined },
      { revoked: true, shareRevocation: true, successor: undefined },
      { revoked: true, shareRevocation: false, successor: createIdentity().id },
    ),
  })
  .map(({ revocation, root, ...rest }) => ({
    ...rest,
    ...revocation,
    root: root && publicIdentity(root),
  }));

describe('a trust line', () => {
  it('without options grants the least', () => {
    expect(parseTrustLine(line)).toMatchObject({ name: 'eu-monitor', kind: 'skein', ...TRUST_DEFAULTS });
    expect(TRUST_DEFAULTS.trust).toBe('read');
    expect(parseTrustLine(line).identity.id).toBe(identity.id);
  });

  it('says whether somebody stated the level: what is not said, or marked as assumed, was not', () => {
    const read = (text: string) => parseTrustOptions(text).assumed;
    expect(['', 'deny=x', 'trust=tool,assumed', 'assumed,trust=tool', 'trust=read,assumed'].map(read)).toEqual(
      Array.from({ length: 5 }, () => true),
    );
    expect(['trust=read', 'trust=full,voter'].map(read)).toEqual([false, false]);
    expect(formatTrustLine(parseTrustLine(line))).toBe(line);
    expect(formatTrustLine(parseTrustLine(`${line} trust=read`))).toBe(`${line} trust=read`);
    expect(formatTrustLine(parseTrustLine(`${line} assumed,trust=tool`))).toBe(`${line} trust=tool,assumed`);
  });

  it('with every option is read', () => {
    const text = `${line} trust=tool,allow-brain,allow=read_*;system_info,deny=shell_exec,voter,revoker,url=ws://10.0.0.2:9700,revoked,share-revocation,successor=${identity.id}`;
    expect(parseTrustLine(text)).toMatchObject({
      trust: 'tool',
      allowBrain: true,
      allowTools: ['read_*', 'system_info'],
      denyTools: ['shell_exec'],
      voter: true,
      url: 'ws://10.0.0.2:9700',
      revoked: true,
      revoker: true,
      shareRevocation: true,
      successor: identity.id,
    });
    expect(formatTrustLine(parseTrustLine(text))).toBe(text);
  });

  it('of VoleNet is read, its fourth word kept, and takes the same options', () => {
    expect(parseTrustLine(`vole-ed25519 ${spki} mole`)).toMatchObject({ kind: 'vole', name: 'mole', trust: 'read' });
    const text = `vole-ed25519 ${spki} mole MIIPQ== trust=full`;
    const record = parseTrustLine(text);
    expect(record).toMatchObject({ voleExtra: 'MIIPQ==', trust: 'full' });
    expect(record.identity.id).toBe(identity.id);
    expect(formatTrustLine(record)).toBe(text);
    expect(parseTrustLine(`vole-ed25519 ${spki} mole trust=tool`)).toMatchObject({ voleExtra: undefined, trust: 'tool' });
  });

  it('reads back as it was written, for all options', () => {
    fc.assert(
      fc.property(options, fc.boolean(), (some, vole) => {
        const record: TrustRecord = {
          identity,
          name: 'x',
          kind: vole ? 'vole' : 'skein',
          voleExtra: vole ? 'AAAA' : undefined,
          ...some,
        };
        const { identity: read, root, ...rest } = parseTrustLine(formatTrustLine(record));
        const { identity: _written, root: writtenRoot, ...written } = record;
        expect(rest).toEqual(written);
        expect(root?.id).toBe(writtenRoot?.id);
        expect(read.id).toBe(identity.id);
      }),
    );
  });

  it.each([
    ['trsut=full', /no option "trsut"; the nearest is "trust"/],
    ['allowbrain', /the nearest is "allow-brain"/],
    ['__proto__=1', /no option "__proto__"/],
    ['constructor', /no option/],
    ['trust=admin', /trust=admin is not one of trust=full, trust=tool, trust=read/],
    ['trust', /is not one of/],
    ['trust=full,trust=read', /"trust" is given twice/],
    ['voter=no', /"voter" takes no value/],
    ['revoked=false', /"revoked" takes no value/],
    ['allow', /"allow" needs a list/],
    ['allow=a*b', /"a\*b" in allow= is no tool name/],
    ['deny=shell_exec|x', /in deny= is no tool name/],
    ['deny=a;;b', /"" in deny=/],
    ['url=nonsense', /is not an address/],
    ['url=ws://user:pw@host', /is not an address/],
    ['trust=full,', /no option ""/],
  ])('refuses the options %s and says why', (text, message) => {
    expect(() => parseTrustLine(`${line} ${text}`)).toThrow(message);
    expect(() => parseTrustOptions(text)).toThrow(expect.objectContaining({ code: 'invalid' }));
  });

  it('refuses words behind the options, and a line that is no key', () => {
    expect(() => parseTrustLine(`${line} trust=full # my laptop`)).toThrow(/behind the options/);
    expect(() => parseTrustLine('skein-ed25519 AAAA')).toThrow(/has a kind, a key and a name/);
    expect(() => parseTrustLine('ssh-ed25519 AAAA bob')).toThrow(/starts with "skein-ed25519"/);
    expect(() => parseTrustLine('skein-ed25519 AAAA bob')).toThrow(/32 bytes/);
  });

  it('never throws anything but an error that says what is wrong', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 80 }), (junk) => {
        try {
          parseTrustLine(`${line} ${junk}`);
        } catch (error) {
          expect(error).toMatchObject({ name: 'SkeinError', code: 'invalid' });
        }
      }),
    );
  });
});
