import { SkeinError } from '../errors.ts';
import type { PeerId } from '../ids.ts';
import { type PublicIdentity, publicIdentity, SIGNATURE_BYTES, signBytes, verifyBytes } from '../keys.ts';
import { HandshakeState } from '../noise/handshake-state.ts';
import { NOISE_PATTERNS } from '../noise/patterns.ts';
import type { X25519KeyPair } from '../noise/x25519.ts';
import { leadsTo } from '../statements/rotation.ts';
import { formatHello, type Hello, parseHello } from './hello.ts';
import { decapsulateWith, KEM_CIPHERTEXT_BYTES, type KemKeyPair } from './kem.ts';
import { formatInitPayload, frameMessage, kindOf, SESSION_PROLOGUE } from './messages.ts';
import { parseRefusal } from './refusal.ts';
import { deriveSessionKeys, inviteBinding, inviteMac, proofBytes, type SessionKeys } from './session-keys.ts';
import { HandshakeSide, Refused, refuse } from './side.ts';
import { type Established, type HandshakeParts, type HandshakeStep, systemHandshakeRandom } from './step.ts';

/** An invitation's id, 16 hex digits, and the secret that proves it. */
export interface InviteProof {
  readonly id: string;
  readonly secret: Uint8Array;
}

/** What an InitiatorHandshake is made of. */
export interface InitiatorParts extends HandshakeParts {
  /** Whom this side means to reach; undefined at first contact, where `admit` must decide by the key that answers. */
  readonly expected: PeerId | undefined;
  /** An invitation of the responder to present. */
  readonly invite?: InviteProof;
  /**
   * Asked of another key than the one expected: whether to go on until its hello, which must prove that it has taken
   * that one's place. Without it, such a key is refused at once.
   */
  readonly mayBeSuccessor?: (answered: PeerId) => boolean;
  /** The root that the expected key is known to have: without it nothing takes that key's place. */
  readonly expectedRoot?: PublicIdentity | undefined;
  /** Told of such a key, proven, that did not prove to have taken the expected one's place. */
  readonly onNotSuccessor?: (peer: PublicIdentity, hello: Hello) => void;
}

/** What is known once the response came and before the welcome did. */
interface Awaiting {
  readonly peer: PublicIdentity;
  readonly keys: SessionKeys;
  readonly handshakeHash: Buffer;
  readonly binding: Buffer;
  readonly sentAtMs: number;
}

/** The dialling side of a session's handshake: a state machine without I/O. `start` once, then `receive` each message. */
export class InitiatorHandshake {
  readonly #parts: InitiatorParts;
  readonly #side: HandshakeSide;
  readonly #ephemeral: X25519KeyPair;
  readonly #kem: KemKeyPair;
  #noise: HandshakeState | undefined;
  #cookieSeen = false;
  #awaiting: Awaiting | undefined;

  /** @throws SkeinError `conflict` when it is meant for this very node. */
  constructor(parts: InitiatorParts) {
    if (parts.expected === parts.identity.id) {
      throw new SkeinError('A node does not connect to itself; take its own address out of its list of peers', {
        code: 'conflict',
      });
    }
    const random = parts.random ?? systemHandshakeRandom;
    this.#parts = parts;
    this.#side = new HandshakeSide({ ...parts, initiator: true });
    this.#ephemeral = random.x25519();
    this.#kem = random.kemKeys();
  }

  /** The first message to send. */
  start(): Buffer {
    return this.#writeInit(undefined);
  }

