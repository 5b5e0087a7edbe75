import { createHash } from 'node:crypto';
import type { PeerId } from '@skein/protocol';

/** Names a set of voters, given in order. */
export function digestOf(voters: readonly PeerId[]): string {
  const list = voters.map((id) => `${id}\n`).join('');
  return createHash('sha256').update(list).digest('hex');
}
