import { randomUUID } from 'node:crypto';
import { type Mesh, type Router, systemClock } from '@skein/mesh';
import type { Logger } from 'pino';
import type { NodeConfig } from '../../config/load-config.ts';
import type { HostEvent } from '../../events.ts';
import type { NodeFiles } from '../../node-files.ts';
import type { TalkingVole } from './chat-outbox.ts';
import { ChatStore } from './chat-store.ts';
import { PeerChat } from './peer-chat.ts';

export interface OpenPeerChatParts {
  readonly config: Pick<NodeConfig, 'name' | 'net'>;
  readonly files: Pick<NodeFiles, 'database' | 'trust' | 'audit'>;
  readonly network: { readonly router: Router; readonly mesh: Mesh };
  readonly volePeers: () => readonly TalkingVole[];
  readonly log: Logger;
  readonly onEvent: (event: HostEvent) => void;
}

/** The messages between this node's people and those of its peers. Who opens it starts and disposes it. */
export function openPeerChat({ config, files, network, volePeers, log, onEvent }: OpenPeerChatParts): PeerChat {
  const { database, trust, audit } = files;
  return new PeerChat({
    name: config.name,
    store: new ChatStore({ database, now: systemClock.now, retention: config.net.chatRetention }),
    router: network.router,
    mesh: network.mesh,
    volePeers,
    trust,
    audit,
    clock: systemClock,
    randomId: randomUUID,
    onEvent,
    onError: (error) => log.error({ error: error.message, cause: error.cause }, 'messages are not looked after'),
  });
}
