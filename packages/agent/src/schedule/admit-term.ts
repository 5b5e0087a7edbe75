import { integerOf, type Writer } from '@skein/engine';
import { SkeinError } from '@skein/protocol';

/**
 * Lets an effect of a leader through, in the transaction that has the effect: only of a term that is not below the highest
 * let through before, whatever the leader itself believes. `scope` names what the leadership is over.
 * @throws SkeinError `conflict` for a leader that has been superseded; the transaction then changes nothing.
 */
export function admitTerm(writer: Writer, scope: string, term: number): void {
  const row = writer.get('SELECT term FROM fences WHERE scope = ?', scope);
  const highest = row === undefined ? -1 : integerOf(row, 'term');
  if (term < highest) {
    throw new SkeinError(`The leader of term ${term} comes too late: term ${highest} has begun`, { code: 'conflict' });
  }
  if (term > highest) {
    writer.run('INSERT INTO fences VALUES (?1, ?2) ON CONFLICT DO UPDATE SET term = ?2', scope, term);
  }
}
