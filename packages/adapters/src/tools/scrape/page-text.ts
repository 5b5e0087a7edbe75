import { Parser } from 'htmlparser2';

interface PageLink {
  readonly text: string;
  readonly url: string;
}

/** What a page says. */
export interface PageText {
  readonly title: string | null;
  readonly description: string | null;
  /** Its main part where it marks one, else all but what goes around pages: headings, lists and tables as in Markdown. */
  readonly text: string;
  readonly links: readonly PageLink[];
  /** Whether text or links were left out. */
  readonly truncated: boolean;
}

export interface PageTextOptions {
  readonly url: string;
  readonly maxChars: number;
  readonly maxLinks: number;
}

/** What is no text for people, or not on the page at all. */
const SKIPPED = new Set(
  'script style noscript template svg math canvas iframe object embed audio video select datalist dialog head'.split(' '),
);
/** What goes around a page's own text. */
const AROUND = new Set('nav footer aside form menu'.split(' '));
const MAIN = new Set(['main', 'article']);
const BLOCKS = new Set(
  `address article aside blockquote body caption dd details div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6
  header hr li main menu nav ol p pre section summary table tbody tfoot thead tr ul`.split(/\s+/),
);
/** A main part with less text than this was marked by mistake. */
const MAIN_CHARS_MIN = 200;
const MAX_INDENT = 6;
/** Elements in one another; a page that goes deeper is read until there. */
const MAX_DEPTH = 512;
const MAX_LABEL_CHARS = 300;
const MAX_URL_CHARS = 2_048;
/** Text is gathered for so many times what is shown, so that the main part is found behind a long menu. */
const GATHERED_FACTOR = 8;

interface Frame {
  readonly skipped: boolean;
  readonly around: boolean;
  readonly main: boolean;
  readonly keepsSpace: boolean;
  readonly lists: number;
  readonly href: string | undefined;
}

const OUTSIDE: Frame = { skipped: false, around: false, main: false, keepsSpace: false, lists: 0, href: undefined };

interface Line {
  readonly text: string;
  readonly around: boolean;
  readonly main: boolean;
}

/** The title, readable text and links of an HTML document. Takes anything: what is no HTML is text. */
export function readPage(html: string, options: PageTextOptions): PageText {
  const page = new Page(options);
  const parser = new Parser({
    onopentag(name, attributes) {
      page.open(name, attributes);
      // The parser looks through all open elements for each that ends.
      if (page.depth > MAX_DEPTH) parser.pause();
    },
    onclosetag: (name) => page.close(name),
    ontext: (text) => page.text(text),
  });
  parser.end(html);
  return page.result();
}

/** A page while it is read, one tag after the other. */
class Page {
  readonly #options: PageTextOptions;
  readonly #stack: Frame[] = [];
  readonly #lines: Line[] = [];
  readonly #links = new Map<string, string>();
  #base: string;
  #title = '';
  #inTitle = false;
  #heading: string | undefined;
  #description: string | null = null;
  #line = '';
  /** Kept apart: to look at the end of a text that grows piece by piece takes the whole text each time. */
  #endsWithSpace = true;
  #prefix = '';
  #linkText = '';
  #gathered = 0;
  #truncated = false;

  constructor(options: PageTextOptions) {
    this.#options = options;
    this.#base = options.url;
  }

  get depth(): number {
    return this.#stack.length;
  }

