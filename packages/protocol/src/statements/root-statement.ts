import { SkeinError } from '../errors.ts';
import type { PeerId } from '../ids.ts';
import { type Identity, type PublicIdentity, publicIdentity, SIGNATURE_BYTES } from '../keys.ts';
import {
  formatNumber,
  formatStatement,
  KEY_BYTES_RAW,
  parseStatement,
  readNumber,
  signStatement,
  verifyStatement,
} from './statement.ts';

const NODE_DOMAIN = 'skein root 1 node';
const ROOT_DOMAIN = 'skein root 1 root';
const BODY_BYTES = KEY_BYTES_RAW + KEY_BYTES_RAW + 8;
const BYTES = BODY_BYTES + 2 * SIGNATURE_BYTES;

/** Characters of a root statement as text. */
export const ROOT_CHARS = Math.ceil(BYTES / 3) * 4;
/** Root statements a node presents: of the oldest key in what it shows, and of its own. */
export const ROOTS_SHOWN_MAX = 2;

/** A node's key has a root: the key without which it is not rotated any more. */
export interface RootStatement {
  readonly node: PublicIdentity;
  readonly root: PublicIdentity;
  /** When, by the clock of the machine where it was made. */
  readonly atMs: number;
}

/** The key takes the root, and the root takes the key. @throws SkeinError `invalid` for one key twice. */
export function signRootStatement(node: Identity, root: Identity, atMs: number): string {
  if (node.id === root.id) throw sameKey();
  const body = Buffer.concat([node.bytes, root.bytes, formatNumber(atMs)]);
  return formatStatement(body, signStatement(node, NODE_DOMAIN, body), signStatement(root, ROOT_DOMAIN, body));
}

/** What a root statement says, unproven: for those who look first whether it concerns them. @throws SkeinError `invalid`. */
export function readRootStatement(text: string): RootStatement {
  const { body, key } = parseStatement(text, { minBytes: BYTES, maxBytes: BYTES });
  const root = publicIdentity(body.subarray(KEY_BYTES_RAW, 2 * KEY_BYTES_RAW));
  if (key.id === root.id) throw sameKey();
  return { node: key, root, atMs: readNumber(body, 2 * KEY_BYTES_RAW) };
}

/** What a root statement says, both signatures checked. @throws SkeinError `invalid`, `unauthenticated`. */
export function openRootStatement(text: string): RootStatement {
  const statement = readRootStatement(text);
  const { body: signed, signature: rootSignature } = parseStatement(text, { minBytes: BYTES, maxBytes: BYTES });
  const body = signed.subarray(0, BODY_BYTES);
  verifyStatement(statement.node, { domain: NODE_DOMAIN, body, signature: signed.subarray(BODY_BYTES) });
  verifyStatement(statement.root, { domain: ROOT_DOMAIN, body, signature: rootSignature });
  return statement;
}

/**
 * The root of a key by the first of these statements that is of this key; undefined when none is.
 * @throws SkeinError `invalid`, `unauthenticated` when that one is not signed by both.
 */
export function rootOf(id: PeerId, roots: readonly string[]): PublicIdentity | undefined {
  const text = roots.find((one) => readRootStatement(one).node.id === id);
  return text === undefined ? undefined : openRootStatement(text).root;
}

function sameKey(): SkeinError {
  return new SkeinError('The root of a key is another one', { code: 'invalid' });
}
