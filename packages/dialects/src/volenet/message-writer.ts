import type { Clock } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';
import type { VoleTrust } from './host.ts';
import { type Announcement, isSealable, type VoleType } from './payloads.ts';
import { BoxSealer, boxKeysOf } from './seal.ts';
import type { Signed, VoleSigner } from './signature.ts';
import type { VoleId } from './vole-id.ts';

/** Whether what is for one peer alone is sealed: never, where the peer can open it, or else not sent at all. */
export type Encryption = 'off' | 'prefer' | 'require';

export interface MessageWriterParts {
  readonly to: VoleId;
  /** What the peer is called here, for errors. */
  readonly name: string;
  readonly signer: VoleSigner;
  readonly clock: Clock;
  readonly encryption: Encryption;
  /** The key as it is trusted now; undefined when it is not any more. */
  readonly trusted: () => VoleTrust | undefined;
}

/** Writes messages to one peer: signed as it can check them, sealed as it can open them. */
export class MessageWriter {
  readonly #parts: MessageWriterParts;
  #isHybrid = true;
  #sealer: { readonly x25519: string; readonly mlKem: string; readonly box: BoxSealer } | undefined;

  constructor(parts: MessageWriterParts) {
    this.#parts = parts;
  }

  /** Whether the peer announced both keys that sealing needs. */
  get canSeal(): boolean {
    return this.#sealer !== undefined;
  }

  /** Takes over which keys the peer says it has. */
  learn({ xPublicKey, mlkemPublicKey }: Announcement, { hasMlDsa }: { readonly hasMlDsa: boolean }): void {
    // One who announces no ML-DSA key runs where there is none, and could not check such a signature.
    this.#isHybrid = hasMlDsa || this.#parts.trusted()?.mlDsa !== undefined;
    if (this.#sealer?.x25519 !== xPublicKey || this.#sealer?.mlKem !== mlkemPublicKey) {
      this.#sealer = this.#sealerTo(xPublicKey, mlkemPublicKey);
    }
  }

  /** A message that is no secret. @throws SkeinError `too-large`. */
  sign(type: VoleType, payload: unknown): Signed {
    const { signer, to } = this.#parts;
    return signer.sign({ type, to, payload, hybrid: this.#isHybrid });
  }

  /**
   * A message for the peer alone, as text.
   * @throws SkeinError `denied` for a key that is not trusted any more, `unsupported` when it must be sealed and cannot
   * be, `too-large`.
   */
  write(type: VoleType, payload: unknown): string {
    const { encryption, trusted, name } = this.#parts;
    if (trusted() === undefined) throw new SkeinError('The key of the peer is not trusted any more', { code: 'denied' });
    const isOpen = encryption === 'off' || !isSealable(type);
    if (!isOpen && this.#sealer === undefined && encryption === 'require') {
      throw new SkeinError(`${name} announced no keys to seal to, and this node sends it nothing open`, {
        code: 'unsupported',
      });
    }
    const { text } = this.sign(type, payload);
    return isOpen || this.#sealer === undefined ? text : this.sign('sealed:direct', { box: this.#sealer.box.seal(text) }).text;
  }

  /** Called now and then. */
  tick(): void {
    this.#sealer?.box.forget();
  }

  #sealerTo(x25519: string | undefined, mlKem: string | undefined) {
    const { signer, to, clock } = this.#parts;
    const keys = boxKeysOf(x25519, mlKem);
    if (x25519 === undefined || mlKem === undefined || keys?.mlKem === undefined) return undefined;
    return { x25519, mlKem, box: new BoxSealer({ to: keys, aad: `${signer.id}|${to}`, clock }) };
  }
}
