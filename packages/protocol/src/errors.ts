/** The closed set of codes an error may carry; what a program may switch on. */
export const ERROR_CODES = [
  'invalid', // input that does not parse or match its schema
  'unauthenticated', // no key, token or signature, or a wrong one
  'denied', // known, but not granted
  'not-found', // no such peer, tool, method, session or file
  'conflict', // exists already, or changed meanwhile
  'busy', // over a rate, queue or memory bound; retryAfterMs says when to come back
  'too-large', // over a stated size bound
  'unavailable', // the peer, provider or network cannot be reached now
  'deadline-exceeded', // the time given ran out
  'canceled', // the caller stopped it
  'corrupt', // stored data or a frame is damaged
  'unsupported', // this build, peer or platform cannot do that
  'internal', // our own fault; the text is withheld from peers
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

const PASSING: ReadonlySet<ErrorCode> = new Set(['busy', 'unavailable', 'deadline-exceeded', 'internal']);

export interface SkeinErrorOptions {
  readonly code: ErrorCode;
  readonly cause?: unknown;
  /** With `busy` and `unavailable`: when a retry makes sense, in milliseconds from now. */
  readonly retryAfterMs?: number;
}

/** The one error class. The message says what was wrong, with which value, and what to do about it. */
export class SkeinError extends Error {
  readonly code: ErrorCode;
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options: SkeinErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'SkeinError';
    this.code = options.code;
    this.retryAfterMs = options.retryAfterMs;
  }

  /**
   * Any thrown value as a SkeinError, for use at a door. An abort becomes `canceled`, a timeout
   * `deadline-exceeded`, anything we did not raise `internal`.
   */
  static from(thrown: unknown): SkeinError {
    if (thrown instanceof SkeinError) return thrown;
    if (thrown instanceof Error) {
      if (thrown.name === 'AbortError') return new SkeinError('The caller stopped it', { code: 'canceled', cause: thrown });
      if (thrown.name === 'TimeoutError') {
        return new SkeinError('The time given ran out', { code: 'deadline-exceeded', cause: thrown });
      }
      return new SkeinError(thrown.message, { code: 'internal', cause: thrown });
    }
    return new SkeinError(String(thrown), { code: 'internal', cause: thrown });
  }

  /** Whether the same may go well some time later, with nothing done about it. */
  get mayPass(): boolean {
    return PASSING.has(this.code);
  }

  /** What a peer or client may see: the text of an `internal` error is withheld. */
  toPublic(): PublicError {
    return {
      code: this.code,
      message: this.code === 'internal' ? 'Something failed inside the peer; its log says what' : this.message,
      ...(this.retryAfterMs === undefined ? {} : { retryAfterMs: this.retryAfterMs }),
    };
  }
}

/** An error as it crosses the wire or a terminal. */
export interface PublicError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryAfterMs?: number;
}

/** True for a string that is one of the closed set of codes. */
export function isErrorCode(value: unknown): value is ErrorCode {
  return ERROR_CODES.some((code) => code === value);
}

/** The signal's reason as an error: `canceled`, or `deadline-exceeded` for a timeout signal. */
export function abortReason(signal: AbortSignal): SkeinError {
  const { reason } = signal;
  return reason instanceof SkeinError || reason instanceof Error
    ? SkeinError.from(reason)
    : new SkeinError('The caller stopped it', { code: 'canceled', cause: reason });
}
