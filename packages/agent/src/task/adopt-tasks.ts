import type { Database } from '@skein/engine';
import type { PeerId } from '@skein/protocol';
import { isFinal } from './task.ts';
import { findRow, parseTaskRow, readdressRow } from './task-rows.ts';

/**
 * A node has another key: its tasks, and those it handed over, are from now on of that one. How many there were. With a
 * journal that is open, `endedOnly`: what waits or runs is known there by the former key.
 * @throws SkeinError `corrupt`, and what `Database.write` raises.
 */
export async function adoptTasks(
  database: Database,
  { from, to, endedOnly = false }: { readonly from: readonly PeerId[]; readonly to: PeerId; readonly endedOnly?: boolean },
): Promise<number> {
  const former: ReadonlySet<string> = new Set(from);
  const find = 'SELECT * FROM tasks WHERE origin = ?1 UNION SELECT * FROM tasks WHERE sender = ?1';
  if (from.every((id) => database.get(find, id) === undefined)) return 0;
  const renamed = (id: PeerId) => (former.has(id) ? to : id);
  return database.write((writer) => {
    const rows = from.flatMap((id) => writer.all(find, id)).map(parseTaskRow);
    let adopted = 0;
    for (const row of rows) {
      if (endedOnly && !isFinal(row.state)) continue;
      const origin = renamed(row.origin);
      // One that was asked for anew by the new key stays as it is, and so does the old one.
      if (origin !== row.origin && findRow(writer, { origin, id: row.id }) !== undefined) continue;
      readdressRow(writer, row, { origin, sender: renamed(row.sender), path: row.path.map(renamed) });
      adopted += 1;
    }
    return adopted;
  });
}
