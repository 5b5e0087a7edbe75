import { readFileSync } from 'node:fs';
import { writeFileAtomic } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';
import { z } from 'zod';

/** Peers whose tools are remembered. */
const PEERS_MAX = 1_000;

const file = z.record(z.string(), z.record(z.string(), z.string()));

export interface ToolsChange {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Tools that bear an old name and are something else now. */
  readonly redefined: readonly string[];
}

export interface KnownToolsParts {
  readonly path: string;
  /** Told when what was learnt cannot be kept; it counts until the node stops all the same. */
  readonly onError: (error: SkeinError) => void;
}

/** Which tools each peer showed last, with a digest of each definition; kept over restarts. */
export class KnownTools {
  readonly #path: string;
  readonly #onError: (error: SkeinError) => void;
  readonly #peers: Map<string, ReadonlyMap<string, string>>;

  /** @throws SkeinError `corrupt` when the file is not what this class writes. */
  constructor({ path, onError }: KnownToolsParts) {
    this.#path = path;
    this.#onError = onError;
    this.#peers = read(path);
  }

  /** Takes what a peer, or a server by its name, shows now and says how it differs from what it showed last. */
  update(id: string, digests: ReadonlyMap<string, string>): ToolsChange {
    const before = this.#peers.get(id) ?? new Map<string, string>();
    const names = [...digests.keys()];
    const change = {
      added: names.filter((name) => !before.has(name)),
      removed: [...before.keys()].filter((name) => !digests.has(name)),
      redefined: names.filter((name) => before.has(name) && before.get(name) !== digests.get(name)),
    };
    if (change.added.length + change.removed.length + change.redefined.length > 0) {
      this.#peers.delete(id);
      this.#peers.set(id, digests);
      const [oldest] = this.#peers.keys();
      if (this.#peers.size > PEERS_MAX && oldest !== undefined) this.#peers.delete(oldest);
      this.#save();
    }
    return change;
  }

  #save(): void {
    const plain = Object.fromEntries([...this.#peers].map(([peer, tools]) => [peer, Object.fromEntries(tools)]));
    try {
      writeFileAtomic(this.#path, `${JSON.stringify(plain)}\n`);
    } catch (cause) {
      this.#onError(new SkeinError(`${this.#path} cannot be written`, { code: 'unavailable', cause }));
    }
  }
}

function read(path: string): Map<string, ReadonlyMap<string, string>> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return new Map();
    throw new SkeinError(`${path} cannot be read`, { code: 'unavailable', cause: error });
  }
  try {
    return new Map(Object.entries(file.parse(JSON.parse(text))).map(([id, tools]) => [id, new Map(Object.entries(tools))]));
  } catch (error) {
    throw new SkeinError(`${path} is damaged; remove it to learn the peers' tools anew`, { code: 'corrupt', cause: error });
  }
}
