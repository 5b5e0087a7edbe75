import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { SkeinError } from '@skein/protocol';
import { DiskFile } from './disk-file.ts';
import type { DiskEvent } from './disk-record.ts';

type Entry = DiskFile | 'folder';
/** Names that change together or not at all: `undefined` for one that goes. */
type NameChange = readonly (readonly [path: string, entry: Entry | undefined])[];

/** What a folder held before a program changed it, all of it on the disk for good. */
export type DiskImage = ReadonlyMap<string, 'folder' | { readonly file: number; readonly content: Buffer }>;

/** Takes the image of a folder. */
export function readDiskImage(root: string): DiskImage {
  const names = readdirSync(root, { recursive: true, encoding: 'utf8' }).sort();
  return new Map(
    names.map((name) => {
      const path = join(root, name);
      const status = lstatSync(path);
      return [name, status.isDirectory() ? 'folder' : { file: status.ino, content: readFileSync(path) }] as const;
    }),
  );
}

/** What may be on a disk after the power failed. */
export interface CrashState {
  /** How many of the events had happened. */
  readonly events: number;
  /** What the program had told by then. */
  readonly told: readonly string[];
  /** Every path and its content; folders have none. */
  readonly entries: ReadonlyMap<string, Buffer | undefined>;
}

/**
 * Follows the changes of a disk and tells, at any moment, what of them lasts: of a file what was synced, of a folder the
 * names it had when it was synced, and no more is promised. A file that moves to another folder counts for the folder it
 * comes into.
 */
export class DiskModel {
  readonly #random: () => number;
  /** By inode, the latest under each. */
  readonly #files = new Map<number, DiskFile>();
  /** As the running program sees it. */
  readonly #names = new Map<string, Entry>();
  readonly #lasting = new Map<string, Entry>();
  /** By the folder that has to be synced for them. */
  readonly #pending = new Map<string, NameChange[]>();
  readonly #told: string[] = [];
  #events = 0;

  constructor(parts: { readonly image?: DiskImage; readonly random: () => number }) {
    this.#random = parts.random;
    for (const [path, kept] of parts.image ?? []) {
      const entry = kept === 'folder' ? kept : new DiskFile(kept.content);
      if (kept !== 'folder' && entry !== 'folder') this.#files.set(kept.file, entry);
      this.#names.set(path, entry);
      this.#lasting.set(path, entry);
    }
  }

  take(event: DiskEvent): void {
    this.#events += 1;
    switch (event.type) {
      case 'write':
      case 'truncate':
        this.#file(event.file).change(event);
        break;
      case 'sync-file':
        if (event.failed) this.#file(event.file).failSync(this.#random);
        else this.#file(event.file).sync();
        break;
      case 'sync-folder':
        // One that failed promises nothing: its names are kept in memory until one succeeds.
        if (!event.failed) this.#syncFolder(event.path);
        break;
      case 'create':
        this.#files.set(event.file, new DiskFile());
        this.#change(event.path, [[event.path, this.#file(event.file)]]);
        break;
      case 'make-folder':
        this.#change(event.path, [[event.path, 'folder']]);
        break;
      case 'link':
        this.#change(event.to, [[event.to, this.#at(event.from)]]);
        break;
      case 'rename': {
        const moved = this.#at(event.from);
        const change: NameChange = [
          [event.from, undefined],
          [event.to, moved],
        ];
        this.#change(event.to, change);
        break;
      }
      case 'remove':
        this.#change(event.path, [[event.path, undefined]]);
        break;
      case 'told':
        this.#told.push(event.text);
        break;
    }
  }

