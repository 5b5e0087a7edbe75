import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { fingerprintWords, formatKeyLine, GRANTS, parseKeyLine, parsePeerId, publicIdentity } from '@skein/protocol';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { decide } from './grants.ts';
import { formatInviteCode, parseInviteCode } from './invite-code.ts';
import { parseTrustFile, recordsOf } from './trust-file.ts';
import { parseTrustLine, TRUST_LEVELS } from './trust-record.ts';

const FILE = fileURLToPath(new URL('../../../protocol/vectors/trust.json', import.meta.url));

const key = z.object({
  publicKey: z.string(),
  peerId: z.string(),
  words: z.string(),
  skeinLine: z.string(),
  voleLine: z.string(),
});
const record = z.object({
  peerId: z.string(),
  name: z.string(),
  kind: z.enum(['skein', 'vole']),
  voleExtra: z.string().nullable(),
  trust: z.enum(TRUST_LEVELS),
  assumed: z.boolean(),
  allowBrain: z.boolean(),
  allowTools: z.array(z.string()).nullable(),
  denyTools: z.array(z.string()),
  voter: z.boolean(),
  revoker: z.boolean(),
  url: z.string().nullable(),
  root: z.string().nullable(),
  revoked: z.boolean(),
  shareRevocation: z.boolean(),
  successor: z.string().nullable(),
});
const invite = z.object({ peerId: z.string(), id: z.string(), secret: z.string(), addresses: z.array(z.string()) });
const vectors = z
  .object({
    keys: z.array(key).min(1),
    files: z.array(z.object({ why: z.string(), text: z.string(), records: z.array(record) })).min(1),
    refused: z.array(z.object({ why: z.string(), text: z.string(), line: z.int() })).min(1),
    decisions: z
      .array(z.object({ options: z.string(), allowed: z.array(z.enum(GRANTS)), tools: z.record(z.string(), z.boolean()) }))
      .min(1),
    invites: z.array(invite.extend({ code: z.string(), readAs: z.string() })).min(1),
    refusedInvites: z.array(z.object({ why: z.string(), code: z.string() })).min(1),
  })
  .parse(JSON.parse(readFileSync(FILE, 'utf8')));

/** A record as the vectors write it. */
function plain(text: string) {
  return recordsOf(parseTrustFile(text)).map(({ identity, allowTools, voleExtra, url, root, successor, ...rest }) => ({
    ...rest,
    peerId: identity.id,
    allowTools: allowTools ?? null,
    voleExtra: voleExtra ?? null,
    url: url ?? null,
    root: root === undefined ? null : Buffer.from(root.bytes).toString('hex'),
    successor: successor ?? null,
  }));
}

describe('the vectors of keys and trust', () => {
  it.each(vectors.keys)('$peerId: the key in both its forms, its id and its words', ({ publicKey, peerId, ...more }) => {
    const identity = publicIdentity(Buffer.from(publicKey, 'hex'));
    expect(identity.id).toBe(peerId);
    expect(fingerprintWords(parsePeerId(peerId))).toBe(more.words);
    expect(formatKeyLine(identity, 'alice')).toBe(more.skeinLine);
    for (const line of [more.skeinLine, more.voleLine]) {
      expect(parseKeyLine(line)).toMatchObject({ identity: { id: peerId }, name: 'alice' });
    }
  });

  it.each(vectors.files)('a file is read: $why', ({ text, records }) => {
    expect(plain(text)).toEqual(records);
  });

  it.each(vectors.refused)('a file is refused as a whole: $why', ({ text, line }) => {
    expect(() => parseTrustFile(text)).toThrow(
      expect.objectContaining({ code: 'corrupt', message: expect.stringMatching(new RegExp(`^Line ${line}:`)) }),
    );
  });

  it.each(vectors.decisions)('grants of "$options"', ({ options, allowed, tools }) => {
    const line = `${vectors.keys[0]?.skeinLine} ${options}`;
    const trusted = parseTrustLine(line);
    expect(GRANTS.filter((one) => decide(trusted, one).allowed).sort()).toEqual([...allowed].sort());
    for (const [tool, may] of Object.entries(tools)) expect(decide(trusted, 'tools', tool).allowed, tool).toBe(may);
  });

  it.each(vectors.invites)('an invitation to $addresses', ({ peerId, id, secret, addresses, code, readAs }) => {
    const given = { peer: parsePeerId(peerId), id, secret: Buffer.from(secret, 'hex'), addresses };
    expect(formatInviteCode(given)).toBe(code);
    for (const text of [code, readAs]) expect(parseInviteCode(text)).toEqual(given);
  });

  it.each(vectors.refusedInvites)('no invitation: $why', ({ code }) => {
    expect(() => parseInviteCode(code)).toThrow(expect.objectContaining({ code: 'invalid' }));
  });
});
