import { dirname } from 'node:path';
import { type PeerId, type PublicIdentity, REVOCATIONS_MAX, type Rotation, SkeinError } from '@skein/protocol';
import { type Clock, systemClock } from '../clock.ts';
import { FileWatch } from './file-watch.ts';
import { ensureDirectory, readOwnFile, withFileLock, writeFileAtomic } from './files.ts';
import { findRecord } from './find-record.ts';
import { distinctNames, withFreeNames } from './peer-names.ts';
import { standingOn } from './standing-on.ts';
import { changesBetween, type TrustChange } from './trust-changes.ts';
import { formatTrustFile, parseTrustFile, recordsOf, TRUST_FILE_BYTES_MAX, type TrustFile, withRecords } from './trust-file.ts';
import { formatTrustOptions, parseTrustLine, type TrustOptions, type TrustRecord } from './trust-record.ts';

const EMPTY: TrustFile = { lines: [] };
/** What a revocation leaves in a line, taken back. */
const NOT_REVOKED = { revoked: false, shareRevocation: false, successor: undefined } as const;

/** Makes records from those that are known, as they are called here, and as the file has them, in the same order. */
type Make<T> = (known: readonly TrustRecord[], written: readonly TrustRecord[]) => T;

/** What a TrustStore is made of. */
export interface TrustStoreParts {
  /** The trust file, usually `.skein/authorized_peers`. It need not exist. */
  readonly path: string;
  readonly clock?: Clock;
  /** What this node is called: no peer is called the same here. */
  readonly ownName?: string | undefined;
  /** This node's key and those it had: a line of one of them counts for nothing. */
  readonly ownIds?: readonly PeerId[];
  /** Whether a key that is not in the file was revoked by one whose list counts here: no invitation lets it in. */
  readonly isListed?: (id: PeerId) => boolean;
  /** Told when a change of the file is not taken over, because it is wrong or cannot be read; the old state stays. */
  readonly onError?: (error: SkeinError) => void;
}

/**
 * What came of a rotation. `moved`: the new key has the old one's place, and the old one is revoked. `known`: that was so
 * before, or the old key was none of ours. The others are refusals: the old key has another successor, was revoked, or the
 * new one was, or the old key has a root that did not sign.
 */
export type RotationOutcome = 'moved' | 'known' | 'second' | 'from-revoked' | 'to-revoked' | 'unrooted';

/** What came of a root statement. `second`: the key has another root, which it keeps. */
export type RootOutcome = 'pinned' | 'known' | 'second';

/** A key that was revoked by hand. */
export interface RevokedKey extends TrustRecord {
  /** The keys that were trusted until now and went along: they had taken its place by its own signature alone. */
  readonly alsoRevoked: readonly TrustRecord[];
  /** The one that its root has put in its place, which stays trusted. */
  readonly stillTrusted: TrustRecord | undefined;
}

/**
 * Whom this node trusts, from a file that people edit too: changes count within a second. Reading is from memory;
 * `trust` and `revoke` are on the disk when they return. No two keys have one name here: see `distinctNames`, which a
 * write makes true in the file as well.
 */
export class TrustStore {
  readonly #path: string;
  readonly #ownName: string | undefined;
  readonly #ownIds: ReadonlySet<PeerId>;
  readonly #isListed: (id: PeerId) => boolean;
  readonly #onError: (error: SkeinError) => void;
  readonly #listeners = new Set<(change: TrustChange) => void>();
  readonly #watch: FileWatch;
  #records: ReadonlyMap<PeerId, TrustRecord> = new Map();
  #renamed: ReadonlyMap<PeerId, string> = new Map();

