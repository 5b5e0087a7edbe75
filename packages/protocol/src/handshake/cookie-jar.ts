import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { COOKIE_MS } from '../limits.ts';
import { COOKIE_BYTES } from './messages.ts';

const DOMAIN = Buffer.from('skein cookie 1\0', 'ascii');

/** What a CookieJar is made of. */
export interface CookieJarParts {
  /** Monotonic milliseconds. */
  readonly monotonicMs: () => number;
  readonly randomBytes?: (length: number) => Buffer;
}

/**
 * Cookies that prove a stranger gets what is sent to its address, without keeping anything for it: a MAC over address
 * and ephemeral key under a secret that changes every minute. One jar serves all handshakes of a listener.
 */
export class CookieJar {
  readonly #monotonicMs: () => number;
  readonly #randomBytes: (length: number) => Buffer;
  #secret: Buffer;
  #previous: Buffer | undefined;
  #sinceMs: number;

  constructor(parts: CookieJarParts) {
    this.#monotonicMs = parts.monotonicMs;
    this.#randomBytes = parts.randomBytes ?? randomBytes;
    this.#secret = this.#randomBytes(32);
    this.#sinceMs = this.#monotonicMs();
  }

  /** The cookie for this address and ephemeral key. */
  make(remoteAddress: string, ephemeral: Uint8Array): Buffer {
    this.#rotate();
    return mac(this.#secret, remoteAddress, ephemeral);
  }

  /** True for a cookie of this jar for the same address and key, for one to two minutes. */
  check(remoteAddress: string, ephemeral: Uint8Array, cookie: Uint8Array): boolean {
    this.#rotate();
    if (cookie.length !== COOKIE_BYTES) return false;
    const secrets = this.#previous === undefined ? [this.#secret] : [this.#secret, this.#previous];
    return secrets.some((secret) => timingSafeEqual(mac(secret, remoteAddress, ephemeral), cookie));
  }

  #rotate(): void {
    const ageMs = this.#monotonicMs() - this.#sinceMs;
    if (ageMs < COOKIE_MS) return;
    this.#previous = ageMs < 2 * COOKIE_MS ? this.#secret : undefined;
    this.#secret = this.#randomBytes(32);
    this.#sinceMs = this.#monotonicMs();
  }
}

function mac(secret: Buffer, remoteAddress: string, ephemeral: Uint8Array): Buffer {
  // The key has a fixed length, so address and key cannot be cut differently.
  return createHmac('sha256', secret).update(DOMAIN).update(ephemeral).update(remoteAddress).digest();
}
