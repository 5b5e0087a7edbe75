import type { Grant } from '@skein/protocol';
import { TRUST_LEVELS, type TrustLevel, type TrustOptions, type TrustRecord } from './trust-record.ts';

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

/** What an entry may say of a trusted key; absent, what the key's line says. */
export type Refinement = { readonly [K in keyof RefinedOptions]?: RefinedOptions[K] | undefined };
type RefinedOptions = Pick<TrustOptions, 'trust' | 'allowBrain' | 'allowTools' | 'denyTools'>;

/** The record with what an entry says of its key instead. Tools that the line denies stay denied. */
export function refine(record: TrustRecord, entry: Refinement): TrustRecord {
  return {
    ...record,
    trust: entry.trust ?? record.trust,
    allowBrain: entry.allowBrain ?? record.allowBrain,
    allowTools: entry.allowTools ?? record.allowTools,
    denyTools: [...record.denyTools, ...(entry.denyTools ?? [])],
  };
}

/** The record with what an entry takes away: nothing in it gives the key more than its own line. */
export function restrict(record: TrustRecord, entry: Refinement): TrustRecord {
  const refined = refine(record, entry);
  return {
    ...refined,
    trust: TRUST_LEVELS.indexOf(refined.trust) > TRUST_LEVELS.indexOf(record.trust) ? refined.trust : record.trust,
    allowBrain: record.allowBrain && refined.allowBrain,
    allowTools: bothAllow(record.allowTools, entry.allowTools),
  };
}

/** Globs for what each of two lists allows; a list that is absent allows all. */
function bothAllow(some: readonly string[] | undefined, others: readonly string[] | undefined): readonly string[] | undefined {
  if (some === undefined || others === undefined) return some ?? others;
  const narrower = (wide: string, narrow: string) => (matchesGlob(wide, narrow) ? [narrow] : []);
  return [...new Set(some.flatMap((a) => others.flatMap((b) => [...narrower(a, b), ...narrower(b, a)])))];
}

function denied(reason: string): Decision {
  return { allowed: false, reason };
}