  constructor(parts: TrustStoreParts) {
    const { path, clock = systemClock, ownName, ownIds = [], isListed = () => false, onError = () => {} } = parts;
    this.#path = path;
    this.#ownName = ownName;
    this.#ownIds = new Set(ownIds);
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
    this.#take(this.#read());
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

  /** The keys that are called otherwise here than in the file, where another has that name: what the file calls each. */
  get renamed(): ReadonlyMap<PeerId, string> {
    return this.#renamed;
  }

  /** The keys whose place this one has taken, over any number of rotations. */
  formerOf(id: PeerId): readonly PeerId[] {
    return this.list().flatMap(({ identity, successor }) =>
      successor !== undefined && identity.id !== id && this.current(identity.id) === id ? [identity.id] : [],
    );
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
   * Trusts a key. With a level, these options are its line from now on, whatever that was, a revocation included; its
   * root stays. Without one, they are added to what the line of a key says that is not revoked: a grant more must not cost it another.
   * The ML-DSA key it has shown stays too, where the line names none: it goes only with a revocation.
   * @throws SkeinError `invalid` for a wrong line or option, or a key of this node's own; `busy`, `corrupt`.
   */
  trust(line: string, options: Partial<TrustOptions> = {}): TrustRecord {
    const parsed = parseTrustLine(line);
    this.#refuseOwn(parsed.identity.id);
    const record: TrustRecord = { ...parsed, ...NOT_REVOKED, ...stated(options) };
    const isWhole = options.trust !== undefined || formatTrustOptions(parsed) !== '';
    return this.#change((known) => {
      const before = known.find(({ identity }) => identity.id === parsed.identity.id);
      const pinned = withVoleKey(record, before);
      if (isWhole || before === undefined || before.revoked) return { ...pinned, root: record.root ?? before?.root };
      const { name, kind, voleExtra } = pinned;
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
    this.#refuseOwn(id);
    return this.#change((known) => {
      if (known.some(({ identity, revoked }) => revoked && identity.id === id) || this.#isListed(id)) {
        throw new SkeinError(`The key of "${record.name}" was revoked; an invitation does not undo that`, { code: 'denied' });
      }
      const before = known.find(({ identity }) => identity.id === id);
      return { ...withVoleKey(record, before), root: before?.root };
    });
  }

  /**
   * Adds those of these whose keys have no line yet, at once; which those were. A line that is there stays as it is, one
   * of a revoked key too, and a key that a revocation list names is not added.
   */
  addMissing(records: readonly TrustRecord[]): readonly TrustRecord[] {
    return this.#changeAll((known) => {
      const ids = new Set(known.map(({ identity }) => identity.id));
      return records.filter(({ identity: { id } }) => !ids.has(id) && !this.#ownIds.has(id) && !this.#isListed(id));
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
   * Revokes a key given as its line, its id, the first 8 or more characters of the id, or its name, be that what it is
   * called here or what the file says. A key line that is not in the file is added as revoked. The keys that took its
   * place by its signature alone go with it (see `standingOn`), also when it was revoked before: a thief may have made them.
   * `share`: this node's revocation list names all of them from then on.
   * @throws SkeinError `not-found`; `conflict` when it fits several; `too-large` when that list had no room, and nothing is
   * revoked then; `busy`, `corrupt`.
   */
  revoke(who: string, { share = false }: { readonly share?: boolean } = {}): RevokedKey {
    const trusted = new Set<PeerId>();
    const [record, ...others] = this.#changeAll((known, written) => {
      const named = findRecord(who.trim(), { known, written, path: this.#path });
      const taken = [named, ...standingOn(named, byId(known))];
      for (const { identity, revoked } of taken) if (!revoked) trusted.add(identity.id);
      if (share) refuseOverfull(known, taken);
      return taken.map((each) => ({ ...each, revoked: true, shareRevocation: each.shareRevocation || share }));
    });
    if (record === undefined) throw notMade();
    const heir = this.get(this.current(record.identity.id));
    return {
      ...record,
      alsoRevoked: others.filter(({ identity }) => trusted.has(identity.id)),
      stillTrusted: heir?.revoked === false ? heir : undefined,
    };
  }

  /**
   * Revokes those of these keys that are in the file, and the keys that took their place by their signature alone, at
   * once; which of them were not revoked before.
   */
  revokeListed(ids: ReadonlySet<PeerId>): readonly TrustRecord[] {
    if (ids.size === 0) return [];
    return this.#changeAll((known) => {
      const records = byId(known);
      const named = known.filter(({ identity }) => ids.has(identity.id));
      const taken = new Set(named.flatMap((record) => [record, ...standingOn(record, records)]));
      return [...taken].filter(({ revoked }) => !revoked).map((record) => ({ ...record, revoked: true }));
    });
  }

  /** Keeps the root of a trusted key, from a statement whose signatures were checked. The first one counts. */
  pinRoot(id: PeerId, root: PublicIdentity): RootOutcome {
    let outcome: RootOutcome = 'known';
    const look = (known: readonly TrustRecord[]) => {
      const record = known.find(({ identity, revoked }) => identity.id === id && !revoked);
      outcome = record === undefined || record.root?.id === root.id ? 'known' : record.root === undefined ? 'pinned' : 'second';
      return outcome === 'pinned' && record !== undefined ? [{ ...record, root }] : [];
    };
    // Looked at again under the lock: another process may have pinned one.
    if (look(this.list()).length > 0) this.#changeAll(look);
    return outcome;
  }

