import { SkeinError } from '@skein/protocol';
import type { HttpClient } from './http-client.ts';
import { VOLE_POST_MS } from './limits.ts';

/** Messages on their way to one another over HTTP at once. */
const POSTS_MAX = 64;

/** The address of HTTP requests, without a slash at its end. */
export function httpBase(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  const scheme = protocol === 'wss:' || protocol === 'https:' ? 'https' : 'http';
  return `${scheme}://${host}${pathname.replace(/\/+$/, '')}`;
}

/** Sends one message over HTTP. @throws SkeinError. */
export async function postMessage(
  http: HttpClient,
  base: string,
  options: { readonly text: string; readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<Buffer> {
  const { text, timeoutMs, signal } = options;
  const { status, body } = await http.ask(`${base}/volenet/message`, { method: 'POST', body: text, timeoutMs, signal });
  if (status === 200) return body;
  if (status === 429) throw new SkeinError(`${base} takes no more messages now`, { code: 'busy', retryAfterMs: 1_000 });
  if (status === 401) {
    throw new SkeinError(
      `${base} does not trust this node’s key, or the clocks differ by more than a minute; the line it needs there: skein net show-key`,
      {
        code: 'unauthenticated',
      },
    );
  }
  throw new SkeinError(`${base} answered ${status} to a message`, { code: 'unavailable' });
}

/** Messages that go out over HTTP for want of a socket; so many at once, and one more is refused. */
export class HttpPosts {
  readonly #http: HttpClient;
  #underWay = 0;

  constructor(http: HttpClient) {
    this.#http = http;
  }

  /** @throws SkeinError `busy` at the bound, and as `postMessage`. */
  async send(base: string, text: string, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    if (this.#underWay >= POSTS_MAX) {
      throw new SkeinError('Too many messages are under way', { code: 'busy', retryAfterMs: 100 });
    }
    this.#underWay += 1;
    try {
      await postMessage(this.#http, base, { text, timeoutMs: VOLE_POST_MS, signal });
    } finally {
      this.#underWay -= 1;
    }
  }
}
