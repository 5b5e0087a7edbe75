import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { describe, expect, test } from 'vitest';
import { intentOf, rejection, toolContext } from '../../../test/tool-fixture.ts';
import { createHttpGet } from '../http-get.ts';
import { PageReader } from './page-reader.ts';
import { createScrape } from './scrape.ts';

async function site(listener: RequestListener) {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    allowPrivate: [`127.0.0.1:${port}`],
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const html =
  (text: string): RequestListener =>
  (_request, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8').end(text);
  };

test('a page is given as its title, text and links', async () => {
  await using web = await site(html('<title>Shop</title><h1>Tea</h1><p>It is hot. <a href=/buy>Buy</a>'));
  const scrape = createScrape(web);
  expect(scrape.untrusted).toBe(true);
  expect(scrape.descriptor.effect).toBe('read');
  const page = await scrape.run({ url: web.url }, toolContext());
  expect(page).toEqual({
    url: web.url,
    status: 200,
    title: 'Shop',
    description: null,
    text: '# Tea\n\nIt is hot. Buy',
    links: [{ text: 'Buy', url: `${web.url}buy` }],
    linkCount: 1,
    truncated: false,
    redirects: [],
    ms: expect.any(Number),
  });
  expect(await scrape.run({ url: web.url, part: 'links' }, toolContext())).not.toHaveProperty('text');
  expect(await scrape.run({ url: web.url, part: 'text' }, toolContext())).not.toHaveProperty('links');
});

test('text that is no page is given as it is, and what is no text is refused', async () => {
  await using web = await site((request, response) => {
    if (request.url === '/plain') response.setHeader('content-type', 'text/plain').end('<b>as it is</b>');
    else response.setHeader('content-type', 'image/png').end(Buffer.from([1, 2, 0, 3]));
  });
  const scrape = createScrape(web);
  expect(await scrape.run({ url: `${web.url}plain` }, toolContext())).toMatchObject({ text: '<b>as it is</b>', title: null });
  expect((await rejection(scrape.run({ url: web.url }, toolContext()))).code).toBe('unsupported');
});

test.each([
  'http://127.0.0.1/',
  'http://[::ffff:10.0.0.1]/',
  'http://169.254.169.254/latest',
  'file:///etc/passwd',
  'http://0x7f.1/',
])('%s is not reached', async (url) => {
  expect(['denied', 'invalid']).toContain((await rejection(createScrape().run({ url }, toolContext()))).code);
});

test('a redirect to a private address is not followed', async () => {
  await using web = await site((_request, response) => response.writeHead(302, { location: 'http://127.0.0.2:1/' }).end());
  expect((await rejection(createScrape(web).run({ url: web.url }, toolContext()))).code).toBe('denied');
});

test('a page that never ends is cut at its bytes', async () => {
  await using web = await site((_request, response) => {
    response.setHeader('content-type', 'text/html');
    const more = () => {
      while (!response.destroyed && response.write('<p>more and more and more</p>'.repeat(100)));
      response.once('drain', more);
    };
    more();
  });
  const page = await createScrape({ ...web, maxBytes: 50_000, maxChars: 1_000 }).run({ url: web.url }, toolContext());
  expect(page).toMatchObject({ truncated: true });
});

describe('a page made to take long', () => {
  const work = (text: string) => ({ html: text, url: 'https://example.org/', maxChars: 40_000, maxLinks: 10 });

  test.each([
    ['elements in elements', '<div>'.repeat(200_000)],
    ['ends without beginnings', `${'<b>'.repeat(100_000)}${'</i>'.repeat(100_000)}`],
    ['attributes', `<a ${'x=1 '.repeat(250_000)}>`],
    ['entities', '&amp;'.repeat(200_000)],
    ['brackets', '<'.repeat(1_000_000)],
    ['space', `${' '.repeat(1_000_000)}x`],
    ['styles', `<p style="${'display '.repeat(100_000)}">`],
    ['forms', '<form>'.repeat(150_000)],
    ['links', '<a href=x>'.repeat(100_000)],
  ])('of %s holds up nothing here', async (_, text) => {
    const reader = new PageReader();
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    await reader.read(work(text), new AbortController().signal);
    delay.disable();
    expect(delay.percentile(99) / 1e6).toBeLessThan(200);
  });

  test('is left at the deadline, and when the caller stops', async () => {
    const slow = work('<p>x</p>'.repeat(100_000));
    expect((await rejection(new PageReader({ timeoutMs: 1 }).read(slow, new AbortController().signal))).code).toBe(
      'deadline-exceeded',
    );
    expect((await rejection(new PageReader().read(slow, AbortSignal.abort()))).code).toBe('canceled');
  });

  test('takes one of a few places', async () => {
    const reader = new PageReader({ maxConcurrent: 2 });
    const slow = work('<p>x</p>'.repeat(50_000));
    const signal = new AbortController().signal;
    const reading = [reader.read(slow, signal), reader.read(slow, signal)];
    expect((await rejection(reader.read(slow, signal))).code).toBe('busy');
    await Promise.all(reading);
    await reader.read(work('x'), signal);
  });
});

test.each([
  ['scrape https://example.org/a', 'scrape', { url: 'https://example.org/a' }],
  ['which links are on the page https://example.org/a?', 'scrape', { url: 'https://example.org/a', part: 'links' }],
  ['what is the title of the page https://example.org/', 'scrape', { url: 'https://example.org/' }],
  ['fetch https://example.org/a', 'http_get', { url: 'https://example.org/a' }],
  ['is https://example.org up?', 'http_get', { url: 'https://example.org' }],
])('the built-in brain understands "%s"', async (text, name, input) => {
  expect(await intentOf(text, [createHttpGet(), createScrape()])).toEqual({ name, input });
});
