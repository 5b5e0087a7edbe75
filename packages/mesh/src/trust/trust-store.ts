import { type FSWatcher, statSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import { type PeerId, parseKeyLine, publicIdentity, type Rotation, SkeinError, shortPeerId } from '@skein/protocol';
import { type Clock, systemClock } from '../clock.ts';
import { ensureDirectory, readOwnFile, withFileLock, writeFileAtomic } from './files.ts';
import { formatTrustFile, parseTrustFile, recordsOf, TRUST_FILE_BYTES_MAX, type TrustFile, withRecords } from './trust-file.ts';
import { parseTrustLine, TRUST_DEFAULTS, type TrustOptions, type TrustRecord } from './trust-record.ts';

/** How often the file is looked at, whether or not the system reports its changes. */
const POLL_MS = 500;
/** A change must stand this long before it is read: an editor may write the file in pieces. */
const SETTLE_MS = 50;
/** An editor may take the file away for a moment; missing this long, it is gone and nobody is trusted. */
const GONE_MS = 400;
const EMPTY: TrustFile = { lines: [] };
/** What a revocation leaves in a line, taken back. */
const NOT_REVOKED = { revoked: false, shareRevocation: false, successor: undefined } as const;

/** What happened to a key. `removed` and `revoked` mean: end its sessions now. */
export interface TrustChange {
  readonly type: 'added' | 'changed' | 'revoked' | 'removed';
  readonly id: PeerId;
  /** As it is now; with `removed`, as it was. */
  readonly record: TrustRecord;
}

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
  readonly #clock: Clock;
  readonly #isListed: (id: PeerId) => boolean;
  readonly #onError: (error: SkeinError) => void;
  readonly #listeners = new Set<(change: TrustChange) => void>();
  #records: ReadonlyMap<PeerId, TrustRecord> = new Map();
  /** Modification time, size and inode of the file last looked at. */
  #seen = '';
  /** The change that is waited for to settle. */
  #pending: { readonly signature: string; readonly sinceMs: number } | undefined;
  #releaseSettle: () => void = () => {};
  #watcher: FSWatcher | undefined;
  #releasePoll: () => void = () => {};
  #closed = false;

  constructor(parts: TrustStoreParts) {
    this.#path = parts.path;
    this.#clock = parts.clock ?? systemClock;
    this.#isListed = parts.isListed ?? (() => false);
    this.#onError = parts.onError ?? (() => {});
  }

  /**
   * Reads the file and begins to watch it.
   * @throws SkeinError `corrupt` naming the line, `denied` when others may write the file.
   */
  async start(): Promise<void> {
    ensureDirectory(dirname(this.#path));
    this.#seen = this.#signature();
    this.#records = byId(this.#read());
    this.#watch();
    this.#poll();
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
   * Trusts a key: adds its line, or replaces the options of the line it has, a revocation included.
   * @throws SkeinError `invalid` for a wrong line or option, `busy`, `corrupt`.
   */
  trust(line: string, options: Partial<TrustOptions> = {}): TrustRecord {
    const record: TrustRecord = { ...parseTrustLine(line), ...NOT_REVOKED, ...options };
    return this.#change(() => record);
  }

  /**
   * Trusts a key for an invitation it redeemed: as `trust`, but a revoked key stays revoked, also when it was revoked in
   * the file a moment ago.
   * @throws SkeinError `denied` for a revoked key, else as `trust`.
   */
  trustInvited(line: string, options: Partial<TrustOptions> = {}): TrustRecord {
    const record: TrustRecord = { ...parseTrustLine(line), ...options, ...NOT_REVOKED };
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
    this.#closed = true;
    this.#releasePoll();
    this.#releaseSettle();
    this.#watcher?.close();
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
      this.#seen = this.#signature();
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

  /** Takes over a changed file once it stood for a moment. */
  #look(): void {
    if (this.#closed) return;
    const signature = this.#signature();
    if (signature === this.#seen) {
      this.#pending = undefined;
      return;
    }
    const nowMs = this.#clock.monotonicMs();
    if (this.#pending?.signature !== signature) this.#pending = { signature, sinceMs: nowMs };
    const leftMs = this.#pending.sinceMs + (signature === '' ? GONE_MS : SETTLE_MS) - nowMs;
    this.#releaseSettle();
    if (leftMs <= 0) {
      this.#refresh();
      return;
    }
    this.#releaseSettle = this.#clock.after(leftMs, () => this.#safely(() => this.#look()));
  }

  /** Takes over a changed file; a wrong one is reported once and the old state stays. */
  #refresh(): void {
    const signature = this.#signature();
    if (signature === this.#seen) return;
    this.#pending = undefined;
    this.#seen = signature;
    try {
      this.#replace(this.#read());
    } catch (error) {
      this.#onError(SkeinError.from(error));
    }
  }

  #replace(file: TrustFile): void {
    const before = this.#records;
    this.#records = byId(file);
    for (const change of changesBetween(before, this.#records)) {
      // A listener that fails must not keep the others, or a revocation behind it, from being heard.
      for (const listener of this.#listeners) this.#safely(() => listener(change));
    }
  }

  #signature(): string {
    const stats = statSync(this.#path, { throwIfNoEntry: false, bigint: true });
    return stats === undefined ? '' : `${stats.mtimeNs}/${stats.size}/${stats.ino}/${stats.mode}`;
  }

  /** The directory is watched, not the file: a rename onto the file would end a watch of it. */
  #watch(): void {
    try {
      this.#watcher = watch(dirname(this.#path), { persistent: false }, (_event, name) => {
        if (!this.#closed && (name === null || name === basename(this.#path))) this.#safely(() => this.#look());
      });
      // The poll goes on without it.
      this.#watcher.on('error', () => this.#watcher?.close());
    } catch (error) {
      this.#onError(SkeinError.from(error));
    }
  }

  #poll(): void {
    if (this.#closed) return;
    this.#releasePoll = this.#clock.after(POLL_MS, () => {
      this.#safely(() => this.#look());
      this.#poll();
    });
  }

  #safely(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#onError(SkeinError.from(error));
    }
  }
}

function byId(file: TrustFile): ReadonlyMap<PeerId, TrustRecord> {
  return new Map(recordsOf(file).map((record) => [record.identity.id, record]));
}

function* changesBetween(
  before: ReadonlyMap<PeerId, TrustRecord>,
  after: ReadonlyMap<PeerId, TrustRecord>,
): Generator<TrustChange> {
  for (const [id, record] of before) {
    if (!after.has(id)) yield { type: 'removed', id, record };
  }
  for (const [id, record] of after) {
    const old = before.get(id);
    if (old === undefined) yield { type: record.revoked ? 'revoked' : 'added', id, record };
    else if (record.revoked && !old.revoked) yield { type: 'revoked', id, record };
    else if (fields(record) !== fields(old)) yield { type: 'changed', id, record };
  }
}

function fields({ identity, ...rest }: TrustRecord): string {
  return JSON.stringify(rest);
}

/** The id of a bare base64 key. */
function keyId(text: string): PeerId | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === 32 && bytes.toString('base64') === text ? publicIdentity(bytes).id : undefined;
}
