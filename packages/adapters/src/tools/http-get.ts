import { defineTool, type Tool } from '@skein/agent';
import { z } from 'zod';
import { httpGetExamples } from './examples.ts';
import { decodeBody } from './http-body.ts';
import { HTTP_FETCH_DEFAULTS, HttpFetcher, type HttpFetchOptions } from './http-fetch.ts';

export const pageUrl = z.string().min(1).max(4_096).describe('An http or https address; https is assumed without one.');

/**
 * Gets a web page: `{ url, status, contentType, charset, sizeBytes, text, truncated, redirects, ms }`, where `url` is
 * where the redirects ended and `text` is null for what is no text. Any status is a result. See `HttpFetcher` for what
 * it reaches.
 */
export function createHttpGet(options: HttpFetchOptions = {}): Tool {
  const maxBytes = options.maxBytes ?? HTTP_FETCH_DEFAULTS.maxBytes;
  const fetcher = new HttpFetcher(options);
  return defineTool({
    name: 'http_get',
    description: `Gets a public web page or file over http or https and returns its text, at most ${maxBytes} bytes.`,
    input: z.object({ url: pageUrl }),
    effect: 'read',
    untrusted: true,
    openWorld: true,
    examples: httpGetExamples,
    async run({ url }, { signal }) {
      const startedAt = performance.now();
      const { body, ...fetched } = await fetcher.get(url, signal);
      const decoded = decodeBody(body, fetched.contentType);
      return {
        url: fetched.url.href,
        status: fetched.status,
        contentType: fetched.contentType.type,
        charset: decoded?.charset ?? null,
        sizeBytes: body.bytes.length,
        text: decoded?.text ?? null,
        truncated: body.truncated,
        redirects: fetched.redirects,
        ms: Math.round(performance.now() - startedAt),
      };
    },
  });
}
