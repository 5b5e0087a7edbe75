import type { ErrorCode } from '@skein/protocol';

/** A request that failed, in the node's words; `unavailable` when the node did not answer at all. */
export class ApiError extends Error {
  readonly code: ErrorCode;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, retryAfterMs?: number) {
    super(message);
    this.name = 'ApiError';
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }

  /** Any thrown value as an ApiError. */
  static from(thrown: unknown): ApiError {
    if (thrown instanceof ApiError) return thrown;
    if (thrown instanceof Error && thrown.name === 'AbortError') return new ApiError('canceled', 'Stopped');
    return new ApiError('unavailable', 'The node does not answer');
  }
}
