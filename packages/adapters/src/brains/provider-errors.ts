import { type ErrorCode, SkeinError } from '@skein/protocol';
import { z } from 'zod';

/** Who failed, for the words of an error. */
export interface FailureContext {
  /** Provider and model, for people. */
  readonly label: string;
  /** Scheme, host and port alone: a path or query may carry a key. */
  readonly origin: string;
  readonly model: string;
  readonly apiKey: string | undefined;
  /** Where the key comes from: a variable's name or a file. */
  readonly keySource: string;
  now(): number;
}

const MAX_WORDS = 300;
/** Of a provider's words, only this much is looked at. */
const MAX_READ = 4_000;
const MAX_RETRY_AFTER_MS = 24 * 3_600_000;
/** Characters of a key in a row that count as showing it. */
const KEY_WINDOW = 6;
const QUOTED_HEADER = /\b(authorization|bearer|x-api-key|x-goog-api-key|api-key)\b/i;

/** `AI_APICallError` of @ai-sdk/provider, read by its shape so that nothing of it is loaded for that. */
const apiCallError = z.object({
  name: z.literal('AI_APICallError'),
  message: z.string(),
  statusCode: z.number().optional(),
  responseHeaders: z.record(z.string(), z.string()).optional(),
  cause: z.unknown(),
});
type ApiCallError = z.infer<typeof apiCallError>;

/** An error told inside a stream: OpenAI's `{ message, type }`, Anthropic's, or a bare text. */
const streamError = z.object({ message: z.string().optional(), type: z.string().nullish(), code: z.unknown() });

/**
 * What a provider's package threw, as one of our codes. Its own error is never the cause: it holds the request, its
 * headers and the address. Of the provider's words only a short, cleaned piece is kept, and none where a key is refused.
 */
export function toProviderError(thrown: unknown, context: FailureContext): SkeinError {
  const own = findOwn(thrown);
  if (own) return fail(context, own.code, `failed: ${own.message}`, own.retryAfterMs);
  const call = apiCallError.safeParse(thrown);
  if (call.success) return fromCall(call.data, context);
  if (isMalformed(thrown)) return malformed(context);
  const code = networkCode(thrown);
  if (code !== undefined) return unreachable(context, code);
  const told = streamError.safeParse(typeof thrown === 'string' ? { message: thrown } : thrown);
  if (told.success && !(thrown instanceof Error)) return fromStream(told.data, context);
  return fail(context, 'unavailable', `failed: ${clean(thrown instanceof Error ? thrown.message : '', context)}`);
}

/** An answer that is not the provider's protocol. */
export function malformed(context: FailureContext): SkeinError {
  return fail(
    context,
    'unavailable',
    `at ${context.origin} sent something that is not its protocol, or broke off; check the address, or try again`,
  );
}

/**
 * A provider's words for people: no control characters, no addresses, at most 300 characters. Words that show any piece
 * of the key, or that quote a header of the request, are withheld as a whole.
 */
