import { type PeerId, SkeinError } from '@skein/protocol';
import { formatTrustLine, parseTrustLine, type TrustRecord } from './trust-record.ts';

/** Bytes of a trust file. */
export const TRUST_FILE_BYTES_MAX = 4 * 1024 * 1024;

/** A trust file in memory: its lines as they stand, those with keys also read. */
export interface TrustFile {
  readonly lines: readonly TrustFileLine[];
}

interface TrustFileLine {
  readonly text: string;
  readonly record: TrustRecord | undefined;
}

/**
 * Reads a whole trust file.
 * @throws SkeinError `corrupt` naming the line that is wrong; then nothing of the file counts.
 */
export function parseTrustFile(text: string): TrustFile {
  const lineOf = new Map<PeerId, number>();
  const rows = text.split('\n');
  if (rows.at(-1) === '') rows.pop();
  const lines = rows.map((row, index): TrustFileLine => {
    const trimmed = row.trim();
    if (trimmed === '' || trimmed.startsWith('#')) return { text: row, record: undefined };
    const record = parseNumbered(trimmed, index + 1);
    const earlier = lineOf.get(record.identity.id);
    if (earlier !== undefined) {
      throw new SkeinError(`Line ${index + 1}: the key of "${record.name}" stands on line ${earlier} already; keep one`, {
        code: 'corrupt',
      });
    }
    lineOf.set(record.identity.id, index + 1);
    return { text: row, record };
  });
  return { lines };
}

/** The file as text: every line that was not touched is as it was. */
export function formatTrustFile(file: TrustFile): string {
  return file.lines.map(({ text }) => `${text}\n`).join('');
}

/** The records, in the order of the file. */
export function recordsOf(file: TrustFile): TrustRecord[] {
  return file.lines.flatMap(({ record }) => (record === undefined ? [] : [record]));
}

/** The file with each of these records as `withRecord` puts it. */
export function withRecords(file: TrustFile, records: readonly TrustRecord[]): TrustFile {
  return records.reduce(withRecord, file);
}

/** The file with this record in the place of the one with the same key, or at the end. */
function withRecord(file: TrustFile, record: TrustRecord): TrustFile {
  const line = { text: formatTrustLine(record), record };
  const at = file.lines.findIndex((known) => known.record?.identity.id === record.identity.id);
  return { lines: at < 0 ? [...file.lines, line] : file.lines.with(at, line) };
}

function parseNumbered(row: string, number: number): TrustRecord {
  try {
    return parseTrustLine(row);
  } catch (cause) {
    throw new SkeinError(`Line ${number}: ${SkeinError.from(cause).message}`, { code: 'corrupt', cause });
  }
}
