import { integerOf, type Reader, type Row, rowChecksum, textOf, verifyRow, type Writer } from '@skein/engine';
import { type Fact, storedFact, textKey } from './fact.ts';

/** A version of a fact that is remembered now, and its row. */
export interface FactRow {
  readonly row: number;
  readonly fact: Fact;
}

export function insertFact(writer: Writer, { id, version, concurrent: _, ...rest }: Fact): void {
  const body = JSON.stringify(rest);
  writer.run(
    'INSERT INTO facts (fact_id, dot, at_ms, text_key, body, author, sum) VALUES (?, ?, ?, ?, ?, ?, ?)',
    id,
    version ?? null,
    rest.atMs,
    textKey(rest.text),
    body,
    rest.author,
    rowChecksum([id, body]),
  );
  const words = [rest.text.toWellFormed(), rest.tags.join(' ').toWellFormed()];
  writer.run('INSERT INTO fact_search (rowid, text, tags) VALUES (last_insert_rowid(), ?, ?)', ...words);
  count(writer, rest.author, 1);
}

/** Erases a version's text and leaves a tombstone with the fact's id. */
export function buryFact(writer: Writer, { row, fact }: FactRow, atMs: number): void {
  writer.run('DELETE FROM fact_search WHERE rowid = ?', row);
  writer.run("UPDATE facts SET body = '', text_key = '', sum = 0, forgotten_at_ms = ? WHERE id = ?", atMs, row);
  count(writer, fact.author, -1);
}

/** The rows of a query over `facts`. @throws SkeinError `corrupt`. */
export function factRowOf(row: Row): FactRow {
  const id = textOf(row, 'fact_id');
  const body = textOf(row, 'body');
  verifyRow(row, `The fact ${id}`, [id, body]);
  const version = row.dot === null ? {} : { version: textOf(row, 'dot') };
  return { row: integerOf(row, 'id'), fact: { ...storedFact.parse(JSON.parse(body)), id, ...version } };
}

/** The versions of a fact that are remembered, the earliest first. */
export function versionsOf(reader: Reader, id: string): readonly FactRow[] {
  return reader
    .all('SELECT * FROM facts WHERE fact_id = ? AND forgotten_at_ms IS NULL ORDER BY at_ms, dot, id LIMIT 64', id)
    .map(factRowOf);
}

/** How many facts are remembered: of everybody, and of one author. */
export function factCounts(reader: Reader, author: string): { readonly total: number; readonly own: number } {
  const sum = reader.get('SELECT coalesce(sum(facts), 0) AS facts FROM fact_counts');
  const own = reader.get('SELECT facts FROM fact_counts WHERE author = ?', author);
  return { total: sum ? integerOf(sum, 'facts') : 0, own: own ? integerOf(own, 'facts') : 0 };
}

function count(writer: Writer, author: string, change: 1 | -1): void {
  writer.run('INSERT INTO fact_counts VALUES (?1, ?2) ON CONFLICT DO UPDATE SET facts = facts + ?2', author, change);
  if (change < 0) writer.run('DELETE FROM fact_counts WHERE author = ? AND facts <= 0', author);
}
