import type { AuthorLabel } from '@skein/agent';
import type { TrustRecord, TrustStore } from '@skein/mesh';

const SHORT_CHARACTERS = 8;

/**
 * What people call a peer, by its id: its name here, with the beginning of its id where others have that name too, or that
 * alone when it is not known.
 */
export function peerLabel(records: readonly Pick<TrustRecord, 'identity' | 'name'>[], id: string): string {
  const short = id.slice(0, SHORT_CHARACTERS);
  const name = records.find(({ identity }) => identity.id === id)?.name;
  if (name === undefined) return short;
  return records.filter((record) => record.name === name).length > 1 ? `${name} (${short})` : name;
}

/** What is known of the authors of facts. */
export function authorLabel(trust: Pick<TrustStore, 'list'>): (id: string) => AuthorLabel | undefined {
  return (id) => {
    const records = trust.list();
    const record = records.find(({ identity }) => identity.id === id);
    return record === undefined ? undefined : { name: peerLabel(records, id), revoked: record.revoked };
  };
}
