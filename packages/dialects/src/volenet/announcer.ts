import type { VoleHost } from './host.ts';
import { publicHalf, type VoleKeys } from './keys.ts';
import type { Announcement } from './payloads.ts';
import type { VoleSigner } from './signature.ts';
import { spkiBase64, type VoleId } from './vole-id.ts';

/** The release of VoleNet whose behaviour this node shows. */
const SPOKEN_VERSION = '3.0.0';

export interface AnnouncerParts {
  readonly host: VoleHost;
  readonly signer: VoleSigner;
  /** This node's own key line. */
  readonly line: string;
  readonly keys: VoleKeys;
}

/** Says who this node is. */
export class Announcer {
  readonly #parts: AnnouncerParts;
  readonly #keys: Pick<Announcement, 'xPublicKey' | 'mlkemPublicKey'>;

  constructor(parts: AnnouncerParts) {
    const { x25519, mlKem } = parts.keys;
    this.#parts = parts;
    this.#keys = { xPublicKey: spkiBase64(publicHalf(x25519)), mlkemPublicKey: spkiBase64(publicHalf(mlKem)) };
  }

  /** What this node says of itself now. */
  announcement(): Announcement {
    const { host, line } = this.#parts;
    return {
      name: host.name,
      publicKey: line,
      endpoint: host.endpoint(),
      capabilities: [],
      role: host.role(),
      version: SPOKEN_VERSION,
      ...this.#keys,
      software: `skein/${host.version}`,
    };
  }

  /** The same as a message for HTTP, signed with all keys this node has. */
  write(type: 'discover' | 'discover:response', to: VoleId | '*'): string {
    return this.#parts.signer.sign({ type, to, payload: this.announcement(), hybrid: true }).text;
  }
}
