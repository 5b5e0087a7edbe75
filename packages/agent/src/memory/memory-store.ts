import { type Database, fullTextQuery, type Writer } from '@skein/engine';
import { hybridMs, type MemoryChange, SkeinError, type WireOperation } from '@skein/protocol';
import { z } from 'zod';
import type { OperationLog } from '../sync/operation-log.ts';
import { type Fact, type FactDraft, factDraft, OWN_AUTHOR, textKey } from './fact.ts';
import { buryFact, type FactRow, factCounts, factRowOf, insertFact, versionsOf } from './fact-rows.ts';
import { MemoryView } from './memory-view.ts';

export type { Fact, FactDraft } from './fact.ts';

/** Facts signed in one transaction when a store gets its log. */
const ADOPT_AT_ONCE = 256;
/** Versions one operation takes the place of. */
const REMOVES_MAX = 64;
/** Characters of an id's beginning that stand for it. */
const LEAST_OF_ID = 4;

export interface MemoryLimits {
  readonly maxFacts: number;
  /** Facts by any one author but `me`. */
  readonly maxFactsPerAuthor: number;
}

const DEFAULTS: MemoryLimits = { maxFacts: 100_000, maxFactsPerAuthor: 20_000 };

export interface MemoryStoreParts {
  readonly database: Database;
  readonly now: () => number;
  readonly randomId: () => string;
  /** Where each change is signed, for peers; a database opened with `syncMigrations` too. Without it, nothing leaves. */
  readonly log?: OperationLog;
  readonly limits?: Partial<MemoryLimits>;
}

/** Facts in a database opened with `memoryMigrations`; who opened that closes it. */
export class MemoryStore {
  readonly #database: Database;
  readonly #now: () => number;
  readonly #randomId: () => string;
  readonly #limits: MemoryLimits;
  readonly #log: OperationLog | undefined;
  readonly #view: MemoryView | undefined;

