import type { PeerId } from '@skein/protocol';
import type { TrustRecord } from './trust-record.ts';

/** Characters of a name, as `parseName` has it. */
const NAME_CHARS_MAX = 64;
/** Characters of an id in front of a name that is another's, at least. */
const ID_CHARS_MIN = 4;

/**
 * These records with names of which no two keys have the same, nor one this node's own. Of several keys that the file gives
 * one name, the key whose line comes first has it, or the one that took that key's place; the others have the beginning of
 * their ids in front of it. Not behind: "alpha" is short for "alpha-b3xk", and must not be when alpha is away.
 */
export function distinctNames(records: readonly TrustRecord[], ownName?: string): readonly TrustRecord[] {
  const taken = new Set(ownName === undefined ? [] : [folded(ownName)]);
  const names = new Map<PeerId, string>();
  const take = (id: PeerId, name: string) => {
    taken.add(folded(name));
    names.set(id, name);
  };
  const known = new Map(records.map((record) => [record.identity.id, record]));
  for (const record of records) {
    const live = liveKeyOf(record, known);
    if (live === undefined || names.has(live.identity.id)) continue;
    const isFree = live.name === record.name && !taken.has(folded(live.name));
    if (isFree) take(live.identity.id, live.name);
  }
  for (const { identity, name, revoked } of records) {
    if (!revoked && !names.has(identity.id)) take(identity.id, freeName(name, identity.id, taken));
  }
  return records.map((record) => {
    const { identity, name } = record;
    const live = liveKeyOf(record, known);
    // One that was followed is the same node; any other that is revoked is not mistaken for one that is trusted now.
    const own = names.get(live?.identity.id ?? identity.id) ?? freeName(name, identity.id, taken);
    return own === name ? record : { ...record, name: own };
  });
}

/** These records as they are to be written, none of them with a name that another key or this node has. */
export function withFreeNames(
  made: readonly TrustRecord[],
  { known, ownName }: { readonly known: readonly TrustRecord[]; readonly ownName: string | undefined },
): readonly TrustRecord[] {
  const changed = new Set(made.map(({ identity }) => identity.id));
  const others = known.filter(({ identity, revoked }) => !revoked && !changed.has(identity.id)).map(({ name }) => name);
  const taken = new Set([...(ownName === undefined ? [] : [ownName]), ...others].map(folded));
  return made.map((record) => {
    if (record.revoked) return record;
    const name = freeName(record.name, record.identity.id, taken);
    taken.add(folded(name));
    return name === record.name ? record : { ...record, name };
  });
}

/** The name, or where that is taken, the name with as much of the id in front of it as nobody else has. */
function freeName(name: string, id: PeerId, taken: ReadonlySet<string>): string {
  let free = name;
  for (let length = ID_CHARS_MIN; taken.has(folded(free)) && length <= id.length; length += 1) {
    free = `${id.slice(0, length)}-${name}`.slice(0, NAME_CHARS_MAX);
  }
  return free;
}

/** People say "Alpha" and mean "alpha". */
function folded(name: string): string {
  return name.toLowerCase();
}

/** The record of the key that a line speaks of today: its own, or that of the last one that took its place. */
function liveKeyOf(record: TrustRecord, known: ReadonlyMap<PeerId, TrustRecord>): TrustRecord | undefined {
  let at: TrustRecord | undefined = record;
  // At most once for each record: a file may lead in a circle.
  for (let left = known.size; left > 0 && at?.revoked === true; left -= 1) {
    at = at.successor === undefined ? undefined : known.get(at.successor);
  }
  return at?.revoked === false ? at : undefined;
}
