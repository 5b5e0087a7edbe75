import { openAuditCheckpoint, type PeerId, parsePeerId, SkeinError } from '@skein/protocol';
import { readOwnFile, writeFileAtomic } from './files.ts';

/** Checkpoints in one file; beyond, the one that was set longest ago goes. */
const ENTRIES_MAX = 1_000;
const FILE_BYTES_MAX = 1024 * 1024;

/** What a CheckpointFile is made of. */
export interface CheckpointFileParts {
  readonly path: string;
}

/** A checkpoint of an audit log for each of up to 1,000 peers, as signed text, in a file of lines `<PeerId> <checkpoint>`. */
export class CheckpointFile {
  readonly #path: string;
  #entries = new Map<PeerId, string>();

  constructor(parts: CheckpointFileParts) {
    this.#path = parts.path;
  }

  /** Reads the file. @throws SkeinError `corrupt`, `denied`. */
  start(): void {
    const text = readOwnFile(this.#path, { maxBytes: FILE_BYTES_MAX, secret: false }) ?? '';
    const rows = text.split('\n').filter((row) => row !== '');
    this.#entries = new Map(
      rows.map((row, index) => {
        try {
          const [id = '', checkpoint = ''] = row.split(' ');
          openAuditCheckpoint(checkpoint);
          return [parsePeerId(id), checkpoint];
        } catch (cause) {
          throw new SkeinError(`${this.#path}, line ${index + 1} is damaged; keep the file, and move it aside to go on`, {
            code: 'corrupt',
            cause,
          });
        }
      }),
    );
  }

  get(id: PeerId): string | undefined {
    return this.#entries.get(id);
  }

  /** All of them, those set longest ago first. */
  entries(): Iterable<readonly [PeerId, string]> {
    return this.#entries.entries();
  }

  /** Keeps a checkpoint in the place of the one before; it is on the disk when this returns. */
  set(id: PeerId, checkpoint: string): void {
    if (this.#entries.get(id) === checkpoint) return;
    const entries = new Map(this.#entries);
    entries.delete(id);
    entries.set(id, checkpoint);
    const [oldest] = entries.keys();
    if (entries.size > ENTRIES_MAX && oldest !== undefined) entries.delete(oldest);
    writeFileAtomic(this.#path, [...entries].map(([peer, text]) => `${peer} ${text}\n`).join(''));
    this.#entries = entries;
  }
}
