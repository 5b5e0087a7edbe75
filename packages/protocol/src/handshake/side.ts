import { SkeinError } from '../errors.ts';
import { formatKeyLine, type PublicIdentity } from '../keys.ts';
import { HANDSHAKE_BYTES_MAX, HANDSHAKE_MESSAGES_MAX } from '../limits.ts';
import type { CipherState } from '../noise/cipher-state.ts';
import { formatRefusal, type Refusal, type RefusalCode, refusalHeard, refusalTold } from './refusal.ts';
import type { HandshakeParts, HandshakeStep } from './step.ts';

/** Thrown inside a handshake to end it; never leaves it. */
export class Refused extends Error {
  readonly refusal: Refusal;
  /** True when the other side refused. */
  readonly heard: boolean;

  constructor(refusal: Refusal, heard: boolean, cause?: unknown) {
    super(refusal.code, { cause });
    this.refusal = refusal;
    this.heard = heard;
  }
}

/** Ends the handshake from this side. */
export function refuse(code: RefusalCode, cause?: unknown): Refused {
  return new Refused({ code, retryAfterMs: 0 }, false, cause);
}

/** What both sides of a handshake share: the bounds before it is finished, and how it ends in refusal. */
export class HandshakeSide {
  readonly #parts: HandshakeParts & { readonly initiator: boolean };
  #messages = 0;
  #bytes = 0;
  #over = false;
  /** Seals what is still to be said when it is refused. */
  sealRefusalWith: CipherState | undefined;
  /** Who the other side is, or claims to be, and by what name. */
  peer: PublicIdentity | undefined;
  peerName: string | undefined;

  constructor(parts: HandshakeParts & { readonly initiator: boolean }) {
    this.#parts = parts;
  }

  /** Runs one step inside the bounds; whatever it throws becomes a refusal. */
  step(bytes: Uint8Array, advance: () => HandshakeStep): HandshakeStep {
    if (this.#over) return this.#refused(refuse('malformed', new SkeinError('The handshake is over', { code: 'invalid' })));
    this.#messages += 1;
    this.#bytes += bytes.length;
    try {
      if (this.#messages > HANDSHAKE_MESSAGES_MAX || this.#bytes > HANDSHAKE_BYTES_MAX) {
        throw new SkeinError(
          `A handshake takes at most ${HANDSHAKE_MESSAGES_MAX} messages and ${HANDSHAKE_BYTES_MAX} bytes from each side`,
          { code: 'too-large' },
        );
      }
      const step = advance();
      if (step.established !== undefined) this.#over = true;
      return step;
    } catch (thrown) {
      return this.#refused(thrown);
    }
  }

  #refused(thrown: unknown): HandshakeStep {
    const reply = !this.#over;
    this.#over = true;
    const refused = thrown instanceof Refused ? thrown : refuse(codeOf(thrown), thrown);
    const { code } = refused.refusal;
    const { identity, hello, initiator } = this.#parts;
    if (refused.heard) {
      const keyLine = formatKeyLine(identity, hello.name);
      return { refused: refusalHeard(refused.refusal, { keyLine, initiator }), code };
    }
    const keyLine = this.peer === undefined ? '' : formatKeyLine(this.peer, this.peerName ?? this.peer.id.slice(0, 8));
    return {
      ...(reply ? { send: formatRefusal(refused.refusal, this.sealRefusalWith) } : {}),
      refused: refusalTold(code, { keyLine, initiator }, refused.cause),
      code,
    };
  }
}

/** What the other side is told of an error of ours. */
function codeOf(thrown: unknown): RefusalCode {
  if (!(thrown instanceof SkeinError)) return 'unavailable';
  if (thrown.code === 'unauthenticated') return 'unauthenticated';
  return thrown.code === 'invalid' || thrown.code === 'too-large' ? 'malformed' : 'unavailable';
}