  /** Everything, as the running program sees it. */
  now(): ReadonlyMap<string, Buffer | undefined> {
    return contentOf(this.#names, (file) => file.now());
  }

  /** One of the states in which a power cut at this moment may leave the disk, or, of it, one folder. */
  cut(folder = ''): CrashState {
    const random = this.#random;
    const names = new Map(this.#lasting);
    for (const changes of this.#pending.values()) for (const change of kept(changes, random)) applyNames(names, change);
    return {
      events: this.#events,
      told: [...this.#told],
      entries: contentOf(names, (file) => file.afterCut(random), folder),
    };
  }

  #file(inode: number): DiskFile {
    const file = this.#files.get(inode);
    if (file === undefined) throw notFollowed(`inode ${inode}`);
    return file;
  }

  #at(path: string): Entry {
    const entry = this.#names.get(path);
    if (entry === undefined) throw notFollowed(path);
    return entry;
  }

  #change(path: string, change: NameChange): void {
    applyNames(this.#names, change);
    const folder = folderOf(path);
    this.#pending.set(folder, [...(this.#pending.get(folder) ?? []), change]);
  }

  #syncFolder(path: string): void {
    for (const change of this.#pending.get(path) ?? []) applyNames(this.#lasting, change);
    this.#pending.delete(path);
  }
}

/** Where to cut, in rising order: half of the times anywhere, half right before a sync, when most is at stake. */
export function cutMoments(
  events: readonly DiskEvent[],
  { count, random }: { readonly count: number; readonly random: () => number },
): readonly number[] {
  const syncs = events.flatMap(({ type }, index) => (type === 'sync-file' || type === 'sync-folder' ? [index] : []));
  return Array.from({ length: count }, (_, number) => {
    const sync = number % 2 === 0 ? undefined : syncs[Math.floor(random() * syncs.length)];
    return sync ?? Math.floor(random() * (events.length + 1));
  }).sort((a, b) => a - b);
}

/** Cuts the power at these numbers of events, in rising order; each state is good until the next is asked for. */
export function* crashStates(
  events: readonly DiskEvent[],
  options: { readonly image?: DiskImage; readonly cuts: readonly number[]; readonly random: () => number },
): Generator<CrashState> {
  const model = new DiskModel(options);
  let taken = 0;
  for (const cut of options.cuts) {
    for (const event of events.slice(taken, cut)) model.take(event);
    taken = Math.max(taken, cut);
    yield model.cut();
  }
}

/** Lays a state out in a folder that is empty. */
export function writeCrashState({ entries }: CrashState, root: string): void {
  // Sorted, a folder comes before what is in it.
  for (const [path, content] of [...entries].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (content === undefined) mkdirSync(join(root, path), { mode: 0o700 });
    else writeFileSync(join(root, path), content, { mode: 0o600 });
  }
}

/** Nothing, all, the first ones, or any of them. */
function kept<T>(changes: readonly T[], random: () => number): readonly T[] {
  const way = random();
  if (way < 0.3) return [];
  if (way < 0.4) return changes;
  if (way < 0.7) return changes.slice(0, Math.floor(random() * (changes.length + 1)));
  return changes.filter(() => random() < 0.5);
}

function applyNames(names: Map<string, Entry>, change: NameChange): void {
  for (const [path, entry] of change) {
    if (entry === undefined) names.delete(path);
    else names.set(path, entry);
  }
}

function contentOf(
  names: ReadonlyMap<string, Entry>,
  read: (file: DiskFile) => Buffer,
  folder = '',
): Map<string, Buffer | undefined> {
  const isWanted = (path: string) => folder === '' || path === folder || path.startsWith(`${folder}/`);
  // What is in a folder that is lost is lost with it.
  const reachable = (path: string): boolean => path === '' || (names.get(path) === 'folder' && reachable(folderOf(path)));
  // A file may have several names, and has one content.
  const contents = new Map<DiskFile, Buffer>();
  const of = (file: DiskFile) => {
    const content = contents.get(file) ?? read(file);
    contents.set(file, content);
    return content;
  };
  return new Map(
    [...names].flatMap(([path, entry]) =>
      isWanted(path) && reachable(folderOf(path)) ? [[path, entry === 'folder' ? undefined : of(entry)] as const] : [],
    ),
  );
}

function folderOf(path: string): string {
  const folder = posix.dirname(path);
  return folder === '.' ? '' : folder;
}

function notFollowed(what: string): SkeinError {
  return new SkeinError(`The record of a disk does not say what became of ${what}`, { code: 'internal' });
}
