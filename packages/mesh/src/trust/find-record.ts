import { nearestNames, type PeerId, parseKeyLine, publicIdentity, SkeinError, shortPeerId } from '@skein/protocol';
import { TRUST_DEFAULTS, type TrustRecord } from './trust-record.ts';

/**
 * The record of a key given as its line, its id, the first 8 or more characters of the id, or its name, be that what it is
 * called here (`known`) or what the file says (`written`, in the same order). One for a key line that has none.
 * @throws SkeinError `not-found` with the nearest name, `conflict` when it fits several.
 */
export function findRecord(
  who: string,
  {
    known,
    written,
    path,
  }: { readonly known: readonly TrustRecord[]; readonly written: readonly TrustRecord[]; readonly path: string },
): TrustRecord {
  if (/\s/.test(who)) {
    const { identity, name } = parseKeyLine(who);
    const kind = who.startsWith('vole-') ? 'vole' : 'skein';
    const listed = known.find((record) => record.identity.id === identity.id);
    return listed ?? { identity, name, kind, voleExtra: undefined, ...TRUST_DEFAULTS };
  }
  const byKey = keyId(who);
  const fitting = known.filter(
    ({ identity, name, successor }, index) =>
      identity.id === byKey ||
      // The name went on to the key that took the place of this one.
      ((name === who || written[index]?.name === who) && successor === undefined) ||
      (who.length >= 8 && identity.id.startsWith(who)),
  );
  const [record, second] = fitting;
  if (record === undefined) {
    const [near] = nearestNames(
      who,
      known.filter(({ successor }) => successor === undefined).map(({ name }) => name),
    );
    const hint = near === undefined ? '' : `; the nearest name is "${near}"`;
    throw new SkeinError(`No key in ${path} is named "${who.slice(0, 60)}" or has that id${hint}`, {
      code: 'not-found',
    });
  }
  if (second !== undefined) {
    const ids = fitting.map(({ identity }) => shortPeerId(identity.id)).join(', ');
    throw new SkeinError(`"${who}" fits ${fitting.length} keys: ${ids}. Name one by its id`, { code: 'conflict' });
  }
  return record;
}

/** The id of a bare base64 key. */
function keyId(text: string): PeerId | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === 32 && bytes.toString('base64') === text ? publicIdentity(bytes).id : undefined;
}