  /**
   * Takes over a rotation whose signatures were checked, the first being the old key's or, where one is given, this
   * root's: the new key gets the line of the old one, which is revoked. A new key that has a line of its own keeps that,
   * and is given no root: who holds a former key of a node could else bind the present one.
   */
  follow(proven: Rotation & { readonly root?: PublicIdentity | undefined }): RotationOutcome {
    const outcome = this.#afterRotation(this.list(), proven);
    if (outcome !== 'moved') return outcome;
    let final: RotationOutcome = outcome;
    this.#changeAll((known) => {
      // Another process may have revoked one of them in this moment.
      final = this.#afterRotation(known, proven);
      if (final !== 'moved') return [];
      const { from, to } = proven;
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

  #afterRotation(
    known: readonly TrustRecord[],
    { from, to, root }: Rotation & { readonly root?: PublicIdentity | undefined },
  ): RotationOutcome {
    const old = known.find(({ identity }) => identity.id === from.id);
    if (old === undefined || old.successor === to.id) return 'known';
    const next = known.find(({ identity }) => identity.id === to.id);
    if (old.successor !== undefined) return 'second';
    if (old.revoked) return next === undefined ? 'from-revoked' : 'known';
    if (next === undefined ? this.#isListed(to.id) : next.revoked) return 'to-revoked';
    return old.root?.id === root?.id ? 'moved' : 'unrooted';
  }

  /** Writes one record, made from what the file holds now; nobody else changes the file meanwhile. */
  #change(make: Make<TrustRecord>): TrustRecord {
    const [record] = this.#changeAll((known, written) => [make(known, written)]);
    if (record === undefined) throw notMade();
    return record;
  }

  /** The same for several records, which are all written or none. */
  #changeAll(make: Make<readonly TrustRecord[]>): readonly TrustRecord[] {
    ensureDirectory(dirname(this.#path));
    const { file, records } = withFileLock(this.#path, () => {
      const before = this.#read();
      const written = this.#othersIn(before);
      const known = distinctNames(written, this.#ownName);
      const made = withFreeNames(make(known, written), { known, ownName: this.#ownName });
      // Who has a name now keeps it, whatever becomes of the others.
      const renamed = known.filter((record, index) => record.name !== written[index]?.name);
      const after = made.length > 0 ? withRecords(before, [...renamed, ...made]) : before;
      if (made.length > 0) writeFileAtomic(this.#path, formatTrustFile(after));
      this.#watch.markSeen();
      return { file: after, records: made };
    });
    this.#replace(file);
    return records;
  }

  #refuseOwn(id: PeerId): void {
    if (!this.#ownIds.has(id)) return;
    throw new SkeinError("That is a key of this node's own, present or former; give it to the others, and trust theirs here", {
      code: 'invalid',
    });
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

  #othersIn(file: TrustFile): readonly TrustRecord[] {
    return recordsOf(file).filter(({ identity }) => !this.#ownIds.has(identity.id));
  }

  #take(file: TrustFile): void {
    const written = this.#othersIn(file);
    const records = distinctNames(written, this.#ownName);
    this.#records = byId(records);
    this.#renamed = new Map(
      written.flatMap(({ identity: { id }, name, revoked }, index) =>
        revoked || records[index]?.name === name ? [] : [[id, name] as const],
      ),
    );
  }

  #replace(file: TrustFile): void {
    const before = this.#records;
    this.#take(file);
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

function byId(records: readonly TrustRecord[]): ReadonlyMap<PeerId, TrustRecord> {
  return new Map(records.map((record) => [record.identity.id, record]));
}

/** A line that does not name the ML-DSA key takes nothing back: without it, one signature less would be asked for. */
function withVoleKey(record: TrustRecord, before: TrustRecord | undefined): TrustRecord {
  const voleExtra = record.voleExtra ?? (before?.revoked ? undefined : before?.voleExtra);
  return voleExtra === undefined ? record : { ...record, kind: 'vole', voleExtra };
}

/** @throws SkeinError `too-large` when this node's revocation list had no room for these as well. */
function refuseOverfull(known: readonly TrustRecord[], added: readonly TrustRecord[]): void {
  const shared = new Set(
    [...known.filter(({ shareRevocation }) => shareRevocation), ...added].map(({ identity }) => identity.id),
  );
  if (shared.size <= REVOCATIONS_MAX) return;
  throw new SkeinError(
    `A revocation list names at most ${REVOCATIONS_MAX} keys, and with ${added.length} more this one would name ${shared.size}. Nothing was revoked: do so without --share, or first take old lines with "share-revocation" out of the trust file`,
    { code: 'too-large' },
  );
}

function notMade(): SkeinError {
  return new SkeinError('A change of the trust file was not made', { code: 'internal' });
}

/** A level that is given is somebody's word. */
function stated(options: Partial<TrustOptions>): Partial<TrustOptions> {
  return options.trust === undefined ? options : { assumed: false, ...options };
}
