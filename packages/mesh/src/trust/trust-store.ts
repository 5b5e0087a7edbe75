import { dirname } from 'node:path';
import { type PeerId, parseKeyLine, publicIdentity, type Rotation, SkeinError, shortPeerId } from '@skein/protocol';
import { type Clock, systemClock } from '../clock.ts';
import { FileWatch } from './file-watch.ts';
import { ensureDirectory, readOwnFile, withFileLock, writeFileAtomic } from './files.ts';
import { changesBetween, type TrustChange } from './trust-changes.ts';
import { formatTrustFile, parseTrustFile, recordsOf, TRUST_FILE_BYTES_MAX, type TrustFile, withRecords } from './trust-file.ts';
import { formatTrustOptions, parseTrustLine, TRUST_DEFAULTS, type TrustOptions, type TrustRecord } from './trust-record.ts';

const EMPTY: TrustFile = { lines: [] };
/** What a revocation leaves in a line, taken back. */
const NOT_REVOKED = { revoked: false, shareRevocation: false, successor: undefined } as const;

/** What a TrustStore is made of. */
export interface TrustStoreParts {
  /** The trust file, usually `.skein/authorized_peers`. It need not exist. */
  readonly path: string;
  readonly clock?: Clock;
  /** Whether a key that is not in the file was revoked by one whose list counts here: no invitation lets it in. */
  readonly isListed?: (id: PeerId) => boolean;
  /** Told when a change of the file is not taken over, because it is wrong or cannot be read; the old state stays. */
  readonly onError?: (error: SkeinError) => void;
}

/**
 * What came of a rotation. `moved`: the new key has the old one's place, and the old one is revoked. `known`: that was so
 * before, or the old key was none of ours. The others are refusals: the old key has another successor, was revoked, or the
 * new one was.
 */
export type RotationOutcome = 'moved' | 'known' | 'second' | 'from-revoked' | 'to-revoked';

/**
 * Whom this node trusts, from a file that people edit too: changes count within a second. Reading is from memory;
 * `trust` and `revoke` are on the disk when they return.
 */
export class TrustStore {
  readonly #path: string;
  readonly #isListed: (id: PeerId) => boolean;
  readonly #onError: (error: SkeinError) => void;
  readonly #listeners = new Set<(change: TrustChange) => void>();
  readonly #watch: FileWatch;
  #records: ReadonlyMap<PeerId, TrustRecord> = new Map();

  constructor(parts: TrustStoreParts) {
    const { path, clock = systemClock, isListed = () => false, onError = () => {} } = parts;
    this.#path = path;
    this.#isListed = isListed;
    this.#onError = onError;
    // A wrong file is reported once and the old state stays.
    this.#watch = new FileWatch({ path, clock, onChanged: () => this.#replace(this.#read()), onError });
  }

