import { defineTool, type Tool } from '@skein/agent';
import { SkeinError } from '@skein/protocol';
import { z } from 'zod';
import { scrapeExamples } from '../examples.ts';
import { decodeBody } from '../http-body.ts';
import { HttpFetcher, type HttpFetchOptions } from '../http-fetch.ts';
import { pageUrl } from '../http-get.ts';
import { PageReader } from './page-reader.ts';
import type { PageText } from './page-text.ts';

export interface ScrapeOptions extends HttpFetchOptions {
  /** Of the text; the rest is cut. */
  readonly maxChars?: number;
  readonly maxLinks?: number;
}

export const SCRAPE_DEFAULTS = { maxBytes: 1_048_576, maxChars: 40_000, maxLinks: 100 } as const;

const input = z.object({
  url: pageUrl,
  part: z.enum(['all', 'text', 'links']).default('all').describe('What to give of the page.'),
});

/**
 * Gets a web page and gives what people read of it: `{ url, status, title, description, text, links, linkCount, truncated,
 * redirects, ms }`, `text` as Markdown and `links` as `{ text, url }`; see `HttpFetcher` for what it reaches. Text that is
 * no HTML is given as it is.
 */
export function createScrape(options: ScrapeOptions = {}): Tool {
  const { maxChars, maxLinks, ...fetching } = { ...SCRAPE_DEFAULTS, ...options };
  const fetcher = new HttpFetcher(fetching);
  const reader = new PageReader();
  return defineTool({
    name: 'scrape',
    description: `Gets a public web page and returns its title, its readable text, at most ${maxChars} characters, and its links.`,
    input,
    effect: 'read',
    untrusted: true,
    openWorld: true,
    examples: scrapeExamples,
    async run({ url: asked, part }, { signal }) {
      const startedAt = performance.now();
      const { url, status, redirects, body, contentType } = await fetcher.get(asked, signal);
      const decoded = decodeBody(body, contentType);
      if (decoded === undefined) {
        throw new SkeinError(`${url.href} is ${contentType.type || 'no text'}, which has no text to read`, {
          code: 'unsupported',
        });
      }
      const page = isHtml(contentType.type, decoded.text)
        ? await reader.read({ html: decoded.text, url: url.href, maxChars, maxLinks }, signal)
        : asText(decoded.text, maxChars);
      return {
        url: url.href,
        status,
        title: page.title,
        description: page.description,
        ...(part === 'links' ? {} : { text: page.text }),
        ...(part === 'text' ? {} : { links: page.links.map((link) => ({ ...link })) }),
        linkCount: page.links.length,
        truncated: page.truncated || body.truncated,
        redirects: [...redirects],
        ms: Math.round(performance.now() - startedAt),
      };
    },
  });
}

function isHtml(type: string, text: string): boolean {
  if (/^(text\/html|application\/xhtml\+xml)$/.test(type)) return true;
  return type === '' && /^\s*<(!doctype|html|head|body)\b/i.test(text.slice(0, 512));
}

function asText(text: string, maxChars: number): PageText {
  return {
    title: null,
    description: null,
    text: text.slice(0, maxChars).toWellFormed(),
    links: [],
    truncated: text.length > maxChars,
  };
}
