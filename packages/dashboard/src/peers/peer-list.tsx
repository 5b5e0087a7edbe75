import type { PeerStatus } from '@skein/gateway';
import { EmptyNote } from '../ui/empty-note.tsx';
import { useNow } from '../ui/use-now.ts';
import { PeerCard } from './peer-card.tsx';
import styles from './peer-list.module.css';

const ORDER: Readonly<Record<PeerStatus['state'], number>> = { connected: 0, connecting: 1, disconnected: 2 };

/** The peers this node knows, those within reach first. */
export function PeerList({ peers }: { readonly peers: readonly PeerStatus[] }) {
  const now = useNow(5_000);
  if (peers.length === 0) {
    return (
      <EmptyNote title="No peers yet">
        Run <code>skein invite</code> on this machine and <code>skein join</code> with its code on another.
      </EmptyNote>
    );
  }
  const sorted = peers.toSorted((one, other) => ORDER[one.state] - ORDER[other.state] || one.name.localeCompare(other.name));
  return (
    <ul aria-label="Peers" className={styles.list}>
      {sorted.map((peer) => (
        <PeerCard key={peer.id} now={now} peer={peer} />
      ))}
    </ul>
  );
}
