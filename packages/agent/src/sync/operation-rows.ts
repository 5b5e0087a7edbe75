import { integerOf, type Reader, type Row, textOf, type Writer } from '@skein/engine';
import {
  type ChainHead,
  HYBRID_TIME_ZERO,
  type HybridTime,
  OPERATION_HEAD_BYTES,
  type OperationLogName,
  type PeerId,
  parseHybridTime,
  parsePeerId,
  SkeinError,
} from '@skein/protocol';

const ROWS_AT_ONCE = 16;

/** A chain as it is kept. */
export interface ChainRow {
  readonly id: number;
  readonly author: PeerId;
  readonly replica: string;
  readonly seq: number;
  readonly digest: Buffer;
  readonly time: HybridTime;
  readonly bytes: number;
}

export interface OperationRow {
  readonly seq: number;
  readonly head: Buffer;
  readonly body: string | undefined;
  readonly erased: boolean;
}

export function findChain(reader: Reader, log: OperationLogName, author: PeerId, replica: string): ChainRow | undefined {
  const row = reader.get('SELECT * FROM operation_chains WHERE log = ? AND author = ? AND replica = ?', log, author, replica);
  return row === undefined ? undefined : chainOf(row);
}

export function allChains(reader: Reader, log: OperationLogName): readonly ChainRow[] {
  return reader.all('SELECT * FROM operation_chains WHERE log = ? ORDER BY id', log).map(chainOf);
}

export function chainHeadOf(chain: ChainRow): ChainHead {
  return { author: chain.author, replica: chain.replica, seq: chain.seq, digest: chain.digest.toString('base64') };
}

export function findOperation(reader: Reader, chain: number, seq: number): OperationRow | undefined {
  const row = reader.get('SELECT seq, head, body, erased FROM operations WHERE chain = ? AND seq = ?', chain, seq);
  return row === undefined ? undefined : operationOf(row);
}

/** Operations of a chain in order, read a few at a time: their bodies may be large. */
export function* operationsOf(
  reader: Reader,
  chain: number,
  range: { readonly from: number; readonly to: number },
): Generator<OperationRow, void> {
  let { from } = range;
  while (from <= range.to) {
    const rows = reader.all(
      'SELECT seq, head, body, erased FROM operations WHERE chain = ? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT ?',
      chain,
      from,
      range.to,
      ROWS_AT_ONCE,
    );
    for (const row of rows) {
      const operation = operationOf(row);
      from = operation.seq + 1;
      yield operation;
    }
    if (rows.length < ROWS_AT_ONCE) return;
  }
}

/** A log's own chain and the latest time it has seen. */
export interface ClockRow {
  readonly replica: string | undefined;
  readonly time: HybridTime;
}

export function readClock(reader: Reader, log: OperationLogName): ClockRow {
  const row = reader.get('SELECT replica, time FROM operation_logs WHERE log = ?', log);
  if (row === undefined) return { replica: undefined, time: HYBRID_TIME_ZERO };
  return { replica: textOf(row, 'replica'), time: parseHybridTime(textOf(row, 'time')) };
}

export function writeClock(writer: Writer, log: OperationLogName, replica: string, time: HybridTime): void {
  writer.run(
    'INSERT INTO operation_logs (log, replica, time) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET replica = ?2, time = ?3',
    log,
    replica,
    time,
  );
}

export function isQuarantined(reader: Reader, log: OperationLogName, author: PeerId): boolean {
  return reader.get('SELECT 1 FROM operation_quarantine WHERE log = ? AND author = ?', log, author) !== undefined;
}

/** Appends an operation to its chain, which it may begin. */
export function insertOperation(
  writer: Writer,
  log: OperationLogName,
  operation: {
    readonly author: PeerId;
    readonly replica: string;
    readonly seq: number;
    readonly time: HybridTime;
    readonly digest: Buffer;
    readonly bytes: Buffer;
  },
  content: { readonly body: string | undefined; readonly erased?: boolean },
): void {
  const { body, erased = false } = content;
  const { author, replica, seq, digest, time, bytes } = operation;
  writer.run(
    `INSERT INTO operation_chains (log, author, replica, seq, digest, time, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
     ON CONFLICT DO UPDATE SET seq = ?4, digest = ?5, time = ?6, bytes = bytes + ?7`,
    log,
    author,
    replica,
    seq,
    digest,
    time,
    operationBytes(body),
  );
  const chain = findChain(writer, log, author, replica);
  if (chain === undefined) throw new SkeinError('A chain is gone in the transaction that wrote it', { code: 'internal' });
  writer.run(
    'INSERT INTO operations (chain, seq, head, body, erased) VALUES (?, ?, ?, ?, ?)',
    chain.id,
    seq,
    bytes,
    body ?? null,
    erased ? 1 : 0,
  );
}

/** Puts in a body that was missing, or notes that it was erased meanwhile. */
export function fillBody(
  writer: Writer,
  place: { readonly chain: number; readonly seq: number; readonly body: string | undefined; readonly erased?: boolean },
): void {
  const { chain, seq, body, erased = false } = place;
  writer.run(
    'UPDATE operations SET body = ?, erased = ? WHERE chain = ? AND seq = ?',
    body ?? null,
    erased ? 1 : 0,
    chain,
    seq,
  );
  if (body !== undefined)
    writer.run('UPDATE operation_chains SET bytes = bytes + ? WHERE id = ?', Buffer.byteLength(body), chain);
}

/** Takes a body out for ever; its head stays. */
export function eraseBody(writer: Writer, chain: number, seq: number): void {
  const row = findOperation(writer, chain, seq);
  if (row === undefined || row.erased) return;
  writer.run('UPDATE operations SET body = NULL, erased = 1 WHERE chain = ? AND seq = ?', chain, seq);
  if (row.body === undefined) return;
  writer.run('UPDATE operation_chains SET bytes = bytes - ? WHERE id = ?', Buffer.byteLength(row.body), chain);
}

/** What an operation counts for in the bounds. */
export function operationBytes(body: string | undefined): number {
  return OPERATION_HEAD_BYTES + (body === undefined ? 0 : Buffer.byteLength(body));
}

/** A column of bytes. @throws SkeinError `corrupt`. */
function bytesOf(row: Row, column: string): Buffer {
  const value = row[column];
  if (!(value instanceof Uint8Array)) {
    throw new SkeinError(`The database holds ${typeof value} where bytes belong (column ${column}): it is damaged`, {
      code: 'corrupt',
    });
  }
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

function chainOf(row: Row): ChainRow {
  return {
    id: integerOf(row, 'id'),
    author: parsePeerId(textOf(row, 'author')),
    replica: textOf(row, 'replica'),
    seq: integerOf(row, 'seq'),
    digest: bytesOf(row, 'digest'),
    time: parseHybridTime(textOf(row, 'time')),
    bytes: integerOf(row, 'bytes'),
  };
}

function operationOf(row: Row): OperationRow {
  return {
    seq: integerOf(row, 'seq'),
    head: bytesOf(row, 'head'),
    body: row.body === null ? undefined : textOf(row, 'body'),
    erased: integerOf(row, 'erased') !== 0,
  };
}
