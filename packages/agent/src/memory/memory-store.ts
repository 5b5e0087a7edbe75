import { hash } from 'node:crypto';
import { type Database, fullTextQuery, integerOf, type Row, rowChecksum, textOf, verifyRow, type Writer } from '@skein/engine';
import { SkeinError } from '@skein/protocol';
import { z } from 'zod';

/** The author of what this node's own person or agent wrote. */
export const OWN_AUTHOR = 'me';

/** What a fact is made of. */
export const factDraft = z.object({
  text: z.string().trim().min(1).max(4_000),
  tags: z.array(z.string().trim().min(1).max(40)).max(16).default([]),
  /** A peer's proven id, or `me`. */
  author: z.string().min(1).max(128),
  /** Where it came from, in words. */
  source: z.string().max(200),
  /** False when it is, or may repeat, text from outside. */
  trusted: z.boolean(),
});
export type FactDraft = z.input<typeof factDraft>;

const storedFact = factDraft.extend({ atMs: z.number() });

/** Something remembered. */
export interface Fact extends z.infer<typeof storedFact> {
  readonly id: string;
}

export interface MemoryLimits {
  readonly maxFacts: number;
  /** Facts by any one author but `me`. */
  readonly maxFactsPerAuthor: number;
}

const DEFAULTS: MemoryLimits = { maxFacts: 50_000, maxFactsPerAuthor: 5_000 };

export interface MemoryStoreParts {
  readonly database: Database;
  readonly now: () => number;
  readonly randomId: () => string;
  readonly limits?: Partial<MemoryLimits>;
}

/** Facts in a database opened with `memoryMigrations`; who opened that closes it. */
export class MemoryStore {
  readonly #database: Database;
  readonly #now: () => number;
  readonly #randomId: () => string;
  readonly #limits: MemoryLimits;

  constructor(parts: MemoryStoreParts) {
    this.#database = parts.database;
    this.#now = parts.now;
    this.#randomId = parts.randomId;
    this.#limits = { ...DEFAULTS, ...parts.limits };
  }

  /**
   * Remembers a fact; on the disk when it resolves. The same text (but for case and spaces) is kept once: the first one
   * stays, unless it was not trusted and this one is.
   * @throws SkeinError `invalid`, `busy` at a bound, and what `Database.write` raises.
   */
  async write(draft: FactDraft): Promise<{ readonly fact: Fact; readonly added: boolean }> {
    const parsed = factDraft.safeParse(draft);
    if (!parsed.success) throw new SkeinError(`Not a fact: ${z.prettifyError(parsed.error)}`, { code: 'invalid' });
    const fact: Fact = { ...parsed.data, id: this.#randomId(), atMs: this.#now() };
    return this.#database.write((writer) => {
      const known = writer.get('SELECT * FROM facts WHERE text_key = ? AND forgotten_at_ms IS NULL', textKey(fact.text));
      if (known !== undefined) {
        const before = factOf(known);
        if (before.trusted || !fact.trusted) return { fact: before, added: false };
        bury(writer, known, fact.atMs);
      }
      this.#assertRoom(writer, fact.author);
      insert(writer, fact);
      return { fact, added: true };
    });
  }

  /** Facts with any of the words (from their beginning), the best first. */
  search(text: string, options?: { readonly limit?: number }): readonly Fact[] {
    const query = fullTextQuery(text);
    if (query === undefined) return [];
    return this.#database
      .all(
        `SELECT facts.* FROM fact_search JOIN facts ON facts.id = fact_search.rowid
         WHERE fact_search MATCH ? AND facts.forgotten_at_ms IS NULL ORDER BY rank LIMIT ?`,
        query,
        Math.min(options?.limit ?? 10, 100),
      )
      .map(factOf);
  }

  /** The facts written last, the latest first. */
  latest(options?: { readonly limit?: number }): readonly Fact[] {
    const limit = Math.min(options?.limit ?? 10, 100);
    return this.#database.all('SELECT * FROM facts WHERE forgotten_at_ms IS NULL ORDER BY id DESC LIMIT ?', limit).map(factOf);
  }

  /** Erases a fact's text and leaves a tombstone with its id; false when there is no such fact. */
  async forget(id: string): Promise<boolean> {
    return this.#database.write((writer) => {
      const row = writer.get('SELECT * FROM facts WHERE fact_id = ? AND forgotten_at_ms IS NULL', id);
      if (row === undefined) return false;
      bury(writer, row, this.#now());
      return true;
    });
  }

  #assertRoom(writer: Writer, author: string): void {
    const total = countOf(writer.get('SELECT count(*) AS facts FROM facts WHERE forgotten_at_ms IS NULL'));
    const own = countOf(writer.get('SELECT count(*) AS facts FROM facts WHERE author = ? AND forgotten_at_ms IS NULL', author));
    if (total < this.#limits.maxFacts && (author === OWN_AUTHOR || own < this.#limits.maxFactsPerAuthor)) return;
    throw new SkeinError(`The memory is full (${total} facts, ${own} by ${author.slice(0, 16)}): forget some first`, {
      code: 'busy',
    });
  }
}

function insert(writer: Writer, fact: Fact): void {
  const { id, ...rest } = fact;
  const body = JSON.stringify(rest);
  writer.run(
    'INSERT INTO facts (fact_id, text_key, body, author, sum) VALUES (?, ?, ?, ?, ?)',
    id,
    textKey(fact.text),
    body,
    fact.author,
    rowChecksum([id, body]),
  );
  const words = [fact.text.toWellFormed(), fact.tags.join(' ').toWellFormed()];
  writer.run('INSERT INTO fact_search (rowid, text, tags) VALUES (last_insert_rowid(), ?, ?)', ...words);
}

function bury(writer: Writer, row: Row, atMs: number): void {
  const id = integerOf(row, 'id');
  writer.run('DELETE FROM fact_search WHERE rowid = ?', id);
  writer.run("UPDATE facts SET body = '', text_key = '', sum = 0, forgotten_at_ms = ? WHERE id = ?", atMs, id);
}

function factOf(row: Row): Fact {
  const id = textOf(row, 'fact_id');
  const body = textOf(row, 'body');
  verifyRow(row, `The fact ${id}`, [id, body]);
  return { ...storedFact.parse(JSON.parse(body)), id };
}

function countOf(row: Row | undefined): number {
  return row === undefined ? 0 : integerOf(row, 'facts');
}

/** Texts that differ in case and spaces alone have the same key. */
function textKey(text: string): string {
  return hash('sha256', text.normalize('NFC').toLowerCase().replace(/\s+/g, ' ').trim());
}
