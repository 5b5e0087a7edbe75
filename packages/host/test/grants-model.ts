import type { TrustOptions } from '@skein/mesh';
import type { Grant } from '@skein/protocol';

/** What a node's configuration may say of one peer. */
export interface PeerEntry {
  readonly trust?: TrustOptions['trust'];
  readonly allowBrain?: boolean;
  readonly allowTools?: readonly string[];
  readonly denyTools?: readonly string[];
}

/** What a node shares, by its configuration. */
export interface Sharing {
  readonly tools: boolean;
  readonly toolAllow: readonly string[];
  readonly memory: boolean;
  readonly session: boolean;
}

/** One line of the trust file, as far as it grants anything; absent for a key that is not in the file. */
export type Standing = Pick<TrustOptions, 'trust' | 'allowBrain' | 'allowTools' | 'denyTools' | 'revoked'>;

/** The table of PROTOCOL.md, one column a level, written a second time and in another shape on purpose. */
const ROWS: Readonly<Record<Grant, readonly [full: boolean, tool: boolean, read: boolean]>> = {
  presence: [true, true, true],
  tools: [true, true, false],
  'memory-read': [true, true, true],
  'memory-write': [true, false, false],
  sessions: [true, true, true],
  chat: [true, true, true],
  brain: [false, false, false],
};
const COLUMN = { full: 0, tool: 1, read: 2 } as const;

/** Every method that nodes answer each other, and what it needs. A method that is new stands here too, or the test fails. */
export const METHOD_GRANTS: Readonly<Record<string, Grant>> = {
  'presence.state': 'presence',
  'tools.changed': 'presence',
  'trust.revocations': 'presence',
  'trust.checkpoint': 'presence',
  'leader.state': 'presence',
  'leader.vote': 'presence',
  'leader.renew': 'presence',
  'schedules.claim': 'presence',
  'tools.list': 'tools',
  'tools.call': 'tools',
  'tasks.submit': 'brain',
  'tasks.watch': 'brain',
  'tasks.cancel': 'brain',
  'tasks.confirm': 'brain',
  'tasks.acknowledge': 'brain',
  'memory.have': 'memory-read',
  'memory.pull': 'memory-read',
  'memory.push': 'memory-read',
  'memory.search': 'memory-read',
  'sessions.have': 'sessions',
  'sessions.pull': 'sessions',
  'sessions.push': 'sessions',
  'chat.send': 'chat',
};

/** Whether a peer may, and with a tool named, may use that tool: the reference that the node is held against. */
export function modelAllows(
  question: { readonly grant: Grant; readonly tool?: string },
  {
    standing,
    entry = {},
    share,
  }: { readonly standing: Standing | undefined; readonly entry?: PeerEntry; readonly share: Sharing },
): boolean {
  const { grant, tool } = question;
  if (standing === undefined || standing.revoked) return false;
  const level = entry.trust ?? standing.trust;
  const granted = grant === 'brain' ? (entry.allowBrain ?? standing.allowBrain) : ROWS[grant][COLUMN[level]];
  if (!granted) return false;
  if (grant === 'tools' && !share.tools) return false;
  if (tool === undefined) return true;
  if (!matchesAny(share.toolAllow, tool)) return false;
  if (grant !== 'tools') return true;
  const allowed = entry.allowTools ?? standing.allowTools ?? ['*'];
  return matchesAny(allowed, tool) && !matchesAny(standing.denyTools, tool) && !matchesAny(entry.denyTools ?? [], tool);
}

function matchesAny(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => {
    const [start = '', ...more] = pattern.split('*');
    return more.length === 0 ? start === name : name.slice(0, start.length) === start;
  });
}
