import { publicIdentity, SIGNATURE_BYTES, signBytes, verifyBytes } from '../keys.ts';
import { HandshakeState } from '../noise/handshake-state.ts';
import { NOISE_PATTERNS } from '../noise/patterns.ts';
import type { CookieJar } from './cookie-jar.ts';
import { formatHello, parseHello } from './hello.ts';
import {
  frameMessage,
  HANDSHAKE_MESSAGE,
  IDENTITY_BYTES,
  initVersion,
  kindOf,
  parseInit,
  SESSION_PROLOGUE,
  SESSION_VERSION,
} from './messages.ts';
import { parseRefusal } from './refusal.ts';
import { deriveSessionKeys, inviteBinding, proofBytes, type SessionKeys } from './session-keys.ts';
import { HandshakeSide, Refused, refuse } from './side.ts';
import { type Established, type HandshakeParts, type HandshakeStep, systemHandshakeRandom } from './step.ts';

/** What a ResponderHandshake is made of. */
export interface ResponderParts extends HandshakeParts {
  /** Where the connection comes from, as cookies are bound to it: an address without its port. */
  readonly remoteAddress: string;
  readonly cookies: CookieJar;
  /** Asked once for each init: true makes the other side prove its address before any costly step. */
  readonly cookieRequired: () => boolean;
}

/** What is known once the init came and before the finish did. */
interface Awaiting {
  readonly noise: HandshakeState;
  readonly kemSecret: Uint8Array;
  readonly sentAtMs: number;
}

/** The accepting side of a session's handshake: a state machine without I/O. `receive` each message. */
export class ResponderHandshake {
  readonly #parts: ResponderParts;
  readonly #side: HandshakeSide;
  #awaiting: Awaiting | undefined;

  constructor(parts: ResponderParts) {
    this.#parts = parts;
    this.#side = new HandshakeSide({ ...parts, initiator: false });
  }

  /** Whether the first message was taken, with its cookie where one was demanded, and answered. */
  get isUnderWay(): boolean {
    return this.#awaiting !== undefined;
  }

  /** Takes one whole message of the other side; never throws. */
  receive(bytes: Buffer): HandshakeStep {
    return this.#side.step(bytes, () =>
      this.#awaiting === undefined ? this.#first(bytes) : this.#last(bytes, this.#awaiting),
    );
  }

  #first(bytes: Buffer): HandshakeStep {
    const version = initVersion(bytes);
    if (version !== undefined && version !== SESSION_VERSION) throw refuse('version');
    if (kindOf(bytes, ['init', 'refusal']) === 'refusal') throw new Refused(parseRefusal(bytes, undefined), true);
    const { ephemeral, kemPublic, cookie } = parseInit(bytes);
    const { cookies, cookieRequired, remoteAddress } = this.#parts;
    if (cookieRequired() && !(cookie !== undefined && cookies.check(remoteAddress, ephemeral, cookie))) {
      return { send: frameMessage('cookie', cookies.make(remoteAddress, ephemeral)) };
    }
    return { send: this.#respond(bytes, kemPublic) };
  }

  #respond(init: Buffer, kemPublic: Uint8Array): Buffer {
    const { identity, staticKey, clock, random = systemHandshakeRandom } = this.#parts;
    const noise = new HandshakeState({
      pattern: NOISE_PATTERNS.XX,
      initiator: false,
      prologue: SESSION_PROLOGUE,
      staticKey,
      ephemeral: random.x25519(),
    });
    noise.read(init.subarray(1));
    const { ciphertext, secret } = random.encapsulate(kemPublic);
    const response = noise.write(Buffer.concat([ciphertext, identity.bytes]));
    this.#awaiting = { noise, kemSecret: secret, sentAtMs: clock.monotonicMs() };
    return frameMessage('response', response);
  }

  #last(bytes: Buffer, { noise, kemSecret, sentAtMs }: Awaiting): HandshakeStep {
    if (kindOf(bytes, ['finish', 'refusal']) === 'refusal') throw new Refused(parseRefusal(bytes, undefined), true);
    const { identity, clock, admit } = this.#parts;
    const payload = noise.read(bytes.subarray(1));
    const handshakeHash = noise.transcriptHash;
    const keys = deriveSessionKeys({ split: noise.splitKeys(), kemSecret, handshakeHash });
    this.#side.sealRefusalWith = keys.responderToInitiator;

    const peer = publicIdentity(payload.subarray(0, IDENTITY_BYTES));
    if (peer.id === identity.id) throw refuse('self');
    const end = IDENTITY_BYTES + SIGNATURE_BYTES;
    const proof = proofBytes('initiator', noise.payloadHash, peer.id, identity.id);
    if (!verifyBytes(peer, proof, payload.subarray(IDENTITY_BYTES, end))) throw refuse('unauthenticated');
    this.#side.peer = peer;
    const hello = parseHello(payload.subarray(end));
    this.#side.peerName = hello.name;
    const admission = admit(peer, hello, inviteBinding(noise.payloadHash, peer.id, identity.id));
    if (!admission.admitted) {
      throw new Refused({ code: admission.code, retryAfterMs: admission.retryAfterMs ?? 0 }, false);
    }
    const roundTripMs = clock.monotonicMs() - sentAtMs;
    const established: Established = {
      peer,
      hello,
      sessionId: keys.sessionId,
      send: keys.responderToInitiator,
      receive: keys.initiatorToResponder,
      clockOffsetMs: hello.timeMs + roundTripMs / 2 - clock.now(),
      initiator: false,
      roundTripMs,
      handshakeHash,
    };
    return { send: this.#welcome(established, keys), established };
  }

  #welcome({ peer, handshakeHash }: Established, keys: SessionKeys): Buffer {
    const { identity, hello, clock } = this.#parts;
    const signature = signBytes(identity, proofBytes('responder', handshakeHash, identity.id, peer.id));
    const plaintext = Buffer.concat([signature, formatHello({ ...hello, timeMs: Math.trunc(clock.now()) })]);
    return keys.responderToInitiator.seal(Buffer.of(HANDSHAKE_MESSAGE.welcome), plaintext);
  }
}
