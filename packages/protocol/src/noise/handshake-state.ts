import type { KeyObject } from 'node:crypto';
import { SkeinError } from '../errors.ts';
import { CipherState, TAG_BYTES } from './cipher-state.ts';
import { type NoisePattern, type NoiseToken, noiseProtocolName } from './patterns.ts';
import { SymmetricState } from './symmetric-state.ts';
import { createX25519, DH_BYTES, dh, type X25519KeyPair, x25519Public } from './x25519.ts';

/** The longest Noise message (Noise rev 34, section 3). */
export const NOISE_MAX_BYTES = 65_535;

/** What a handshake is made of. Which of the keys must be there follows from the pattern. */
export interface HandshakeStateParts {
  readonly pattern: NoisePattern;
  readonly initiator: boolean;
  /** Bytes both sides must agree on; not sent. */
  readonly prologue: Uint8Array;
  /** This side's static key. */
  readonly staticKey: X25519KeyPair;
  /** The other side's static key, raw, where the pattern knows it beforehand. */
  readonly remoteStatic?: Uint8Array;
  /** 32 bytes, for the patterns with `psk`. */
  readonly psk?: Uint8Array;
  /** Fresh unless given; give one only to repeat the very same handshake. */
  readonly ephemeral?: X25519KeyPair;
}

/** A payload, or what makes it from the transcript hash it will be sealed under. */
export type NoisePayload = Uint8Array | ((transcriptHash: Buffer) => Uint8Array);

/** The two ciphers a finished handshake ends in. */
export interface NoiseTransport {
  readonly send: CipherState;
  readonly receive: CipherState;
}

/**
 * One side of a Noise handshake (Noise rev 34, section 5.3) over 25519, ChaChaPoly and SHA256. `write` and `read`
 * alternate as the pattern says. After a throw it is spent: drop it.
 */
export class HandshakeState {
  readonly #symmetric: SymmetricState;
  readonly #pattern: NoisePattern;
  readonly #initiator: boolean;
  readonly #psk: Uint8Array | undefined;
  readonly #static: X25519KeyPair;
  readonly #ephemeral: X25519KeyPair;
  #remoteStatic: Uint8Array | undefined;
  #remoteStaticKey: KeyObject | undefined;
  #remoteEphemeralKey: KeyObject | undefined;
  #payloadHash: Buffer = Buffer.alloc(0);
  #next = 0;

  /** @throws SkeinError `invalid` when a key the pattern needs is missing or has the wrong length. */
  constructor(parts: HandshakeStateParts) {
    this.#pattern = parts.pattern;
    this.#initiator = parts.initiator;
    this.#static = parts.staticKey;
    this.#ephemeral = parts.ephemeral ?? createX25519();
    this.#psk = requirePsk(parts);
    this.#symmetric = new SymmetricState(noiseProtocolName(parts.pattern));
    this.#symmetric.mixHash(parts.prologue);
    this.#mixKnown(parts);
  }

  /** True when all messages of the pattern went through. */
  get finished(): boolean {
    return this.#next === this.#pattern.messages.length;
  }

  /** Hash of the transcript so far, the channel binding once finished; 32 bytes. */
  get transcriptHash(): Buffer {
    return this.#symmetric.hash;
  }

  /** The transcript hash that the payload of the message last read was sealed under. */
  get payloadHash(): Buffer {
    return this.#payloadHash;
  }

  /** The other side's static key once known; 32 bytes. */
  get remoteStatic(): Uint8Array | undefined {
    return this.#remoteStatic;
  }