  /**
   * Reads the file and begins to watch it.
   * @throws SkeinError `corrupt` naming the line, `denied` when others may write the file.
   */
  async start(): Promise<void> {
    ensureDirectory(dirname(this.#path));
    this.#watch.markSeen();
    this.#records = byId(this.#read());
    this.#watch.start();
  }

  /** The record of a key, a revoked one too. */
  get(id: PeerId): TrustRecord | undefined {
    return this.#records.get(id);
  }

  /** All records in the order of the file, revoked ones too. */
  list(): readonly TrustRecord[] {
    return [...this.#records.values()];
  }

  /** The key that has taken the place of this one, over any number of rotations; itself when none has. */
  current(id: PeerId): PeerId {
    let at = id;
    // At most once for each record: a file may lead in a circle.
    for (let left = this.#records.size; left > 0; left -= 1) {
      const { successor } = this.#records.get(at) ?? {};
      if (successor === undefined) break;
      at = successor;
    }
    return at;
  }

  /** Calls back at once, in order, for each later change, whoever made it; the returned function ends that. */
  onChange(listener: (change: TrustChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Trusts a key. With a level, these options are its line from now on, whatever that was, a revocation included. Without
   * one, they are added to what the line of a key says that is not revoked: a grant more must not cost it another.
   * @throws SkeinError `invalid` for a wrong line or option, `busy`, `corrupt`.
   */
  trust(line: string, options: Partial<TrustOptions> = {}): TrustRecord {
    const parsed = parseTrustLine(line);
    const record: TrustRecord = { ...parsed, ...NOT_REVOKED, ...stated(options) };
    const isWhole = options.trust !== undefined || formatTrustOptions(parsed) !== '';
    return this.#change((known) => {
      const before = known.find(({ identity }) => identity.id === parsed.identity.id);
      if (isWhole || before === undefined || before.revoked) return record;
      const { name, kind } = parsed;
      const voleExtra = kind === 'vole' ? (parsed.voleExtra ?? before.voleExtra) : undefined;
      return { ...before, name, kind, voleExtra, ...options };
    });
  }

  /**
   * Trusts a key for an invitation it redeemed: as `trust`, but a revoked key stays revoked, also when it was revoked in
   * the file a moment ago.
   * @throws SkeinError `denied` for a revoked key, else as `trust`.
   */
  trustInvited(line: string, options: Partial<TrustOptions> = {}): TrustRecord {
    const record: TrustRecord = { ...parseTrustLine(line), ...stated(options), ...NOT_REVOKED };
    const { id } = record.identity;
    return this.#change((known) => {
      if (known.some(({ identity, revoked }) => revoked && identity.id === id) || this.#isListed(id)) {
        throw new SkeinError(`The key of "${record.name}" was revoked; an invitation does not undo that`, { code: 'denied' });
      }
      return record;
    });
  }

  /**
   * Adds those of these whose keys have no line yet, at once; which those were. A line that is there stays as it is, one
   * of a revoked key too, and a key that a revocation list names is not added.
   */
  addMissing(records: readonly TrustRecord[]): readonly TrustRecord[] {
    return this.#changeAll((known) => {
      const ids = new Set(known.map(({ identity }) => identity.id));
      return records.filter(({ identity: { id } }) => !ids.has(id) && !this.#isListed(id));
    });
  }

