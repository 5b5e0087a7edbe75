import { createPrivateKey, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { peerIdBytes } from '../ids.ts';
import { createIdentity, type Identity, parseIdentity, publicIdentity, signBytes } from '../keys.ts';
import { openAuditCheckpoint, signAuditCheckpoint } from './audit-checkpoint.ts';
import { openRevocationList, REVOCATIONS_MAX, signRevocationList } from './revocation-list.ts';
import { openRootStatement, rootOf, signRootStatement } from './root-statement.ts';
import { leadsTo, openRotation, readRotation, signRootRotation, signRotation } from './rotation.ts';

const FILE = fileURLToPath(new URL('../../vectors/statements.json', import.meta.url));
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const hex = z.string().regex(/^([0-9a-f]{2})*$/);
const vectors = z.object({
  keys: z.array(z.object({ seed: hex, publicKey: hex, peerId: z.string() })),
  revocationLists: z.array(
    z.object({ issuer: z.int(), version: z.int(), atMs: z.int(), keys: z.array(z.int()), text: z.string() }),
  ),
  rotations: z.array(z.object({ from: z.int(), to: z.int(), atMs: z.int(), text: z.string() })),
  roots: z.array(z.object({ node: z.int(), root: z.int(), atMs: z.int(), text: z.string() })),
  rootRotations: z.array(z.object({ root: z.int(), from: z.int(), to: z.int(), atMs: z.int(), text: z.string() })),
  checkpoints: z.array(z.object({ issuer: z.int(), count: z.int(), atMs: z.int(), head: hex, log: hex, text: z.string() })),
});

const [a, b, c] = [createIdentity(), createIdentity(), createIdentity()];
const head = 'ab'.repeat(32);
const log = 'cd'.repeat(32);
const list = signRevocationList(a, { version: 7, atMs: 1_000, ids: [b.id, c.id] });
const rotation = signRotation(a, b, 1_000);
const root = createIdentity();
const bound = signRootStatement(a, root, 1_000);
const byRoot = signRootRotation({ root, from: a, to: b, atMs: 1_000 });
const checkpoint = signAuditCheckpoint(a, { count: 12, head, log, atMs: 1_000 });

describe('a statement', () => {
  it('says what was signed', () => {
    expect(openRevocationList(list)).toMatchObject({ issuer: { id: a.id }, version: 7, atMs: 1_000, ids: [b.id, c.id].sort() });
    expect(openRotation(rotation)).toMatchObject({ from: { id: a.id }, to: { id: b.id }, atMs: 1_000 });
    expect(openRootStatement(bound)).toMatchObject({ node: { id: a.id }, root: { id: root.id }, atMs: 1_000 });
    expect(openRotation(byRoot, root)).toMatchObject({ from: { id: a.id }, to: { id: b.id }, atMs: 1_000 });
    expect(openAuditCheckpoint(checkpoint)).toMatchObject({ issuer: { id: a.id }, count: 12, head, log, atMs: 1_000 });
  });

  it.each([
    ['revocation list', list, openRevocationList],
    ['rotation', rotation, openRotation],
    ['root statement', bound, openRootStatement],
    ['rotation by a root', byRoot, (text: string) => openRotation(text, root)],
    ['checkpoint', checkpoint, openAuditCheckpoint],
  ] as const)('%s with any bit changed is refused', (_, text, open) => {
    const bytes = Buffer.from(text, 'base64');
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const flipped = Buffer.from(bytes);
      flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      expect(() => open(flipped.toString('base64')), `bit ${bit}`).toThrow();
    }
  });

  it('of any text, cut or lengthened is an error of ours', () => {
    const cut = fc
      .tuple(fc.constantFrom(list, rotation, bound, checkpoint), fc.nat(800))
      .map(([text, length]) => Buffer.from(text, 'base64').subarray(0, length).toString('base64'));
    const texts = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 400 }),
      cut,
      cut.map((text) => `${text}AAAA`),
    );
    fc.assert(
      fc.property(texts, (text) => {
        if ([list, rotation, bound, checkpoint].includes(text)) return;
        for (const open of [openRevocationList, readAny, openRootStatement, openAuditCheckpoint]) {
          expect(() => open(text)).toThrow(expect.objectContaining({ code: expect.stringMatching(/invalid|unauthenticated/) }));
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('is worth nothing as another kind, however it is laid out', () => {
    // A list of exactly the length of a checkpoint, and the other way round.
    const two = signRevocationList(a, { version: 1, atMs: 1, ids: [b.id, c.id] });
    expect(Buffer.from(two, 'base64').length).toBeLessThan(Buffer.from(checkpoint, 'base64').length + 64);
    for (const open of [readAny, openRootStatement, openAuditCheckpoint]) expect(() => open(two)).toThrow();
    for (const open of [readAny, openRevocationList, openRootStatement]) expect(() => open(checkpoint)).toThrow();
    // These have one layout, so that the kind is all that tells them apart.
    for (const text of [rotation, byRoot]) expect(() => openRootStatement(text)).toThrow(/signature of a "skein root 1 node"/);
    for (const by of [undefined, root, b]) expect(() => openRotation(bound, by)).toThrow(/signature of a "skein rotation 1/);
    // The same bytes, signed without the kind, or as a frame would be.
    const body = Buffer.from(checkpoint, 'base64').subarray(0, -64);
    const unbound = Buffer.concat([body, signBytes(a, body)]).toString('base64');
    expect(() => openAuditCheckpoint(unbound)).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
  });
});

describe('a revocation list', () => {
  it('of another’s key, signed by oneself, is refused', () => {
    const bytes = Buffer.from(list, 'base64');
    const stolen = Buffer.concat([b.bytes, bytes.subarray(32)]).toString('base64');
    expect(() => openRevocationList(stolen)).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
  });

  it('that names its issuer, or more keys than fit, is neither made nor read', () => {
    expect(() => signRevocationList(a, { version: 1, atMs: 1, ids: [a.id] })).toThrow(/its own issuer/);
    const many = Array.from({ length: REVOCATIONS_MAX + 1 }, (_, index) => publicIdentity(Buffer.alloc(32, index >> 2)).id);
    expect(() => signRevocationList(a, { version: 1, atMs: 1, ids: many })).toThrow(
      expect.objectContaining({ code: 'too-large' }),
    );
    const signed = resign(a, 'skein revocations 1', list, (body) =>
      Buffer.concat([body.subarray(0, 48), Buffer.of(0, 1), peerIdBytes(a.id)]),
    );
    expect(() => openRevocationList(signed)).toThrow(/its own issuer/);
    const huge = resign(a, 'skein revocations 1', list, (body) =>
      Buffer.concat([body.subarray(0, 48), Buffer.of(8, 0), Buffer.alloc(2_048 * 32)]),
    );
    expect(() => openRevocationList(huge)).toThrow(expect.objectContaining({ code: 'invalid' }));
  });

  it('with a count that is not that of its keys, or a key twice, is refused', () => {
    const lying = resign(a, 'skein revocations 1', list, (body) =>
      Buffer.concat([body.subarray(0, 48), Buffer.of(0, 9), body.subarray(50)]),
    );
    expect(() => openRevocationList(lying)).toThrow(expect.objectContaining({ code: 'invalid' }));
    const twice = resign(a, 'skein revocations 1', list, (body) =>
      Buffer.concat([body.subarray(0, 82), body.subarray(50, 82)]),
    );
    expect(() => openRevocationList(twice)).toThrow(expect.objectContaining({ code: 'invalid' }));
  });
});

describe('a rotation', () => {
  it('signed by one of its two keys alone is refused', () => {
    const bytes = Buffer.from(rotation, 'base64');
    const others = Buffer.from(signRotation(c, b, 1_000), 'base64');
    // The thief of the new key, and the one who would be another’s successor.
    const withoutOld = Buffer.concat([bytes.subarray(0, 72), others.subarray(72, 136), bytes.subarray(136)]);
    const withoutNew = Buffer.concat([bytes.subarray(0, 136), others.subarray(136)]);
    for (const forged of [withoutOld, withoutNew]) {
      expect(() => openRotation(forged.toString('base64'))).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
      expect(readRotation(forged.toString('base64')).to.id).toBe(b.id);
    }
  });

  it('leads on over several, and nowhere over a gap', () => {
    const [ab, bc] = [signRotation(a, b, 1), signRotation(b, c, 2)];
    expect(leadsTo(a.id, c.id, { rotations: [ab, bc] })).toBe(true);
    expect(leadsTo(b.id, c.id, { rotations: [ab, bc] })).toBe(true);
    expect(leadsTo(a.id, a.id, { rotations: [] })).toBe(true);
    expect(leadsTo(a.id, c.id, { rotations: [bc] })).toBe(false);
    expect(leadsTo(a.id, c.id, { rotations: [ab] })).toBe(false);
    expect(leadsTo(c.id, a.id, { rotations: [ab, bc] })).toBe(false);
  });

  it('from a key to itself is neither made nor read', () => {
    expect(() => signRotation(a, a, 1)).toThrow(expect.objectContaining({ code: 'invalid' }));
    const bytes = Buffer.from(rotation, 'base64');
    const self = Buffer.concat([a.bytes, a.bytes, bytes.subarray(64)]).toString('base64');
    expect(() => readRotation(self)).toThrow(expect.objectContaining({ code: 'invalid' }));
  });
});

describe('a rotation by a root', () => {
  const others = createIdentity();

  it('counts by that root alone: not as one of the old key, nor for another root', () => {
    expect(() => openRotation(byRoot)).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
    expect(() => openRotation(byRoot, others)).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
  });

  it('is needed where there is a root: what the old key signed is worth nothing there', () => {
    expect(() => openRotation(rotation, root)).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
    // Not even what it signs as if it were the root.
    const posing = signRootRotation({ root: a, from: a, to: b, atMs: 1_000 });
    expect(() => openRotation(posing, root)).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
  });

  it('lacks nothing that the new key must sign', () => {
    const stolen = Buffer.from(signRootRotation({ root, from: a, to: c, atMs: 1_000 }), 'base64');
    const mixed = Buffer.concat([Buffer.from(byRoot, 'base64').subarray(0, 136), stolen.subarray(136)]);
    expect(() => openRotation(mixed.toString('base64'), root)).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
  });

  it('leads on with the root that is known, else with the one that the first key showed, and with no other', () => {
    const rotations = [byRoot, signRootRotation({ root, from: b, to: c, atMs: 2 })];
    expect(leadsTo(a.id, c.id, { rotations, pinned: root })).toBe(true);
    expect(leadsTo(a.id, c.id, { rotations, roots: [bound] })).toBe(true);
    expect(
      leadsTo(a.id, c.id, {
        rotations: [signRotation(a, b, 1), ...rotations.slice(1)],
        roots: [signRootStatement(b, root, 1)],
      }),
    ).toBe(true);
    expect(() => leadsTo(a.id, c.id, { rotations })).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
    expect(() => leadsTo(a.id, c.id, { rotations, pinned: others, roots: [bound] })).toThrow(/signature/);
    // The thief of the key at the root's end of the chain.
    const stolen = [byRoot, signRotation(b, c, 2)];
    expect(() => leadsTo(a.id, c.id, { rotations: stolen, roots: [bound] })).toThrow(/signature/);
  });
});

describe('a root statement', () => {
  it('signed by one of its two keys alone is refused', () => {
    const bytes = Buffer.from(bound, 'base64');
    const others = Buffer.from(signRootStatement(c, root, 1_000), 'base64');
    const foreign = Buffer.from(signRootStatement(a, b, 1_000), 'base64');
    const withoutNode = Buffer.concat([bytes.subarray(0, 72), others.subarray(72, 136), bytes.subarray(136)]);
    const withoutRoot = Buffer.concat([bytes.subarray(0, 136), foreign.subarray(136)]);
    for (const forged of [withoutNode, withoutRoot]) {
      const text = forged.toString('base64');
      expect(() => openRootStatement(text)).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
      expect(() => rootOf(a.id, [text])).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
    }
    expect(rootOf(a.id, [signRootStatement(c, root, 1), bound])?.id).toBe(root.id);
    expect(rootOf(b.id, [bound])).toBe(undefined);
  });

  it('of a key that is its own root is neither made nor read', () => {
    expect(() => signRootStatement(a, a, 1)).toThrow(expect.objectContaining({ code: 'invalid' }));
    const self = Buffer.concat([a.bytes, a.bytes, Buffer.from(bound, 'base64').subarray(64)]).toString('base64');
    expect(() => openRootStatement(self)).toThrow(expect.objectContaining({ code: 'invalid' }));
  });
});

describe('the vectors', () => {
  const read = vectors.parse(JSON.parse(readFileSync(FILE, 'utf8')));
  const keys = read.keys.map(({ seed, publicKey, peerId }) => {
    const der = Buffer.concat([PKCS8_PREFIX, Buffer.from(seed, 'hex')]);
    const identity = parseIdentity(
      createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ type: 'pkcs8', format: 'pem' }).toString(),
    );
    expect(Buffer.from(identity.bytes).toString('hex')).toBe(publicKey);
    expect(identity.id).toBe(peerId);
    return identity;
  });
  const key = (index: number): Identity => {
    const found = keys[index];
    if (found === undefined) throw new Error(`there is no key ${index}`);
    return found;
  };

  it('are what is signed, byte for byte, and are read', () => {
    for (const { issuer, version, atMs, keys: ids, text } of read.revocationLists) {
      expect(signRevocationList(key(issuer), { version, atMs, ids: ids.map((index) => key(index).id) })).toBe(text);
      expect(openRevocationList(text).ids).toHaveLength(ids.length);
    }
    for (const { from, to, atMs, text } of read.rotations) {
      expect(signRotation(key(from), key(to), atMs)).toBe(text);
      expect(openRotation(text).to.id).toBe(key(to).id);
    }
    for (const { node, root: by, atMs, text } of read.roots) {
      expect(signRootStatement(key(node), key(by), atMs)).toBe(text);
      expect(openRootStatement(text).root.id).toBe(key(by).id);
    }
    for (const { root: by, from, to, atMs, text } of read.rootRotations) {
      expect(signRootRotation({ root: key(by), from: key(from), to: key(to), atMs })).toBe(text);
      expect(openRotation(text, key(by)).to.id).toBe(key(to).id);
    }
    for (const { issuer, text, ...end } of read.checkpoints) {
      expect(signAuditCheckpoint(key(issuer), end)).toBe(text);
      expect(openAuditCheckpoint(text)).toMatchObject(end);
    }
    expect(read.roots.length + read.rootRotations.length).toBeGreaterThanOrEqual(4);
    expect(read.revocationLists.length + read.rotations.length + read.checkpoints.length).toBeGreaterThanOrEqual(5);
  });
});

function readAny(text: string): unknown {
  return openRotation(text);
}

/** The statement with its body changed and signed anew by a key that may. */
function resign(by: Identity, domain: string, text: string, change: (body: Buffer) => Buffer): string {
  const body = change(Buffer.from(text, 'base64').subarray(0, -64));
  const signature = sign(null, Buffer.concat([Buffer.from(`${domain}\0`), body]), by.privateKey);
  return Buffer.concat([body, signature]).toString('base64');
}
