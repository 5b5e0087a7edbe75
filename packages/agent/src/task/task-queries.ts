import { integerOf, type Reader, textOf } from '@skein/engine';
import { type PeerId, parsePeerId, type TaskState } from '@skein/protocol';
import { ENDED, OPEN } from './task-counts.ts';
import { parseTaskRow, type TaskRow } from './task-rows.ts';

/** Which tasks are asked for. */
export interface TaskFilter {
  readonly state?: TaskState;
  readonly origin?: PeerId;
  /** Who handed it over. */
  readonly sender?: PeerId;
  readonly session?: string;
  /** May be the beginning of one, whatever its origin. */
  readonly id?: string;
  readonly limit?: number;
}

/** Tasks, the latest accepted first. @throws SkeinError `corrupt`. */
export function findRows(reader: Reader, filter: TaskFilter): readonly TaskRow[] {
  const { state = null, origin = null, sender = null, session = null, id = null, limit = 100 } = filter;
  return reader
    .all(
      `SELECT * FROM tasks WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR origin = ?2)
       AND (?3 IS NULL OR session = ?3) AND (?4 IS NULL OR substr(id, 1, length(?4)) = ?4)
       AND (?5 IS NULL OR sender = ?5) ORDER BY num DESC LIMIT ?6`,
      state,
      origin,
      session,
      id,
      sender,
      limit,
    )
    .map(parseTaskRow);
}

/** The latest task of this id that a node handed over, whatever it said of its origin. @throws SkeinError `corrupt`. */
export function findHandedOver(reader: Reader, sender: PeerId, id: string): TaskRow | undefined {
  const row = reader.get('SELECT * FROM tasks WHERE sender = ? AND id = ? ORDER BY num DESC LIMIT 1', sender, id);
  return row === undefined ? undefined : parseTaskRow(row);
}

/** Every task that has not ended, the oldest first. @throws SkeinError `corrupt`. */
export function findOpen(reader: Reader): readonly TaskRow[] {
  return reader.all(`SELECT * FROM tasks WHERE ${OPEN} ORDER BY num`).map(parseTaskRow);
}

/** The open tasks of an origin in one of its conversations, the oldest first. @throws SkeinError `corrupt`. */
export function findOpenIn(
  reader: Reader,
  session: string,
  { origin, limit }: { readonly origin: PeerId; readonly limit: number },
): readonly TaskRow[] {
  return reader
    .all(`SELECT * FROM tasks WHERE ${OPEN} AND session = ? AND origin = ? ORDER BY num LIMIT ?`, session, origin, limit)
    .map(parseTaskRow);
}

/** Tokens used since a time for tasks that each node handed over. */
export function sumTokens(reader: Reader, sinceMs: number): ReadonlyMap<PeerId, number> {
  const rows = reader.all(
    `SELECT sender, sum(used) AS used FROM (
       SELECT sender, tokens AS used FROM tasks WHERE updated_at_ms >= ?1 AND owner = 'me' AND ${ENDED} UNION ALL
       SELECT sender, task_steps.tokens FROM tasks JOIN task_steps ON task = num WHERE at_ms >= ?1 AND ${OPEN}
     ) GROUP BY sender`,
    sinceMs,
  );
  return new Map(rows.map((row) => [parsePeerId(textOf(row, 'sender')), integerOf(row, 'used')]));
}