function clean(told: string, { apiKey }: { readonly apiKey: string | undefined }): string {
  const text = told.slice(0, MAX_READ);
  if (showsKey(text, apiKey) || QUOTED_HEADER.test(text)) return '(its words are withheld: they quote the request)';
  const words = text
    .replace(/[\p{Cc}\p{Cf}]+/gu, ' ')
    .replace(/\bhttps?:\/\/[^\s"'<>]+/g, '[address]')
    .trim();
  return words.length > MAX_WORDS ? `${words.slice(0, MAX_WORDS)}…` : words;
}

function showsKey(text: string, apiKey: string | undefined): boolean {
  if (apiKey === undefined) return false;
  if (apiKey.length <= KEY_WINDOW) return text.includes(apiKey);
  for (let at = 0; at + KEY_WINDOW <= apiKey.length; at++) {
    if (text.includes(apiKey.slice(at, at + KEY_WINDOW))) return true;
  }
  return false;
}

function fromCall(error: ApiCallError, context: FailureContext): SkeinError {
  const status = error.statusCode;
  if (status === undefined) return unreachable(context, networkCode(error.cause) ?? networkCode(error) ?? 'no connection');
  const retryAfterMs = readRetryAfter(error.responseHeaders ?? {}, context.now());
  if (status < 400) return malformed(context);
  if (status === 401 || status === 403) return refusedKey(context, ` (HTTP ${status})`);
  if (status === 429) return fail(context, 'busy', 'is over its rate limit or quota (HTTP 429)', retryAfterMs);
  const words = clean(error.message, context);
  if (status === 402 || status === 408 || status >= 500) {
    return fail(context, 'unavailable', `cannot answer now (HTTP ${status}): ${words}`, retryAfterMs);
  }
  if (status === 404)
    return fail(context, 'invalid', `has no model "${context.model}" at ${context.origin} (HTTP 404): ${words}`);
  return fail(context, 'invalid', `refused the request (HTTP ${status}): ${words}`);
}

function fromStream({ message = '', type, code }: z.infer<typeof streamError>, context: FailureContext): SkeinError {
  const kind = `${type ?? ''} ${typeof code === 'string' ? code : ''}`;
  if (/authentication|permission|invalid_api_key/.test(kind)) return refusedKey(context, '');
  if (/rate_limit|overloaded|quota/.test(kind)) return fail(context, 'busy', 'is overloaded or over its rate limit');
  return fail(context, 'unavailable', `broke off its answer: ${clean(message, context)}`);
}

function refusedKey(context: FailureContext, status: string): SkeinError {
  return fail(context, 'unauthenticated', `refused the key in ${context.keySource}${status}; set a valid one`);
}

function unreachable(context: FailureContext, reason: string): SkeinError {
  return fail(context, 'unavailable', `cannot be reached at ${context.origin} (${clean(reason, context)}); is it running?`);
}

function fail(context: FailureContext, code: ErrorCode, words: string, retryAfterMs?: number): SkeinError {
  return new SkeinError(`${context.label} ${words}`, { code, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
}

/** Errors we raised ourselves below the package: a bound, a redirect. */
function findOwn(thrown: unknown): SkeinError | undefined {
  return [...causes(thrown)].find((error) => error instanceof SkeinError);
}

function isMalformed(thrown: unknown): boolean {
  return [...causes(thrown)].some(
    ({ name }) =>
      name.startsWith('AI_') && /JSONParse|TypeValidation|EmptyResponseBody|InvalidResponseData|NoContentGenerated/.test(name),
  );
}

/** The system's or undici's code of a broken connection, e.g. ECONNREFUSED or UND_ERR_SOCKET. */
function networkCode(thrown: unknown): string | undefined {
  for (const error of causes(thrown)) {
    if (
      'code' in error &&
      typeof error.code === 'string' &&
      /^(E[A-Z]+|UND_ERR_\w+|ERR_TLS\w*|CERT_\w+|DEPTH_ZERO\w*)$/.test(error.code)
    ) {
      return error.code;
    }
    if (error.name === 'TypeError' && error.message === 'terminated') return 'connection lost';
  }
  return undefined;
}

function* causes(thrown: unknown): Generator<Error> {
  let error = thrown;
  // A chain of causes is short; the bound is for one that bites its tail.
  for (let depth = 0; depth < 8 && error instanceof Error; depth++) {
    yield error;
    error = error.cause;
  }
}

/** `retry-after-ms`, or `retry-after` in seconds or as a date (RFC 9110 section 10.2.3), at most a day. */
function readRetryAfter(headers: Readonly<Record<string, string>>, now: number): number | undefined {
  const exact = Number.parseFloat(headers['retry-after-ms'] ?? '');
  const text = headers['retry-after'] ?? '';
  const seconds = Number.parseFloat(text);
  const ms = Number.isFinite(exact)
    ? exact
    : /^\s*\d/.test(text) && Number.isFinite(seconds)
      ? seconds * 1_000
      : Date.parse(text) - now;
  return Number.isFinite(ms) ? Math.min(Math.max(0, Math.round(ms)), MAX_RETRY_AFTER_MS) : undefined;
}
