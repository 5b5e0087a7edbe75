import type { Encryption } from './message-writer.ts';
import type { PeerLink } from './peer-link.ts';

/** What VoleNet's protocol does not give a connection, in sentences for people. */
export function notProtected(parts: {
  readonly link: Pick<PeerLink, 'canOpenBoxes' | 'isOurs' | 'transport' | 'announced'>;
  readonly encryption: Encryption;
  /** Whether its messages must bear an ML-DSA signature. */
  readonly isHybrid: boolean;
}): readonly string[] {
  const { link, encryption, isHybrid } = parts;
  const isSealed = link.canOpenBoxes && encryption !== 'off';
  return [
    isSealed
      ? 'No forward secrecy: whoever gets a node’s keys later can open what was recorded'
      : `Nothing is encrypted but by TLS: ${link.canOpenBoxes ? 'sealing is off here' : 'the peer announced no keys to seal to'}`,
    ...(isSealed && encryption === 'prefer' ? ['What the peer sends is sealed only if it chooses to'] : []),
    'A connection is bound to the peer by signed messages, not by a handshake: somebody in between can pass them on, hold them back, or cut them off',
    'No order and no receipt: a message may be lost or overtaken without a word',
    'A call cannot be cancelled at the peer, and its partial output is not seen',
    'What is addressed to everybody (memory writes, sessions, heartbeats) can be passed on by any holder for a minute',
    ...(link.isOurs
      ? []
      : ['The peer does not check that a message is addressed to it, and forgets what it has seen when it restarts']),
    ...(isHybrid ? [] : ['No signature that withstands quantum computers: the peer announced no ML-DSA key']),
    ...(link.transport === 'http' ? ['No WebSocket could be had: messages go by HTTP, one by one'] : []),
  ];
}
