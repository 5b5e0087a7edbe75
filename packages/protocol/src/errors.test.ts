import { expect, it } from 'vitest';
import { abortReason, ERROR_CODES, isErrorCode, SkeinError } from './errors.ts';

it('what we did not raise ourselves is internal, and its text stays here', () => {
  for (const thrown of [new TypeError('secret /home/x'), 'secret text', { secret: 1 }, undefined, null]) {
    const error = SkeinError.from(thrown);
    expect(error.code).toBe('internal');
    expect(JSON.stringify(error.toPublic())).not.toContain('secret');
    expect(error.cause).toBe(thrown);
  }
});

it('what we raised keeps its code, its words and when to come back', () => {
  const error = new SkeinError('The queue is full', { code: 'busy', retryAfterMs: 100 });
  expect(SkeinError.from(error)).toBe(error);
  expect(error.toPublic()).toEqual({ code: 'busy', message: 'The queue is full', retryAfterMs: 100 });
});

it('a stop and a timeout are told apart, whoever made the signal', () => {
  const stopped = new AbortController();
  stopped.abort();
  expect(abortReason(stopped.signal).code).toBe('canceled');
  expect(abortReason(AbortSignal.abort('a word')).code).toBe('canceled');
  expect(abortReason(AbortSignal.abort(new DOMException('', 'TimeoutError'))).code).toBe('deadline-exceeded');
  expect(abortReason(AbortSignal.abort(new SkeinError('x', { code: 'denied' }))).code).toBe('denied');
});

it('the codes are a closed set', () => {
  expect(ERROR_CODES.every(isErrorCode)).toBe(true);
  for (const other of ['', 'constructor', '__proto__', 'BUSY', 7, null]) expect(isErrorCode(other)).toBe(false);
});
