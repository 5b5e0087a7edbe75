import { SkeinError } from '../errors.ts';
import type { PeerId } from '../ids.ts';
import { type Identity, type PublicIdentity, publicIdentity, SIGNATURE_BYTES } from '../keys.ts';
import { rootOf } from './root-statement.ts';
import {
  formatNumber,
  formatStatement,
  KEY_BYTES_RAW,
  parseStatement,
  readNumber,
  signStatement,
  verifyStatement,
} from './statement.ts';

const FROM_DOMAIN = 'skein rotation 1 from';
const ROOT_DOMAIN = 'skein rotation 1 root';
const TO_DOMAIN = 'skein rotation 1 to';
const BODY_BYTES = KEY_BYTES_RAW + KEY_BYTES_RAW + 8;
const BYTES = BODY_BYTES + 2 * SIGNATURE_BYTES;

/** Characters of a rotation as text. */
export const ROTATION_CHARS = Math.ceil(BYTES / 3) * 4;
/** Rotations a node presents: those that led to its key last. */
export const ROTATIONS_SHOWN_MAX = 4;

/** A node's key was replaced by another. */
export interface Rotation {
  readonly from: PublicIdentity;
  readonly to: PublicIdentity;
  /** When, by the node's clock. */
  readonly atMs: number;
}

/** The old key vouches for the new one, and the new one takes its place. @throws SkeinError `invalid` for one key twice. */
export function signRotation(from: Identity, to: Identity, atMs: number): string {
  if (from.id === to.id) throw sameKey();
  const body = Buffer.concat([from.bytes, to.bytes, formatNumber(atMs)]);
  return formatStatement(body, signStatement(from, FROM_DOMAIN, body), signStatement(to, TO_DOMAIN, body));
}

/**
 * The root of the old key vouches for the new one, in that one's place: for a key that has a root, also one that was lost.
 * @throws SkeinError `invalid` for one key twice.
 */
export function signRootRotation(parts: {
  readonly root: Identity;
  readonly from: PublicIdentity;
  readonly to: Identity;
  readonly atMs: number;
}): string {
  const { root, from, to, atMs } = parts;
  if (from.id === to.id) throw sameKey();
  const body = Buffer.concat([from.bytes, to.bytes, formatNumber(atMs)]);
  return formatStatement(body, signStatement(root, ROOT_DOMAIN, body), signStatement(to, TO_DOMAIN, body));
}

/** What a rotation says, unproven: for those who look first whether it concerns them. @throws SkeinError `invalid`. */
export function readRotation(text: string): Rotation {
  const { body, key } = parseStatement(text, { minBytes: BYTES, maxBytes: BYTES });
  const to = publicIdentity(body.subarray(KEY_BYTES_RAW, 2 * KEY_BYTES_RAW));
  if (key.id === to.id) throw sameKey();
  return { from: key, to, atMs: readNumber(body, 2 * KEY_BYTES_RAW) };
}

/**
 * What a rotation says, both signatures checked. With the root of the old key, that root's signature is the first, and the
 * old key's own counts for nothing; without, the other way round. @throws SkeinError `invalid`, `unauthenticated`.
 */
export function openRotation(text: string, root?: PublicIdentity): Rotation {
  const rotation = readRotation(text);
  const { body: signed, signature: toSignature } = parseStatement(text, { minBytes: BYTES, maxBytes: BYTES });
  const body = signed.subarray(0, BODY_BYTES);
  const signature = signed.subarray(BODY_BYTES);
  if (root === undefined) verifyStatement(rotation.from, { domain: FROM_DOMAIN, body, signature });
  else verifyStatement(root, { domain: ROOT_DOMAIN, body, signature });
  verifyStatement(rotation.to, { domain: TO_DOMAIN, body, signature: toSignature });
  return rotation;
}

/** What a node shows of how it came to its key: the last rotations, the oldest first, and the roots of keys among them. */
export interface ShownKeys {
  readonly rotations?: readonly string[] | undefined;
  readonly roots?: readonly string[] | undefined;
}

/**
 * Whether these rotations lead from one key to another, each with both its signatures; a key leads to itself. `pinned` is
 * the root the first of them is known to have; else what a statement shown says. From there on all have the same.
 * @throws SkeinError `invalid`, `unauthenticated` for a rotation on the way that is none.
 */
export function leadsTo(
  from: PeerId,
  to: PeerId,
  { rotations = [], roots = [], pinned }: ShownKeys & { readonly pinned?: PublicIdentity | undefined },
): boolean {
  let at = from;
  let root = pinned;
  for (const text of rotations) {
    if (at === to) break;
    if (readRotation(text).from.id !== at) continue;
    root ??= rootOf(at, roots);
    at = openRotation(text, root).to.id;
  }
  return at === to;
}

function sameKey(): SkeinError {
  return new SkeinError('A rotation leads from a key to another one', { code: 'invalid' });
}
