import { type ErrorCode, SkeinError } from '@skein/protocol';

const STATUS: Readonly<Record<ErrorCode, number>> = {
  invalid: 400,
  unauthenticated: 401,
  denied: 403,
  'not-found': 404,
  conflict: 409,
  busy: 429,
  'too-large': 413,
  unavailable: 503,
  'deadline-exceeded': 504,
  canceled: 499,
  corrupt: 500,
  unsupported: 501,
  internal: 500,
};

export interface HttpErrorOptions {
  /** Where the code's usual status does not fit: 405, 408, 415. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An error as an HTTP answer: `{code, message, retryAfterMs?}`, the text of an internal one withheld. */
export function errorResponse(error: SkeinError, options: HttpErrorOptions = {}): Response {
  const headers: Record<string, string> = { 'Content-Type': 'application/json', ...options.headers };
  if (error.retryAfterMs !== undefined) headers['Retry-After'] = String(Math.max(1, Math.ceil(error.retryAfterMs / 1_000)));
  if (error.code === 'unauthenticated') headers['WWW-Authenticate'] = 'Bearer realm="skein"';
  return new Response(JSON.stringify(error.toPublic()), { status: options.status ?? STATUS[error.code], headers });
}

/** 405 with what the path does take. */
export function methodRefused(method: string, allow: string): Response {
  const error = new SkeinError(`This path does not take ${method.slice(0, 20)}; it takes ${allow}`, { code: 'unsupported' });
  return errorResponse(error, { status: 405, headers: { Allow: allow } });
}
