import type { Writer } from '@skein/engine';
import { hybridMs, jsonWithin, type MemoryChange, memoryChange } from '@skein/protocol';
import type { OperationLog } from '../sync/operation-log.ts';
import type { OperationStamp, OperationView } from '../sync/operation-view.ts';
import { type Fact, OWN_AUTHOR } from './fact.ts';
import { buryFact, factRowOf, insertFact } from './fact-rows.ts';

const BODY_DEPTH = 8;
const BODY_VALUES = 1_000;

/** What an operation on the memory says; undefined for one that this build makes no sense of. */
export function parseMemoryChange(body: string): MemoryChange | undefined {
  if (!jsonWithin(body, BODY_DEPTH, BODY_VALUES)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    // Its author's own fault, and signed as it is: kept, and without effect.
    return undefined;
  }
  return memoryChange.safeParse(value).data;
}

/** The fact that an operation wrote, as this node sees it: nobody else's word makes one trusted. */
export function factOfChange(stamp: OperationStamp, change: MemoryChange & { type: 'fact' }): Fact {
  const { fact: id, text, tags, by, source, trusted } = change;
  const said = by === undefined || stamp.isOwn ? source : `${source} (from ${by})`;
  return {
    id,
    version: stamp.dot,
    text,
    tags,
    author: stamp.isOwn ? (by ?? OWN_AUTHOR) : stamp.author,
    source: said.slice(0, 200),
    trusted: stamp.isOwn && trusted,
    atMs: hybridMs(stamp.time),
  };
}

/**
 * Facts as the sum of the memory's operations: an observed-remove set of versions. An operation adds one version, or
 * removes those that its author had seen; what was written meanwhile elsewhere stays.
 */
export class MemoryView implements OperationView {
  readonly #log: OperationLog;
  readonly #assertRoom: (writer: Writer, author: string) => void;

  /** `assertRoom` throws `busy` when there is no room for one more fact by this author. */
  constructor(parts: { readonly log: OperationLog; readonly assertRoom: (writer: Writer, author: string) => void }) {
    this.#log = parts.log;
    this.#assertRoom = parts.assertRoom;
  }

  apply(writer: Writer, stamp: OperationStamp, body: string): 'kept' | 'erased' {
    const change = parseMemoryChange(body);
    if (change === undefined) return 'kept';
    if (change.type === 'forget') {
      this.remove(writer, change.removes, hybridMs(stamp.time));
      return 'kept';
    }
    const isGone = writer.get('SELECT 1 FROM fact_removals WHERE dot = ?', stamp.dot) !== undefined;
    const fact = factOfChange(stamp, change);
    if (isGone) return 'erased';
    this.#assertRoom(writer, fact.author);
    insertFact(writer, fact);
    return 'kept';
  }

  /** Takes versions away for ever, here or still to come, and their text out of the log. */
  remove(writer: Writer, dots: readonly string[], atMs: number): void {
    for (const dot of dots) {
      writer.run('INSERT OR IGNORE INTO fact_removals VALUES (?)', dot);
      const row = writer.get('SELECT * FROM facts WHERE dot = ? AND forgotten_at_ms IS NULL', dot);
      if (row !== undefined) buryFact(writer, factRowOf(row), atMs);
      this.#log.erase(writer, dot);
    }
  }
}
