import { hash, timingSafeEqual } from 'node:crypto';
import { SkeinError } from '@skein/protocol';

/** Shorter tokens can be guessed. */
const MIN_TOKEN_LENGTH = 16;
const MAX_HEADER_LENGTH = 1_024;
const BEARER = /^Bearer +([\x21-\x7e]+)$/i;

/** What an Authorization header turned out to be. */
export type TokenVerdict = 'right' | 'missing' | 'wrong';

/**
 * A check of Authorization headers against one bearer token (RFC 6750, header form only). Both sides are hashed, so
 * that the compared buffers have one length and the time taken says nothing about the token.
 * @throws SkeinError `invalid` when the token is under 16 characters or cannot stand in a header.
 */
export function createTokenCheck(token: string): (authorization: string | undefined) => TokenVerdict {
  if (token.length < MIN_TOKEN_LENGTH || token.length > MAX_HEADER_LENGTH / 2 || !/^[\x21-\x7e]+$/.test(token)) {
    throw new SkeinError(
      `The gateway's token has ${token.length} characters: give ${MIN_TOKEN_LENGTH} to ${MAX_HEADER_LENGTH / 2} visible ASCII ones`,
      { code: 'invalid' },
    );
  }
  const expected = hash('sha256', token, 'buffer');
  return (authorization) => {
    if (authorization === undefined || authorization === '') return 'missing';
    if (authorization.length > MAX_HEADER_LENGTH) return 'wrong';
    const given = BEARER.exec(authorization)?.[1];
    if (given === undefined) return 'wrong';
    return timingSafeEqual(hash('sha256', given, 'buffer'), expected) ? 'right' : 'wrong';
  };
}
