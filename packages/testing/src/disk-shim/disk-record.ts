import { openSync, readFileSync, writeSync } from 'node:fs';
import { posix } from 'node:path';
import { SkeinError } from '@skein/protocol';

/** One change of a disk as it happened; paths from the folder on that is watched, which itself is ''. */
export type DiskEvent =
  | { readonly type: 'write'; readonly file: number; readonly at: number; readonly data: Buffer }
  | { readonly type: 'truncate'; readonly file: number; readonly bytes: number }
  | { readonly type: 'sync-file'; readonly file: number; readonly failed: boolean }
  | { readonly type: 'sync-folder'; readonly path: string; readonly failed: boolean }
  | { readonly type: 'create'; readonly path: string; readonly file: number }
  | { readonly type: 'make-folder'; readonly path: string }
  | { readonly type: 'link'; readonly from: string; readonly to: string }
  | { readonly type: 'rename'; readonly from: string; readonly to: string }
  | { readonly type: 'remove'; readonly path: string }
  /** The program told somebody, who from then on may count on it. */
  | { readonly type: 'told'; readonly text: string };

/** For the program itself: notes in its record what it told, among the changes, in their order. */
export function openDiskRecord(path: string): (text: string) => void {
  const record = openSync(path, 'a', 0o600);
  return (text) => {
    const data = Buffer.from(text);
    writeSync(record, Buffer.concat([Buffer.from(`A 0 0 0 ${data.length}\n`), data]));
  };
}

/** Reads a whole record. @throws SkeinError `corrupt`. */
export function readDiskRecord(path: string): readonly DiskEvent[] {
  const bytes = readFileSync(path);
  const events: DiskEvent[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(0x0a, at);
    const [kind, ...numbers] = bytes.toString('latin1', at, end).split(' ');
    const [file = 0, place = 0, pathBytes = 0, dataBytes = 0] = numbers.map(Number);
    const data = end + 1 + pathBytes;
    const name = bytes.toString('utf8', end + 1, data);
    at = data + dataBytes;
    if (end < 0 || at > bytes.length) throw new SkeinError(`${path} ends inside an entry`, { code: 'corrupt' });
    events.push(eventOf({ kind, file, place, name, data: bytes.subarray(data, at) }));
  }
  return events;
}

interface Entry {
  readonly kind: string | undefined;
  readonly file: number;
  readonly place: number;
  readonly name: string;
  readonly data: Buffer;
}

function eventOf({ kind, file, place, name, data }: Entry): DiskEvent {
  const path = posix.normalize(name === '' ? '.' : name).replace(/^\.$/, '');
  switch (kind) {
    case 'W':
      return { type: 'write', file, at: place, data };
    case 'T':
      return { type: 'truncate', file, bytes: place };
    case 'S':
    case 'F': {
      const failed = kind === 'F';
      return place === 1 ? { type: 'sync-folder', path, failed } : { type: 'sync-file', file, failed };
    }
    case 'C':
      return { type: 'create', path, file };
    case 'M':
      return { type: 'make-folder', path };
    case 'L':
      return { type: 'link', from: path, to: data.toString('utf8') };
    case 'R':
      return { type: 'rename', from: path, to: data.toString('utf8') };
    case 'U':
      return { type: 'remove', path };
    case 'A':
      return { type: 'told', text: data.toString('utf8') };
    default:
      throw new SkeinError(`A record of a disk has an entry of the kind "${kind}"`, { code: 'corrupt' });
  }
}
