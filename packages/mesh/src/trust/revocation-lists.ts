import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Identity,
  openRevocationList,
  type PeerId,
  parsePeerId,
  REVOCATION_LIST_CHARS_MAX,
  REVOCATIONS_MAX,
  type RevocationList,
  SkeinError,
  signRevocationList,
} from '@skein/protocol';
import { ensureDirectory, isErrno, readOwnFile, writeFileAtomic } from './files.ts';

const OWN = 'own';
/** Issuers whose list is kept; each is one whom a person made a revoker. */
const ISSUERS_MAX = 256;

interface Kept {
  readonly text: string;
  readonly list: RevocationList;
}

/** What RevocationLists is made of. */
export interface RevocationListsParts {
  /** Usually `.skein/revocations`. It need not exist. */
  readonly directory: string;
  readonly now: () => number;
}

/** The revocation list of this node, and the last one of each revoker it listens to, a file each. */
export class RevocationLists {
  readonly #directory: string;
  readonly #now: () => number;
  readonly #kept = new Map<PeerId, Kept>();
  #own: Kept | undefined;

  constructor(parts: RevocationListsParts) {
    this.#directory = parts.directory;
    this.#now = parts.now;
  }

  /** Reads the files. @throws SkeinError `corrupt` naming the file, `denied`. */
  start(): void {
    this.#own = this.#read(OWN);
    for (const name of listFiles(this.#directory)) {
      if (name === OWN || name.includes('.')) continue;
      const kept = this.#read(name);
      if (kept === undefined) continue;
      if (kept.list.issuer.id !== parsePeerId(name)) throw damaged(join(this.#directory, name));
      this.#kept.set(kept.list.issuer.id, kept);
    }
  }

  /** This node's own list as text; null when it has never revoked a key for others. */
  get own(): string | null {
    return this.#own?.text ?? null;
  }

  /** Whether a list that is kept names this key. */
  isListed(id: PeerId): boolean {
    for (const { list } of this.#kept.values()) if (list.ids.includes(id)) return true;
    return false;
  }

  /**
   * Makes this node's list say exactly this; the first 1,024 of more, which its caller tells people. True when
   * that is a new list.
   * @throws SkeinError `unavailable` when it cannot be kept: then it is not given out either.
   */
  publish(identity: Identity, ids: readonly PeerId[]): boolean {
    const wanted = ids.toSorted().slice(0, REVOCATIONS_MAX);
    const before = this.#own?.list;
    const same = before?.issuer.id === identity.id && before.ids.join() === wanted.join();
    if (same || (before === undefined && wanted.length === 0)) return false;
    const atMs = Math.trunc(this.#now());
    // By the clock, so that a node whose file was lost is not older than itself; by one where the clock went back.
    const version = Math.max(atMs, (before?.version ?? 0) + 1);
    const text = signRevocationList(identity, { version, atMs, ids: wanted });
    this.#write(OWN, text);
    this.#own = { text, list: openRevocationList(text) };
    return true;
  }

  /**
   * Reads a list of this issuer and says what is new in it; keep it with `keep` once that is in force.
   * @throws SkeinError `invalid`, `unauthenticated` for a forged one or one of another issuer, `conflict` for an older one.
   */
  open(issuer: PeerId, text: string): { readonly added: ReadonlySet<PeerId>; readonly keep: () => void } | undefined {
    const before = this.#kept.get(issuer);
    if (before?.text === text) return undefined;
    const list = openRevocationList(text);
    if (list.issuer.id !== issuer) {
      throw new SkeinError('A revocation list is of another issuer than the one who brings it', { code: 'unauthenticated' });
    }
    if (before !== undefined && list.version <= before.list.version) {
      throw new SkeinError(`Version ${list.version} of its revocation list is not newer than ${before.list.version}`, {
        code: 'conflict',
      });
    }
    const known = new Set(before?.list.ids);
    const keep = () => {
      if (before === undefined && this.#kept.size >= ISSUERS_MAX) {
        throw new SkeinError(`${ISSUERS_MAX} revocation lists are kept already`, { code: 'busy' });
      }
      this.#write(issuer, text);
      this.#kept.set(issuer, { text, list });
    };
    return { added: new Set(list.ids.filter((id) => !known.has(id))), keep };
  }

  #write(name: string, text: string): void {
    ensureDirectory(this.#directory);
    writeFileAtomic(join(this.#directory, name), `${text}\n`);
  }

  #read(name: string): Kept | undefined {
    const path = join(this.#directory, name);
    const text = readOwnFile(path, { maxBytes: REVOCATION_LIST_CHARS_MAX + 1, secret: false })?.trim();
    if (text === undefined) return undefined;
    try {
      return { text, list: openRevocationList(text) };
    } catch (cause) {
      throw damaged(path, cause);
    }
  }
}

function damaged(path: string, cause?: unknown): SkeinError {
  return new SkeinError(`${path} is damaged; move it away, and it is fetched or made anew`, { code: 'corrupt', cause });
}

function listFiles(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}
