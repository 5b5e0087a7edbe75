import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readPage } from './page-text.ts';

const read = (html: string, options: { maxChars?: number; maxLinks?: number } = {}) =>
  readPage(html, {
    url: 'https://example.org/shop/index.html',
    maxChars: options.maxChars ?? 10_000,
    maxLinks: options.maxLinks ?? 50,
  });

describe('the text of a page', () => {
  test.each([
    ['<h2>Two</h2><p>Text</p>', '## Two\n\nText'],
    ['<p>a <b>bold</b>   word\n here</p><p>next', 'a bold word here\n\nnext'],
    ['one<br>two<hr>three', 'one\ntwo\n---\nthree'],
    ['<ul><li>a<li>b<ol><li>c</ol></ul>', '- a\n- b\n  - c'],
    ['<table><tr><th>k<th>v<tr><td>1<td>2</table>', 'k | v\n1 | 2'],
    ['<pre>a\n  b</pre>', '```\na\n  b\n```'],
    ['<blockquote>said</blockquote>', '> said'],
    ['<p>&lt;b&gt; &amp; &copy; &#x41;</p>', '<b> & © A'],
    ['<p><img src=x alt="a map"></p>', '[image: a map]'],
    ['no markup at all', 'no markup at all'],
    ['', ''],
  ])('of %s', (html, text) => {
    expect(read(html).text).toBe(text);
  });

  test.each([
    '<script>secret</script>',
    '<style>secret{}</style>',
    '<noscript>secret</noscript>',
    '<template>secret</template>',
    '<svg><text>secret</text></svg>',
    '<div hidden>secret</div>',
    '<div aria-hidden="true"><p>secret</p></div>',
    '<p style="display: none">secret</p>',
    '<p style="VISIBILITY:hidden">secret</p>',
    '<p style="font-size:0px">secret</p>',
    '<p style="color:red;opacity:0">secret</p>',
    '<!-- secret -->',
    '<input value="secret">',
  ])('leaves out what nobody sees: %s', (html) => {
    expect(read(`<p>before</p>${html}<p>after</p>`).text).toBe('before\n\nafter');
  });

  test('is that of the main part where there is one, and leaves out what goes around', () => {
    const long = 'word '.repeat(60).trim();
    const around = '<nav><a href=/home>Home</a></nav><footer>Imprint</footer>';
    expect(read(`${around}<p>teaser</p><main><h1>Big</h1><nav>Steps</nav><p>${long}</p></main>`).text).toBe(`# Big\n\n${long}`);
    expect(read(`${around}<p>own</p><article>short</article>`).text).toBe('own\n\nshort');
    expect(read('<nav>only this</nav>').text).toBe('only this');
  });

  test('is cut, and says so', () => {
    const page = read(`<p>${'x'.repeat(5_000)}</p>`, { maxChars: 1_000 });
    expect(page.text).toHaveLength(1_000);
    expect(page.truncated).toBe(true);
    expect(read('<p>short</p>').truncated).toBe(false);
  });
});

test('the title is that of the head, else the first heading', () => {
  expect(read('<head><title> A \n page </title></head><svg><title>icon</title></svg><h1>H</h1>').title).toBe('A page');
  expect(read('<h1>First <i>one</i></h1><h1>Second</h1>').title).toBe('First one');
  expect(read('<p>none</p>').title).toBeNull();
  expect(read('<meta name=description content=" What it is ">').description).toBe('What it is');
});

test('links are absolute web addresses, each once, with their words', () => {
  const page = read(
    `<a href="a.html">A</a> <a href="a.html#part">again</a> <a href="//other.org/x">Other <b>one</b></a> <a href="#here">here</a>
     <a href="javascript:alert(1)">no</a> <a href="data:text/html,x">no</a> <a href="file:///etc/passwd">no</a> <a href="mailto:me@x">no</a>
     <a href="http://[bad">no</a> <a>no</a> <a href="/${'x'.repeat(5_000)}">long</a>`,
  );
  expect(page.links).toEqual([
    { text: 'A', url: 'https://example.org/shop/a.html' },
    { text: 'Other one', url: 'https://other.org/x' },
  ]);
  const many = read(Array.from({ length: 60 }, (_, index) => `<a href=/${index}>${index}</a>`).join(''), { maxLinks: 10 });
  expect(many.links).toHaveLength(10);
  expect(many.truncated).toBe(true);
  expect(read('<base href="https://base.org/d/"><a href=e>x</a>').links).toEqual([{ text: 'x', url: 'https://base.org/d/e' }]);
  expect(read('<base href="javascript:1"><a href=e>x</a>').links).toEqual([{ text: 'x', url: 'https://example.org/shop/e' }]);
});

test('any text is a page, within its bounds', () => {
  const piece = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom(
      '<a href="',
      '<',
      '>',
      '</',
      '<ul><li>',
      '<pre>',
      '</pre>',
      '<table><td>',
      '<!--',
      '-->',
      '<title>',
      '&',
      '<main>',
      '<base href=',
      '"',
      '<p style="',
    ),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
      const page = read(pieces.join(''), { maxChars: 100, maxLinks: 2 });
      expect(page.text.length).toBeLessThanOrEqual(100);
      expect(page.text.isWellFormed()).toBe(true);
      expect(page.links.length).toBeLessThanOrEqual(2);
      for (const { url } of page.links) expect(url).toMatch(/^https?:\/\//);
    }),
    { numRuns: 500 },
  );
});
