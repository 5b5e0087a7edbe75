import type { PeerStatus } from '@skein/gateway';
import { formatAgo, formatLatency } from '../ui/words.ts';
import styles from './peer-card.module.css';

const TRUST: Readonly<Record<PeerStatus['trust'], string>> = {
  full: 'full trust',
  tool: 'may use tools',
  read: 'may read',
};

/** A peer: whether it is within reach, how far away, and what it may do here. */
export function PeerCard({ peer, now }: { readonly peer: PeerStatus; readonly now: number }) {
  const isConnected = peer.state === 'connected';
  return (
    <li className={styles.card} data-state={peer.state}>
      <div className={styles.head}>
        <span aria-hidden="true" className={styles.dot} />
        <h3 className={styles.name}>{peer.name}</h3>
        <span className={styles.state}>
          {isConnected && peer.latencyMs !== null ? (
            <>
              <span className="visually-hidden">connected, </span>
              {formatLatency(peer.latencyMs)}
            </>
          ) : (
            peer.state
          )}
        </span>
      </div>
      <p className={styles.facts}>
        <span>{TRUST[peer.trust]}</span>
        <span>{peer.tools.length === 1 ? '1 tool' : `${peer.tools.length} tools`}</span>
        {!isConnected && <span>{peer.lastSeenAtMs === null ? 'never seen' : `seen ${formatAgo(peer.lastSeenAtMs, now)}`}</span>}
      </p>
      <p className={styles.address} title={peer.id}>
        {peer.address ?? 'no address: it connects to us'}
      </p>
      {peer.problem !== null && <p className={styles.problem}>{peer.problem}</p>}
    </li>
  );
}