  /** The next message, carrying the payload. */
  write(payload: NoisePayload): Buffer {
    const parts: Uint8Array[] = [];
    for (const token of this.#turn(true)) {
      if (token === 'e') parts.push(this.#writeEphemeral());
      else if (token === 's') parts.push(this.#symmetric.encryptAndHash(this.#static.publicBytes));
      else this.#mix(token);
    }
    this.#payloadHash = this.#symmetric.hash;
    parts.push(this.#symmetric.encryptAndHash(typeof payload === 'function' ? payload(this.#payloadHash) : payload));
    const message = Buffer.concat(parts);
    if (message.length > NOISE_MAX_BYTES) throw tooLarge(message.length);
    return message;
  }

  /**
   * The payload of the next message.
   * @throws SkeinError `unauthenticated` when it was changed, truncated or made with other keys, `too-large`.
   */
  read(message: Uint8Array): Buffer {
    if (message.length > NOISE_MAX_BYTES) throw tooLarge(message.length);
    let rest = message;
    const take = (length: number): Uint8Array => {
      if (rest.length < length) {
        throw new SkeinError(`A handshake message of ${message.length} bytes is too short`, { code: 'unauthenticated' });
      }
      const taken = rest.subarray(0, length);
      rest = rest.subarray(length);
      return taken;
    };
    for (const token of this.#turn(false)) {
      if (token === 'e') this.#readEphemeral(take(DH_BYTES));
      else if (token === 's') this.#readStatic(take(DH_BYTES + (this.#symmetric.hasKey ? TAG_BYTES : 0)));
      else this.#mix(token);
    }
    this.#payloadHash = this.#symmetric.hash;
    return this.#symmetric.decryptAndHash(rest);
  }

  /** The transport ciphers. @throws SkeinError `internal` before the handshake is finished. */
  split(): NoiseTransport {
    const [first, second] = this.splitKeys();
    const [forward, backward] = [new CipherState(first), new CipherState(second)];
    return this.#initiator ? { send: forward, receive: backward } : { send: backward, receive: forward };
  }

  /** The raw keys of Split, to derive others from: initiator to responder, then responder to initiator. */
  splitKeys(): readonly [Buffer, Buffer] {
    if (!this.finished) throw new SkeinError('The Noise handshake is not finished', { code: 'internal' });
    return this.#symmetric.splitKeys();
  }

  #turn(writing: boolean): readonly NoiseToken[] {
    const tokens = this.#pattern.messages[this.#next];
    const ours = (this.#next % 2 === 0) === this.#initiator;
    if (tokens === undefined || ours !== writing) {
      throw new SkeinError(`It is not this side's turn to ${writing ? 'write' : 'read'} a Noise message`, { code: 'internal' });
    }
    this.#next += 1;
    return tokens;
  }

  #mixKnown(parts: HandshakeStateParts): void {
    const { known } = parts.pattern;
    const remoteIsKnown = parts.initiator ? known.responder : known.initiator;
    if (remoteIsKnown) {
      if (parts.remoteStatic === undefined) {
        throw new SkeinError(`The pattern ${parts.pattern.name} needs the other side's static key`, { code: 'invalid' });
      }
      this.#setRemoteStatic(Buffer.from(parts.remoteStatic));
    }
    const remote = this.#remoteStatic ?? this.#static.publicBytes;
    if (known.initiator) this.#symmetric.mixHash(parts.initiator ? this.#static.publicBytes : remote);
    if (known.responder) this.#symmetric.mixHash(parts.initiator ? remote : this.#static.publicBytes);
  }

  #writeEphemeral(): Uint8Array {
    const { publicBytes } = this.#ephemeral;
    this.#mixEphemeral(publicBytes);
    return publicBytes;
  }

  #readEphemeral(bytes: Uint8Array): void {
    this.#remoteEphemeralKey = x25519Public(bytes);
    this.#mixEphemeral(bytes);
  }

  /** With a psk the ephemeral is also a key input (Noise rev 34, section 9.2). */
  #mixEphemeral(bytes: Uint8Array): void {
    this.#symmetric.mixHash(bytes);
    if (this.#psk !== undefined) this.#symmetric.mixKey(bytes);
  }

  #readStatic(encrypted: Uint8Array): void {
    this.#setRemoteStatic(this.#symmetric.decryptAndHash(encrypted));
  }

  #setRemoteStatic(bytes: Buffer): void {
    this.#remoteStaticKey = x25519Public(bytes);
    this.#remoteStatic = bytes;
  }

  #mix(token: 'ee' | 'es' | 'se' | 'ss' | 'psk'): void {
    if (token === 'psk') {
      if (this.#psk === undefined) throw missing('pre-shared key');
      this.#symmetric.mixKeyAndHash(this.#psk);
      return;
    }
    // The first letter is the initiator's key, the second the responder's.
    const [own, other] = this.#initiator ? [token[0], token[1]] : [token[1], token[0]];
    const remote = other === 'e' ? this.#remoteEphemeralKey : this.#remoteStaticKey;
    if (remote === undefined) throw missing('remote key');
    const secret = dh(own === 'e' ? this.#ephemeral : this.#static, remote);
    this.#symmetric.mixKey(secret);
    secret.fill(0);
  }
}

function requirePsk({ pattern, psk }: HandshakeStateParts): Uint8Array | undefined {
  const needed = pattern.messages.some((tokens) => tokens.includes('psk'));
  if (needed !== (psk !== undefined)) {
    throw new SkeinError(`The pattern ${pattern.name} ${needed ? 'needs a' : 'has no'} pre-shared key`, { code: 'invalid' });
  }
  if (psk !== undefined && psk.length !== 32) {
    throw new SkeinError(`A pre-shared key has 32 bytes, not ${psk.length}`, { code: 'invalid' });
  }
  return psk;
}

function missing(what: string): SkeinError {
  return new SkeinError(`The Noise pattern uses a ${what} before it is there`, { code: 'internal' });
}

function tooLarge(length: number): SkeinError {
  return new SkeinError(`A Noise message has at most ${NOISE_MAX_BYTES} bytes, not ${length}`, { code: 'too-large' });
}
