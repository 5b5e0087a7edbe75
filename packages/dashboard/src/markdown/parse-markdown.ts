/** A piece of a line. */
export type Inline =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'code'; readonly text: string }
  | { readonly type: 'strong' | 'emphasis'; readonly children: readonly Inline[] }
  | { readonly type: 'link'; readonly href: string; readonly children: readonly Inline[] };

/** A piece of an answer. */
export type Block =
  | { readonly type: 'paragraph'; readonly children: readonly Inline[] }
  | { readonly type: 'heading'; readonly level: number; readonly children: readonly Inline[] }
  | { readonly type: 'code'; readonly language: string; readonly text: string }
  | { readonly type: 'list'; readonly ordered: boolean; readonly items: readonly (readonly Inline[])[] }
  | { readonly type: 'quote'; readonly children: readonly Block[] }
  | {
      readonly type: 'table';
      readonly head: readonly (readonly Inline[])[];
      readonly rows: readonly (readonly (readonly Inline[])[])[];
    }
  | { readonly type: 'rule' };

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+-]*)/;
const HEADING = /^(#{1,6})\s+(.+?)\s*#*$/;
const BULLET = /^\s*[-*+]\s+(.*)$/;
const NUMBER = /^\s*\d{1,9}[.)]\s+(.*)$/;
const QUOTE = /^\s{0,3}>\s?(.*)$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const TABLE_LINE = /^\s*\|?(?:\s*:?-{2,}:?\s*\|)+\s*(?::?-{2,}:?)?\s*\|?\s*$/;
const MAX_QUOTE_DEPTH = 4;

/** The common part of Markdown as data. There is no raw HTML and no image in it: both stay text. */
export function parseMarkdown(text: string, depth = 0): Block[] {
  const lines = text.replaceAll('\r\n', '\n').split('\n');
  const blocks: Block[] = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at] ?? '';
    if (line.trim() === '') {
      at += 1;
      continue;
    }
    const found =
      fence(lines, at) ?? table(lines, at) ?? (depth < MAX_QUOTE_DEPTH ? quote(lines, at, depth) : null) ?? list(lines, at);
    if (found !== null) {
      blocks.push(found.block);
      at = found.next;
      continue;
    }
    const heading = HEADING.exec(line);
    if (RULE.test(line)) blocks.push({ type: 'rule' });
    else if (heading !== null) {
      blocks.push({ type: 'heading', level: heading[1]?.length ?? 1, children: parseInline(heading[2] ?? '') });
    } else {
      const next = endOf(lines, at + 1, (other) => other.trim() !== '' && !startsBlock(other));
      blocks.push({ type: 'paragraph', children: parseInline(lines.slice(at, next).join('\n')) });
      at = next - 1;
    }
    at += 1;
  }
  return blocks;
}

interface Found {
  readonly block: Block;
  readonly next: number;
}

function startsBlock(line: string): boolean {
  return [FENCE, HEADING, BULLET, NUMBER, QUOTE, RULE].some((pattern) => pattern.test(line));
}

function endOf(lines: readonly string[], from: number, belongs: (line: string) => boolean): number {
  let at = from;
  while (at < lines.length && belongs(lines[at] ?? '')) at += 1;
  return at;
}

function fence(lines: readonly string[], at: number): Found | null {
  const open = FENCE.exec(lines[at] ?? '');
  if (open === null) return null;
  const mark = open[1] ?? '```';
  // An answer still being streamed has not closed its block yet: what is there is shown as code already.
  const end = endOf(lines, at + 1, (line) => !line.trim().startsWith(mark));
  return { block: { type: 'code', language: open[2] ?? '', text: lines.slice(at + 1, end).join('\n') }, next: end + 1 };
}

function table(lines: readonly string[], at: number): Found | null {
  const head = lines[at] ?? '';
  if (!head.includes('|') || !TABLE_LINE.test(lines[at + 1] ?? '')) return null;
  const end = endOf(lines, at + 2, (line) => line.includes('|'));
  const rows = lines.slice(at + 2, end).map(cells);
  return { block: { type: 'table', head: cells(head), rows }, next: end };
}

function cells(line: string): Inline[][] {
  const bare = line.trim().replace(/^\|/, '').replace(/\|$/, '');
  return bare.split('|').map((cell) => parseInline(cell.trim()));
}

function quote(lines: readonly string[], at: number, depth: number): Found | null {
  if (!QUOTE.test(lines[at] ?? '')) return null;
  const end = endOf(lines, at, (line) => QUOTE.test(line));
  const inner = lines.slice(at, end).map((line) => QUOTE.exec(line)?.[1] ?? '');
  return { block: { type: 'quote', children: parseMarkdown(inner.join('\n'), depth + 1) }, next: end };
}

function list(lines: readonly string[], at: number): Found | null {
  const first = lines[at] ?? '';
  if (RULE.test(first)) return null;
  const pattern = [BULLET, NUMBER].find((candidate) => candidate.test(first));
  if (pattern === undefined) return null;
  const items: string[] = [];
  let next = at;
  for (; next < lines.length; next += 1) {
    const line = lines[next] ?? '';
    const item = pattern.exec(line);
    if (item !== null) items.push(item[1] ?? '');
    else if (/^\s{2,}\S/.test(line)) items.push(`${items.pop() ?? ''}\n${line.trim()}`);
    else break;
  }
  return { block: { type: 'list', ordered: pattern === NUMBER, items: items.map((item) => parseInline(item)) }, next };
}

const INLINE =
  /(`+)(.{1,1000}?)\1(?!`)|\*\*(?=\S)(.{1,1000}?)\*\*|(?<![\w*])[*_](?=\S)([^*_\n]{1,1000}?)[*_](?![\w*])|\[([^\]\n]{1,500})\]\(([^)\s]{1,2000})\)|(https?:\/\/[^\s<>()"']{1,2000}[^\s<>()"'.,;:!?])/s;
const MAX_INLINE_DEPTH = 4;

function parseInline(text: string, depth = 0): Inline[] {
  const parts: Inline[] = [];
  let rest = text;
  while (rest !== '') {
    const match = depth < MAX_INLINE_DEPTH ? INLINE.exec(rest) : null;
    if (match === null) return [...parts, { type: 'text', text: rest }];
    if (match.index > 0) parts.push({ type: 'text', text: rest.slice(0, match.index) });
    parts.push(inlineOf(match, depth));
    rest = rest.slice(match.index + match[0].length);
  }
  return parts;
}

function inlineOf(match: RegExpExecArray, depth: number): Inline {
  const [whole, , code, strong, emphasis, label, target, bare] = match;
  if (code !== undefined) return { type: 'code', text: code.trim() };
  if (strong !== undefined) return { type: 'strong', children: parseInline(strong, depth + 1) };
  if (emphasis !== undefined) return { type: 'emphasis', children: parseInline(emphasis, depth + 1) };
  const href = webAddress(bare ?? target ?? '');
  if (href === null) return { type: 'text', text: whole };
  return {
    type: 'link',
    href,
    children: bare === undefined ? parseInline(label ?? '', depth + 1) : [{ type: 'text', text: bare }],
  };
}

/** The address when it is of the web; `javascript:` and all else is not. */
function webAddress(text: string): string | null {
  const url = URL.parse(text);
  return url !== null && (url.protocol === 'https:' || url.protocol === 'http:') ? url.href : null;
}
