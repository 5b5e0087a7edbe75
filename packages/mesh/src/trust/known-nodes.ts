import { dirname } from 'node:path';
import { fingerprintWords, type PeerId, parsePeerId, SkeinError } from '@skein/protocol';
import { ensureDirectory, readOwnFile, withFileLock, writeFileAtomic } from './files.ts';

const FILE_BYTES_MAX = 4 * 1024 * 1024;
const HEADER = '# The key that answered first at each address. A line taken out is learned anew.\n';

/** What KnownNodes is made of. */
export interface KnownNodesParts {
  /** Usually `.skein/known_nodes`. It need not exist. */
  readonly path: string;
}

/**
 * Which key answers at which address, pinned at first contact. Read from the file at each question, which is asked once
 * a dial.
 */
export class KnownNodes {
  readonly #path: string;

  constructor(parts: KnownNodesParts) {
    this.#path = parts.path;
  }

  /** The key pinned for an address. @throws SkeinError `corrupt`, `denied`, `invalid` for what is no address. */
  get(url: string): PeerId | undefined {
    return this.#read().get(normalise(url));
  }

  /**
   * Says which key answered: pinned when it is the first, which is then told by true.
   * @throws SkeinError `unauthenticated` when another is pinned, naming both.
   */
  pin(url: string, id: PeerId): boolean {
    const address = normalise(url);
    if (this.#read().get(address) === id) return false;
    // Looked up again under the lock: another process may be the first.
    this.#change((nodes) => {
      const known = nodes.get(address);
      if (known !== undefined && known !== id) throw otherKey(address, { known, id, path: this.#path });
      nodes.set(address, id);
    });
    return true;
  }

  /** A key took the place of another: it is expected at that one's addresses from now on. */
  move(from: PeerId, to: PeerId): void {
    if (![...this.#read().values()].includes(from)) return;
    this.#change((nodes) => {
      for (const [url, id] of nodes) if (id === from) nodes.set(url, to);
    });
  }

  /** Forgets an address; true when it was known. */
  forget(url: string): boolean {
    const address = normalise(url);
    if (!this.#read().has(address)) return false;
    this.#change((nodes) => nodes.delete(address));
    return true;
  }

  #change(edit: (nodes: Map<string, PeerId>) => void): void {
    ensureDirectory(dirname(this.#path));
    withFileLock(this.#path, () => {
      const nodes = this.#read();
      edit(nodes);
      writeFileAtomic(this.#path, HEADER + [...nodes].map(([url, id]) => `${url} ${id}\n`).join(''));
    });
  }

  #read(): Map<string, PeerId> {
    const text = readOwnFile(this.#path, { maxBytes: FILE_BYTES_MAX, secret: false }) ?? '';
    const nodes = new Map<string, PeerId>();
    for (const [index, row] of text.split('\n').entries()) {
      if (row.trim() === '' || row.startsWith('#')) continue;
      try {
        const [url = '', id = ''] = row.trim().split(/\s+/);
        nodes.set(normalise(url), parsePeerId(id));
      } catch (cause) {
        const { message } = SkeinError.from(cause);
        throw new SkeinError(`${this.#path}, line ${index + 1}: ${message}`, { code: 'corrupt', cause });
      }
    }
    return nodes;
  }
}

function otherKey(address: string, { known, id, path }: { known: PeerId; id: PeerId; path: string }): SkeinError {
  return new SkeinError(
    `Another key than before answers at ${address}. Before: ${fingerprintWords(known)} (${known}). Now: ${fingerprintWords(id)} (${id}). If that node was set up anew, take its line out of ${path}; if not, somebody stands in between`,
    { code: 'unauthenticated' },
  );
}

/** One spelling for one address: without query, fragment and credentials. */
function normalise(url: string): string {
  if (!URL.canParse(url)) throw new SkeinError(`"${url.slice(0, 100)}" is not an address`, { code: 'invalid' });
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname === '' ? '/' : pathname}`;
}
