import { type ElectionRecord, readOwnFile } from '@skein/mesh';
import { leaderTerm, parsePeerId, SkeinError } from '@skein/protocol';
import { z } from 'zod';

const FILE_BYTES_MAX = 4_096;

const record = z.strictObject({ term: leaderTerm, votedFor: z.string().nullable() });

/**
 * What a node promised before, undefined for one that never took part.
 * @throws SkeinError `corrupt`: a node that forgot its vote could give it twice; `denied` when others may write the file.
 */
export function readElectionRecord(path: string): ElectionRecord | undefined {
  const text = readOwnFile(path, { maxBytes: FILE_BYTES_MAX, secret: false });
  if (text === undefined) return undefined;
  try {
    const { term, votedFor } = record.parse(JSON.parse(text));
    return { term, votedFor: votedFor === null ? null : parsePeerId(votedFor) };
  } catch (cause) {
    throw new SkeinError(
      `${path} is damaged, and says in which elections this node has voted. Restore it, or remove it while all other voters run`,
      { code: 'corrupt', cause },
    );
  }
}