  /** Takes one whole message of the other side; never throws. */
  receive(bytes: Buffer): HandshakeStep {
    return this.#side.step(bytes, () =>
      this.#awaiting === undefined ? this.#first(bytes) : this.#last(bytes, this.#awaiting),
    );
  }

  #writeInit(cookie: Uint8Array | undefined): Buffer {
    // Written anew with a cookie, but under the same keys: the cookie is bound to the ephemeral one.
    this.#noise = new HandshakeState({
      pattern: NOISE_PATTERNS.XX,
      initiator: true,
      prologue: SESSION_PROLOGUE,
      staticKey: this.#parts.staticKey,
      ephemeral: this.#ephemeral,
    });
    return frameMessage('init', this.#noise.write(formatInitPayload(this.#kem.publicBytes, cookie)));
  }

  #first(bytes: Buffer): HandshakeStep {
    switch (kindOf(bytes, ['cookie', 'response', 'refusal'])) {
      case 'cookie':
        if (this.#cookieSeen) throw refuse('malformed');
        this.#cookieSeen = true;
        return { send: this.#writeInit(bytes.subarray(1)) };
      case 'refusal':
        throw new Refused(parseRefusal(bytes, undefined), true);
      case 'response':
        return { send: this.#finish(bytes) };
    }
  }

  #finish(response: Buffer): Buffer {
    const noise = this.#noise;
    if (noise === undefined) throw new SkeinError('start() comes before receive()', { code: 'internal' });
    const payload = noise.read(response.subarray(1));
    const peer = publicIdentity(payload.subarray(KEM_CIPHERTEXT_BYTES));
    this.#side.peer = peer;
    const { identity, expected, mayBeSuccessor } = this.#parts;
    if (peer.id === identity.id) throw refuse('self');
    const isOther = expected !== undefined && peer.id !== expected;
    if (isOther && mayBeSuccessor?.(peer.id) !== true) throw refuse('wrong-recipient');
    const kemSecret = decapsulateWith(this.#kem, payload.subarray(0, KEM_CIPHERTEXT_BYTES));
    let binding: Buffer = Buffer.alloc(0);
    const finish = noise.write((transcriptHash) => {
      binding = inviteBinding(transcriptHash, identity.id, peer.id);
      const signature = signBytes(identity, proofBytes('initiator', transcriptHash, identity.id, peer.id));
      return Buffer.concat([identity.bytes, signature, this.#hello(binding)]);
    });
    const handshakeHash = noise.transcriptHash;
    const keys = deriveSessionKeys({ split: noise.splitKeys(), kemSecret, handshakeHash });
    this.#side.sealRefusalWith = keys.initiatorToResponder;
    this.#awaiting = { peer, keys, handshakeHash, binding, sentAtMs: this.#parts.clock.monotonicMs() };
    return frameMessage('finish', finish);
  }

  #hello(binding: Buffer): Buffer {
    const { hello, clock, invite } = this.#parts;
    const proof = invite && { invite: { id: invite.id, mac: inviteMac(invite.secret, binding).toString('hex') } };
    return formatHello({ ...hello, timeMs: Math.trunc(clock.now()), ...proof });
  }

  #last(bytes: Buffer, awaiting: Awaiting): HandshakeStep {
    const { peer, keys, handshakeHash } = awaiting;
    if (kindOf(bytes, ['welcome', 'refusal']) === 'refusal') {
      throw new Refused(parseRefusal(bytes, keys.responderToInitiator), true);
    }
    const plaintext = keys.responderToInitiator.open(bytes, 1);
    const { identity, clock, admit } = this.#parts;
    const proof = proofBytes('responder', handshakeHash, peer.id, identity.id);
    if (!verifyBytes(peer, proof, plaintext.subarray(0, SIGNATURE_BYTES))) throw refuse('unauthenticated');
    const hello = parseHello(plaintext.subarray(SIGNATURE_BYTES));
    this.#side.peerName = hello.name;
    this.#checkSuccessor(peer, hello);
    const admission = admit(peer, hello, awaiting.binding);
    if (!admission.admitted) throw refuse(admission.code);
    const established: Established = {
      peer,
      hello,
      sessionId: keys.sessionId,
      send: keys.initiatorToResponder,
      receive: keys.responderToInitiator,
      clockOffsetMs: hello.timeMs + (clock.monotonicMs() - awaiting.sentAtMs) / 2 - clock.now(),
      initiator: true,
      handshakeHash,
    };
    return { established };
  }

  /** The key is the one expected, or has taken its place. */
  #checkSuccessor(peer: PublicIdentity, hello: Hello): void {
    const { expected, expectedRoot: pinned, onNotSuccessor } = this.#parts;
    if (expected === undefined) return;
    try {
      if (!leadsTo(expected, peer.id, { ...hello, pinned })) throw refuse('wrong-recipient');
    } catch (error) {
      onNotSuccessor?.(peer, hello);
      throw error;
    }
  }
}