  /** Keeps the ML-DSA key that a trusted VoleNet peer has shown with its line; that of a revoked key stays as it is. */
  pinVoleKey(id: PeerId, mlDsa: string): void {
    this.#changeAll((known) =>
      known
        .filter(({ identity, revoked, voleExtra }) => identity.id === id && !revoked && voleExtra !== mlDsa)
        .map((record) => ({ ...record, kind: 'vole', voleExtra: mlDsa })),
    );
  }

  /**
   * Revokes a key given as its line, its id, the first 8 or more characters of the id, or its name. A key line that is
   * not in the file is added as revoked. `share`: this node's revocation list names it from then on.
   * @throws SkeinError `not-found`; `conflict` when it fits several; `busy`, `corrupt`.
   */
  revoke(who: string, { share = false }: { readonly share?: boolean } = {}): TrustRecord {
    return this.#change((known) => {
      const record = this.#find(known, who.trim());
      return { ...record, revoked: true, shareRevocation: record.shareRevocation || share };
    });
  }

  /** Revokes those of these keys that are in the file and are not revoked yet, at once; which those were. */
  revokeListed(ids: ReadonlySet<PeerId>): readonly TrustRecord[] {
    if (ids.size === 0) return [];
    return this.#changeAll((known) =>
      known.filter(({ identity, revoked }) => !revoked && ids.has(identity.id)).map((record) => ({ ...record, revoked: true })),
    );
  }

  /**
   * Takes over a rotation whose signatures were checked: the new key gets the line of the old one, which is revoked.
   * A new key that has a line of its own keeps that.
   */
  follow(rotation: Rotation): RotationOutcome {
    const outcome = this.#afterRotation(this.list(), rotation);
    if (outcome !== 'moved') return outcome;
    let final: RotationOutcome = outcome;
    this.#changeAll((known) => {
      // Another process may have revoked one of them in this moment.
      final = this.#afterRotation(known, rotation);
      if (final !== 'moved') return [];
      const { from, to } = rotation;
      const old = known.filter(({ identity }) => identity.id === from.id);
      const isNew = !known.some(({ identity }) => identity.id === to.id);
      const moved = isNew
        ? old.map((record): TrustRecord => ({ ...record, identity: to, kind: 'skein', voleExtra: undefined }))
        : [];
      return [...old.map((record) => ({ ...record, revoked: true, successor: to.id })), ...moved];
    });
    return final;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch.close();
    this.#listeners.clear();
  }

  #find(known: readonly TrustRecord[], who: string): TrustRecord {
    if (/\s/.test(who)) {
      const { identity, name } = parseKeyLine(who);
      const kind = who.startsWith('vole-') ? 'vole' : 'skein';
      const listed = known.find((record) => record.identity.id === identity.id);
      return listed ?? { identity, name, kind, voleExtra: undefined, ...TRUST_DEFAULTS };
    }
    const byKey = keyId(who);
    const fitting = known.filter(
      ({ identity, name, successor }) =>
        identity.id === byKey ||
        // The name went on to the key that took the place of this one.
        (name === who && successor === undefined) ||
        (who.length >= 8 && identity.id.startsWith(who)),
    );
    const [record, second] = fitting;
    if (record === undefined) {
      throw new SkeinError(`No key in ${this.#path} is named "${who.slice(0, 60)}" or has that id`, { code: 'not-found' });
    }
    if (second !== undefined) {
      const ids = fitting.map(({ identity }) => shortPeerId(identity.id)).join(', ');
      throw new SkeinError(`"${who}" fits ${fitting.length} keys: ${ids}. Name one by its id`, { code: 'conflict' });
    }
    return record;
  }

  #afterRotation(known: readonly TrustRecord[], { from, to }: Rotation): RotationOutcome {
    const old = known.find(({ identity }) => identity.id === from.id);
    if (old === undefined || old.successor === to.id) return 'known';
    const next = known.find(({ identity }) => identity.id === to.id);
    if (old.successor !== undefined) return 'second';
    if (old.revoked) return next === undefined ? 'from-revoked' : 'known';
    if (next === undefined ? this.#isListed(to.id) : next.revoked) return 'to-revoked';
    return 'moved';
  }

  /** Writes one record, made from what the file holds now; nobody else changes the file meanwhile. */
  #change(make: (known: readonly TrustRecord[]) => TrustRecord): TrustRecord {
    let record: TrustRecord | undefined;
    this.#changeAll((known) => {
      record = make(known);
      return [record];
    });
    if (record === undefined) throw new SkeinError('A change of the trust file was not made', { code: 'internal' });
    return record;
  }

  /** The same for several records, which are all written or none. */
  #changeAll(make: (known: readonly TrustRecord[]) => readonly TrustRecord[]): readonly TrustRecord[] {
    ensureDirectory(dirname(this.#path));
    const { file, records } = withFileLock(this.#path, () => {
      const before = this.#read();
      const made = make(recordsOf(before));
      const after = withRecords(before, made);
      if (made.length > 0) writeFileAtomic(this.#path, formatTrustFile(after));
      this.#watch.markSeen();
      return { file: after, records: made };
    });
    this.#replace(file);
    return records;
  }

  #read(): TrustFile {
    const text = readOwnFile(this.#path, { maxBytes: TRUST_FILE_BYTES_MAX, secret: false });
    if (text === undefined) return EMPTY;
    try {
      return parseTrustFile(text);
    } catch (cause) {
      const { message, code } = SkeinError.from(cause);
      throw new SkeinError(`The trust file ${this.#path} is wrong. ${message}`, { code, cause });
    }
  }

  #replace(file: TrustFile): void {
    const before = this.#records;
    this.#records = byId(file);
    for (const change of changesBetween(before, this.#records)) {
      // A listener that fails must not keep the others, or a revocation behind it, from being heard.
      for (const listener of this.#listeners) {
        try {
          listener(change);
        } catch (error) {
          this.#onError(SkeinError.from(error));
        }
      }
    }
  }
}

/** A level that is given is somebody's word. */
function stated(options: Partial<TrustOptions>): Partial<TrustOptions> {
  return options.trust === undefined ? options : { assumed: false, ...options };
}

function byId(file: TrustFile): ReadonlyMap<PeerId, TrustRecord> {
  return new Map(recordsOf(file).map((record) => [record.identity.id, record]));
}

/** The id of a bare base64 key. */
function keyId(text: string): PeerId | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === 32 && bytes.toString('base64') === text ? publicIdentity(bytes).id : undefined;
}
