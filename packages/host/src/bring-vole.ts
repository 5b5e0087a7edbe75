import { dirname } from 'node:path';
import { type AuthorizedVoles, adoptVoleKeys, readAuthorizedVoles } from '@skein/dialects';
import { TRUST_DEFAULTS, type TrustRecord } from '@skein/mesh';
import type { Logger } from 'pino';
import type { LoadedVole } from './config/load-config.ts';
import type { DataDir } from './data-dir.ts';
import type { NodeFiles } from './node-files.ts';

/** What was brought over from an OpenVole node. */
export interface BroughtVole {
  readonly added: readonly TrustRecord[];
  /** Keys that had a line here, or were revoked here; they stay as they are. */
  readonly kept: number;
  /** Lines of `authorized_voles` that could not be read. */
  readonly skipped: AuthorizedVoles['skipped'];
}

export interface BringVoleParts {
  readonly vole: LoadedVole;
  readonly files: Pick<NodeFiles, 'identity' | 'trust' | 'audit'>;
  readonly dir: DataDir;
  readonly log: Logger;
}

/**
 * Trusts the keys an OpenVole node trusts, unless they are known here, and keeps its further keys as this node's own. What
 * they come from is only read.
 * @throws SkeinError `denied` for a file that others may change, or for a key that they may read; `corrupt`, `busy`.
 */
export function bringVole({ vole, files, dir, log }: BringVoleParts): BroughtVole {
  const { identity: self, trust, audit } = files;
  const { authorizedVoles, key } = vole.places;
  const { lines, skipped } = readAuthorizedVoles(authorizedVoles);
  const records = lines
    .filter(({ identity }) => identity.id !== self.id)
    .map(({ identity, name, mlDsa }): TrustRecord => {
      return { ...TRUST_DEFAULTS, identity, name, kind: 'vole', voleExtra: mlDsa, trust: vole.trustUnlisted };
    });
  const added = records.length === 0 ? [] : trust.addMissing(records);
  for (const { identity, name } of added) audit.append({ event: 'trust-added', peer: identity.id, name });
  adoptVoleKeys(dirname(key), dir.volenet);
  for (const note of vole.notes) log.info({ note }, 'vole config');
  for (const { line, reason } of skipped) log.warn({ line, reason }, 'line of authorized_voles left out');
  const kept = records.length - added.length;
  log.info({ added: added.length, kept, trust: vole.trustUnlisted }, 'authorized_voles taken over');
  return { added, kept, skipped };
}