  constructor(parts: MemoryStoreParts) {
    this.#database = parts.database;
    this.#now = parts.now;
    this.#randomId = parts.randomId;
    this.#limits = { ...DEFAULTS, ...parts.limits };
    this.#log = parts.log;
    if (parts.log === undefined) return;
    this.#view = new MemoryView({
      log: parts.log,
      assertRoom: (writer, author) => this.#assertRoom(writer, author),
    });
    parts.log.attach(this.#view);
  }

  /** Signs what was remembered before there was a log; how many facts that were. To be awaited before peers are met. */
  async adopt(): Promise<number> {
    const log = this.#log;
    if (log === undefined) return 0;
    for (let total = 0; ; ) {
      const adopted = await this.#database.write((writer) => {
        const rows = writer.all(
          'SELECT * FROM facts WHERE dot IS NULL AND forgotten_at_ms IS NULL ORDER BY id LIMIT ?',
          ADOPT_AT_ONCE,
        );
        for (const { row, fact } of rows.map(factRowOf)) {
          const { dot } = log.append(writer, JSON.stringify(changeOf(fact)), { atMs: fact.atMs });
          writer.run('UPDATE facts SET dot = ? WHERE id = ?', dot, row);
        }
        return rows.length;
      });
      total += adopted;
      if (adopted === 0) return total;
    }
  }

  /**
   * Remembers a fact; on the disk when it resolves. The same text (but for case and spaces) is kept once: the first one
   * stays, unless it was not trusted and this one is. With `replaces`, it is the new version of that fact.
   * @throws SkeinError `invalid`, `not-found`, `busy` at a bound, and what `Database.write` raises.
   */
  async write(
    draft: FactDraft,
    options?: { readonly replaces?: string },
  ): Promise<{ readonly fact: Fact; readonly added: boolean }> {
    const parsed = factDraft.safeParse(draft);
    if (!parsed.success) throw new SkeinError(`Not a fact: ${z.prettifyError(parsed.error)}`, { code: 'invalid' });
    const replaces = options?.replaces;
    const fact: Fact = { ...parsed.data, id: replaces ?? this.#randomId(), atMs: this.#now() };
    return this.#database.write((writer) => {
      const edited = replaces === undefined ? [] : versionsOf(writer, replaces);
      if (replaces !== undefined && edited.length === 0) throw noSuchFact(replaces);
      const same = sameText(writer, fact.text).filter(({ row }) => !edited.some((version) => version.row === row));
      const kept = same.find((known) => known.fact.trusted || !fact.trusted);
      if (kept !== undefined && replaces === undefined) return { fact: kept.fact, added: false };
      const gone = [...edited, ...(fact.trusted ? same : [])].slice(0, REMOVES_MAX);
      this.#bury(writer, gone, fact.atMs);
      this.#assertRoom(writer, fact.author);
      const stamp = this.#log?.append(writer, JSON.stringify(changeOf(fact)));
      this.#tellGone(writer, fact.id, gone);
      const written = stamp === undefined ? fact : { ...fact, version: stamp.dot, atMs: hybridMs(stamp.time) };
      insertFact(writer, written);
      return { fact: written, added: true };
    });
  }

  /**
   * Facts with any of the words (from their beginning), the best first and each text once. Of a fact that was edited in
   * two places at once, all versions.
   */
  search(text: string, options?: { readonly limit?: number }): readonly Fact[] {
    return this.#matching(fullTextQuery(text), boundOf(options?.limit));
  }

  /** Facts that have all of the words (from their beginning), the best first and each text once. */
  searchAll(text: string, options?: { readonly limit?: number }): readonly Fact[] {
    // Its words are quoted and hold no space, so what stands between them is the operator.
    return this.#matching(fullTextQuery(text)?.replaceAll(' OR ', ' AND '), boundOf(options?.limit));
  }

  /** The fact with this id, else those whose id begins so, one version of each. Of fewer than 4 characters, only the exact one. */
  withId(beginning: string, options?: { readonly limit?: number }): readonly Fact[] {
    const [exact] = versionsOf(this.#database, beginning);
    if (exact !== undefined) return [exact.fact];
    if (beginning.length < LEAST_OF_ID) return [];
    const found = this.#database.all(
      `SELECT facts.* FROM facts WHERE fact_id >= ? AND fact_id < ? AND forgotten_at_ms IS NULL
       GROUP BY fact_id ORDER BY fact_id LIMIT ?`,
      beginning,
      `${beginning}\u{10FFFF}`,
      boundOf(options?.limit),
    );
    return found.map((row) => factRowOf(row).fact);
  }

  #matching(query: string | undefined, limit: number): readonly Fact[] {
    if (query === undefined) return [];
    const found = this.#database.all(
      `SELECT facts.* FROM fact_search JOIN facts ON facts.id = fact_search.rowid
       WHERE fact_search MATCH ? AND facts.forgotten_at_ms IS NULL ORDER BY rank LIMIT ?`,
      query,
      2 * limit,
    );
    return this.#shown(found.map(factRowOf), limit);
  }

  /** The facts written last, the latest first. */
  latest(options?: { readonly limit?: number }): readonly Fact[] {
    const limit = boundOf(options?.limit);
    const found = this.#database.all(
      'SELECT * FROM facts WHERE forgotten_at_ms IS NULL ORDER BY at_ms DESC, id DESC LIMIT ?',
      2 * limit,
    );
    return this.#shown(found.map(factRowOf), limit);
  }

  /** The signed operation behind a fact, for a peer; undefined in a store without a log. */
  operationOf({ version }: Fact): WireOperation | undefined {
    return version === undefined ? undefined : this.#log?.find(version);
  }

  /** Whether this version was taken away for ever: replaced, or forgotten. */
  isRemoved(version: string): boolean {
    return this.#database.get('SELECT 1 FROM fact_removals WHERE dot = ?', version) !== undefined;
  }

  /** Erases a fact's text, all its versions, and leaves a tombstone with its id; false when there is no such fact. */
  async forget(id: string): Promise<boolean> {
    // A page at a time: there is no bound to how many versions of one fact peers bring.
    for (let found = false; ; ) {
      const gone = await this.#database.write((writer) => {
        const versions = versionsOf(writer, id);
        this.#bury(writer, versions, this.#now());
        this.#tellGone(writer, id, versions);
        return versions.length;
      });
      found ||= gone > 0;
      if (gone < REMOVES_MAX) return found;
    }
  }

  #tellGone(writer: Writer, id: string, versions: readonly FactRow[]): void {
    const removes = dotsOf(versions);
    if (removes.length === 0) return;
    this.#log?.append(writer, JSON.stringify({ type: 'forget', fact: id, removes } satisfies MemoryChange));
  }

  #bury(writer: Writer, versions: readonly FactRow[], atMs: number): void {
    if (this.#view !== undefined) this.#view.remove(writer, dotsOf(versions), atMs);
    for (const version of versions) if (version.fact.version === undefined) buryFact(writer, version, atMs);
  }

  /** Each text once, the most trustworthy of its versions; and beside a version, the others of its fact. */
  #shown(found: readonly FactRow[], limit: number): readonly Fact[] {
    const shown = new Map<string, Fact>();
    for (const { fact } of found) {
      if (shown.size >= limit) break;
      const best = bestOf([fact, ...sameText(this.#database, fact.text).map((same) => same.fact)]);
      const versions = versionsOf(this.#database, best.id);
      for (const version of versions.length > 1 ? versions : []) {
        shown.set(textKey(version.fact.text), { ...version.fact, concurrent: true });
      }
      const key = textKey(best.text);
      if (!shown.has(key)) shown.set(key, best);
    }
    return [...shown.values()];
  }

  /** A fifth is kept for this node's own: no number of peers can fill the memory up. */
  #assertRoom(writer: Writer, author: string): void {
    const { total, own } = factCounts(writer, author);
    const { maxFacts, maxFactsPerAuthor } = this.#limits;
    const isOwn = author === OWN_AUTHOR;
    const room = isOwn ? maxFacts : maxFacts - Math.floor(maxFacts / 5);
    if (total < room && (isOwn || own < maxFactsPerAuthor)) return;
    throw new SkeinError(`The memory is full (${total} facts, ${own} by ${author.slice(0, 16)}): forget some first`, {
      code: 'busy',
    });
  }
}

function boundOf(limit = 10): number {
  return Math.min(limit, 100);
}

function changeOf(fact: Fact): MemoryChange {
  const { id, text, tags, author, source, trusted } = fact;
  const by = author === OWN_AUTHOR ? {} : { by: author };
  return { type: 'fact', fact: id, text, tags, ...by, source, trusted };
}

function dotsOf(versions: readonly FactRow[]): string[] {
  return versions.flatMap(({ fact }) => (fact.version === undefined ? [] : [fact.version])).slice(0, REMOVES_MAX);
}

function sameText(reader: Pick<Database, 'all'>, text: string): readonly FactRow[] {
  return reader
    .all('SELECT * FROM facts WHERE text_key = ? AND forgotten_at_ms IS NULL ORDER BY id LIMIT 16', textKey(text))
    .map(factRowOf);
}

/** The one to show of those that say the same: this node's own word first, then the earliest. */
function bestOf([first, ...others]: readonly [Fact, ...Fact[]]): Fact {
  return others.reduce((best, fact) => (rankOf(fact) < rankOf(best) ? fact : best), first);
}

function rankOf({ trusted, author }: Fact): number {
  return trusted ? 0 : author === OWN_AUTHOR ? 1 : 2;
}

function noSuchFact(id: string): SkeinError {
  return new SkeinError(`There is no fact "${id.slice(0, 60)}": memory_search gives the ids there are`, { code: 'not-found' });
}
