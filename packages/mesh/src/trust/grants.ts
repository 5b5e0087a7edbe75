import type { Grant } from '@skein/protocol';
import type { TrustLevel, TrustRecord } from './trust-record.ts';

/** The one table: what each level of trust may use. `brain` is in none of them, it is granted by `allow-brain` alone. */
export const LEVEL_GRANTS: Readonly<Record<TrustLevel, readonly Grant[]>> = {
  full: ['presence', 'tools', 'memory-read', 'memory-write', 'sessions', 'chat'],
  tool: ['presence', 'tools', 'memory-read', 'sessions', 'chat'],
  read: ['presence', 'memory-read', 'sessions', 'chat'],
};

/** Whether a peer may, and if not, why: for an audit record and for the peer. */
export type Decision = { readonly allowed: true } | { readonly allowed: false; readonly reason: string };

const ALLOWED: Decision = { allowed: true };

/**
 * Whether the holder of a trust record may use a grant and, where one is named, a tool. No record means no. `deny=`
 * wins over `allow=`; where there is an `allow=`, what it does not name is denied.
 */
export function decide(record: TrustRecord | undefined, grant: Grant, tool?: string): Decision {
  if (record === undefined) return denied('its key is not in the trust file');
  if (record.revoked) return denied('its key was revoked');
  if (grant === 'brain') return record.allowBrain ? ALLOWED : denied('it was not granted the brain (allow-brain)');
  if (!LEVEL_GRANTS[record.trust].includes(grant)) return denied(`trust=${record.trust} does not include ${grant}`);
  if (grant !== 'tools' || tool === undefined) return ALLOWED;
  if (record.denyTools.some((glob) => matchesGlob(glob, tool))) return denied(`the tool ${tool} is denied to it`);
  if (record.allowTools !== undefined && !record.allowTools.some((glob) => matchesGlob(glob, tool))) {
    return denied(`the tool ${tool} is not among those allowed to it`);
  }
  return ALLOWED;
}

/** `*`, `prefix*` or an exact name; nothing else in a glob has a meaning. */
export function matchesGlob(glob: string, name: string): boolean {
  return glob.endsWith('*') ? name.startsWith(glob.slice(0, -1)) : name === glob;
}

function denied(reason: string): Decision {
  return { allowed: false, reason };
}