  open(name: string, attributes: Readonly<Record<string, string>>): void {
    const above = this.#frame();
    if (name === 'title') this.#inTitle = this.#title === '';
    if (name === 'base') this.#base = this.#resolve(attributes.href) ?? this.#base;
    if (name === 'meta') this.#meta(attributes);
    if (BLOCKS.has(name)) this.#endLine();
    this.#stack.push({
      // A page's head holds its title, which is read by itself, and nothing people see.
      skipped: above.skipped || SKIPPED.has(name) || isHidden(attributes),
      around: above.around || AROUND.has(name) || AROUND_ROLES.has(attributes.role ?? ''),
      main: above.main || MAIN.has(name) || attributes.role === 'main',
      keepsSpace: above.keepsSpace || name === 'pre',
      lists: above.lists + (name === 'ul' || name === 'ol' ? 1 : 0),
      href: name === 'a' ? attributes.href : undefined,
    });
    if (name === 'a') this.#linkText = '';
    if (!this.#frame().skipped) this.#begin(name, attributes);
  }

  close(name: string): void {
    if (name === 'title') this.#inTitle = false;
    const frame = this.#frame();
    if (!frame.skipped) this.#finish(name, frame);
    if (BLOCKS.has(name)) this.#endLine();
    this.#stack.pop();
  }

  text(text: string): void {
    if (this.#inTitle) this.#title = (this.#title + text).slice(0, MAX_LABEL_CHARS);
    const frame = this.#frame();
    if (frame.skipped || this.#inTitle) return;
    if (frame.keepsSpace) {
      for (const [at, line] of text.split('\n').entries()) {
        if (at > 0) this.#endLine();
        this.#add(line);
      }
      return;
    }
    const folded = text.replace(/\s+/g, ' ');
    this.#add(this.#endsWithSpace ? folded.trimStart() : folded);
  }

  result(): PageText {
    this.#endLine();
    if (this.depth > MAX_DEPTH) this.#truncated = true;
    const { maxChars, maxLinks } = this.#options;
    const chosen = choose(this.#lines);
    const text = chosen
      .map((line) => line.text)
      .join('\n')
      .replace(/\n{3,}/g, '\n\n')
      .trim();
    const links = [...this.#links].slice(0, maxLinks).map(([url, label]) => ({ text: label, url }));
    const title = fold(this.#title) || this.#heading || '';
    return {
      title: title === '' ? null : title,
      description: this.#description,
      text: text.slice(0, maxChars).toWellFormed(),
      links,
      truncated: this.#truncated || text.length > maxChars || this.#links.size > maxLinks,
    };
  }

  #frame(): Frame {
    return this.#stack.at(-1) ?? OUTSIDE;
  }

  #meta(attributes: Readonly<Record<string, string>>): void {
    const name = (attributes.name ?? attributes.property ?? '').toLowerCase();
    const content = fold(attributes.content ?? '').slice(0, MAX_LABEL_CHARS);
    if (name === 'description' || (name === 'og:description' && this.#description === null))
      this.#description = content || null;
  }

  #begin(name: string, attributes: Readonly<Record<string, string>>): void {
    const level = /^h([1-6])$/.exec(name)?.[1];
    if (level !== undefined) this.#prefix = `${'#'.repeat(Number(level))} `;
    else if (name === 'li') this.#prefix = `${'  '.repeat(Math.min(Math.max(this.#frame().lists - 1, 0), MAX_INDENT))}- `;
    else if (name === 'blockquote') this.#prefix = '> ';
    else if (name === 'br') this.#endLine();
    else if (name === 'hr') this.#push('---');
    else if (name === 'pre') this.#push('```');
    else if (name === 'td' || name === 'th') this.#add(this.#line === '' ? '' : ' | ');
    else if (name === 'img' && attributes.alt) this.text(`[image: ${fold(attributes.alt).slice(0, MAX_LABEL_CHARS)}]`);
  }

  #finish(name: string, frame: Frame): void {
    if (name === 'h1') this.#heading ??= fold(this.#line).slice(0, MAX_LABEL_CHARS) || undefined;
    if (name === 'a' && frame.href !== undefined) this.#link(frame.href);
    if (name === 'pre') {
      this.#endLine();
      this.#push('```');
    }
    if (/^(h[1-6]|p|ul|ol|table|blockquote|pre|section|article)$/.test(name)) {
      this.#endLine();
      this.#push('');
    }
  }

  #link(href: string): void {
    const url = this.#resolve(href);
    if (url === undefined || this.#links.has(url)) return;
    // One more than is shown, so that it is known that there are more.
    if (this.#links.size > this.#options.maxLinks) this.#truncated = true;
    else this.#links.set(url, fold(this.#linkText).slice(0, MAX_LABEL_CHARS));
  }

  /** An absolute web address without its fragment; undefined for anything else, and for one on the page itself. */
  #resolve(href: string | undefined): string | undefined {
    if (href === undefined || href === '' || href.startsWith('#') || href.length > MAX_URL_CHARS) return undefined;
    const url = URL.parse(href, this.#base);
    if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) return undefined;
    url.hash = '';
    return url.href.length > MAX_URL_CHARS ? undefined : url.href;
  }

  #add(text: string): void {
    if (this.#linkText.length < MAX_LABEL_CHARS) this.#linkText += text;
    this.#gathered += text.length;
    if (this.#gathered > this.#options.maxChars * GATHERED_FACTOR) this.#truncated = true;
    else this.#line += text;
    if (text !== '') this.#endsWithSpace = /\s$/.test(text.slice(-1));
  }

  #endLine(): void {
    const keepsSpace = this.#frame().keepsSpace;
    const text = keepsSpace ? this.#line.trimEnd() : this.#line.trim();
    this.#line = '';
    this.#endsWithSpace = true;
    if (text === '' && !keepsSpace) return;
    this.#push(this.#prefix + text);
    this.#prefix = '';
  }

  #push(text: string): void {
    const { around, main } = this.#frame();
    // Blank lines one after the other are one; this also bounds what empty elements can make.
    if (text === '' && (this.#lines.at(-1)?.text ?? '') === '') return;
    this.#lines.push({ text, around, main });
  }
}

const AROUND_ROLES = new Set(['navigation', 'contentinfo', 'complementary', 'search', 'menu']);

/** What people do not see they did not write for: text meant for a model alone stands there. */
function isHidden(attributes: Readonly<Record<string, string>>): boolean {
  if ('hidden' in attributes || attributes['aria-hidden'] === 'true') return true;
  return /(display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0|opacity\s*:\s*0(\D|$))/i.test(attributes.style ?? '');
}

/** The lines of the main part, where there is one worth it, else those that do not stand around the page, else all. */
function choose(lines: readonly Line[]): readonly Line[] {
  const main = lines.filter((line) => line.main && !line.around);
  if (characters(main) >= MAIN_CHARS_MIN) return main;
  const own = lines.filter((line) => !line.around);
  return characters(own) > 0 ? own : lines;
}

function characters(lines: readonly Line[]): number {
  return lines.reduce((sum, { text }) => sum + text.length, 0);
}

function fold(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}
