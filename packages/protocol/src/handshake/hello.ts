import { z } from 'zod';
import { SkeinError } from '../errors.ts';
import { parseName } from '../keys.ts';
import { HELLO_BYTES_MAX } from '../limits.ts';
import { ROOT_CHARS, ROOTS_SHOWN_MAX } from '../statements/root-statement.ts';
import { ROTATION_CHARS, ROTATIONS_SHOWN_MAX } from '../statements/rotation.ts';

/** What a node says of itself at the end of a handshake. Read only after its signature is verified. */
export const helloSchema = z.object({
  /** A label for people, never an identity. */
  name: z.string().max(64).refine(isName),
  /** 16 random bytes of this process, in hex: another value means that the node was started anew. */
  boot: z.string().regex(/^[0-9a-f]{32}$/),
  /** The sender's wall clock, epoch milliseconds. */
  timeMs: z.int().nonnegative(),
  /** Names of optional abilities. */
  features: z.array(z.string().regex(/^[a-z0-9][a-z0-9.-]{0,39}$/)).max(32),
  /** Proof that the initiator holds an invitation of the responder: its id and the MAC of the binding, both in hex. */
  invite: z.object({ id: z.string().regex(/^[0-9a-f]{16}$/), mac: z.string().regex(/^[0-9a-f]{64}$/) }).optional(),
  /** The rotations that led to the sender's key, the oldest first: for those who know it by a former one. */
  rotations: z.array(z.string().max(ROTATION_CHARS)).max(ROTATIONS_SHOWN_MAX).optional(),
  /** Which root the sender's key has, and the oldest in its rotations that has one. */
  roots: z.array(z.string().max(ROOT_CHARS)).max(ROOTS_SHOWN_MAX).optional(),
});
export type Hello = z.infer<typeof helloSchema>;

/** The part of a hello that stays the same for a process. */
export type HelloFields = Pick<Hello, 'name' | 'boot' | 'features' | 'rotations' | 'roots'>;

/** @throws SkeinError `invalid` when this node's own hello does not fit. */
export function formatHello(hello: Hello): Buffer {
  const parsed = helloSchema.safeParse(hello);
  if (!parsed.success) {
    throw new SkeinError(`This node's hello does not fit: ${z.prettifyError(parsed.error)}`, { code: 'invalid' });
  }
  const bytes = Buffer.from(JSON.stringify(parsed.data));
  if (bytes.length > HELLO_BYTES_MAX) {
    throw new SkeinError(`This node's hello has ${bytes.length} bytes, at most ${HELLO_BYTES_MAX} fit`, { code: 'invalid' });
  }
  return bytes;
}

/** @throws SkeinError `invalid`; call it with signed bytes only. */
export function parseHello(bytes: Buffer): Hello {
  if (bytes.length > HELLO_BYTES_MAX) {
    throw new SkeinError(`A hello has at most ${HELLO_BYTES_MAX} bytes, not ${bytes.length}`, { code: 'invalid' });
  }
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new SkeinError('A hello is not JSON', { code: 'invalid', cause });
  }
  const parsed = helloSchema.safeParse(value);
  if (!parsed.success) {
    throw new SkeinError(`A hello does not fit: ${z.prettifyError(parsed.error)}`, { code: 'invalid' });
  }
  return parsed.data;
}

function isName(text: string): boolean {
  try {
    return parseName(text) === text;
  } catch {
    return false;
  }
}
