import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Block, type Inline, parseMarkdown } from './parse-markdown.ts';

function hrefs(pieces: readonly (Block | Inline)[]): string[] {
  return pieces.flatMap((piece) => {
    const own = piece.type === 'link' ? [piece.href] : [];
    const lines = piece.type === 'list' ? piece.items : piece.type === 'table' ? [...piece.head, ...piece.rows.flat()] : [];
    return [...own, ...('children' in piece ? hrefs(piece.children) : []), ...lines.flatMap((line) => hrefs(line))];
  });
}

describe('parseMarkdown', () => {
  it('knows the blocks answers are made of', () => {
    const text =
      '# Title\n\ntext **bold** `code`\nmore\n\n- one\n- two\n\n1. first\n\n> quoted\n\n```sh\nls -l\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n---';
    expect(parseMarkdown(text).map((block) => block.type)).toEqual([
      'heading',
      'paragraph',
      'list',
      'list',
      'quote',
      'code',
      'table',
      'rule',
    ]);
  });

  it('shows a code block that is still being written as code', () => {
    expect(parseMarkdown('```\nhalf')).toEqual([{ type: 'code', language: '', text: 'half' }]);
  });

  it('leaves names_with_underscores and lone marks alone', () => {
    for (const text of ['shell_exec and system_info', '2 * 3 * 4', 'a ` b', '**', '[x]']) {
      expect(parseMarkdown(text)).toEqual([{ type: 'paragraph', children: [{ type: 'text', text }] }]);
    }
  });

  it('links the web only', () => {
    const text =
      '[a](javascript:alert(1)) [b](data:text/html,x) [c](file:///etc/passwd) [d](//x) [e](https://example.org/e) http://example.org/f.';
    expect(hrefs(parseMarkdown(text))).toEqual(['https://example.org/e', 'http://example.org/f']);
  });

  it('ends for every text, links the web only, and is not slow for a hostile one', () => {
    const mark = fc.constantFrom(
      '`',
      '**',
      '*',
      '_',
      '[',
      '](',
      ')',
      '|',
      '\n',
      '> ',
      '- ',
      '```',
      'a',
      ' ',
      'https://a.b/',
      'javascript:',
      '|--|--|',
    );
    fc.assert(
      fc.property(fc.array(mark, { maxLength: 80 }), (marks) => {
        for (const href of hrefs(parseMarkdown(marks.join('')))) expect(href).toMatch(/^https?:/);
      }),
    );
    const startedAt = performance.now();
    for (const bomb of ['`', '**a', '> ', '[', '_a', '|-', '``` ']) parseMarkdown(bomb.repeat(10_000));
    expect(performance.now() - startedAt).toBeLessThan(3_000);
  });
});
