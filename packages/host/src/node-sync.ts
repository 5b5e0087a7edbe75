import type { AuditLog, Mesh, Peer, Router } from '@skein/mesh';
import { systemClock } from '@skein/mesh';
import type { Grant, PeerId } from '@skein/protocol';
import type { NodeConfig } from './config/load-config.ts';
import type { HostEvent } from './events.ts';
import type { SyncEvent } from './features/log-exchange.ts';
import type { LogSync } from './features/log-sync.ts';
import { MemorySync } from './features/memory-sync.ts';
import { createSessionSync } from './features/session-sync.ts';
import type { NodeFiles } from './node-files.ts';
import { Sparingly } from './sparingly.ts';

const REFUSALS_PER_MINUTE = 60;
/** Conversations that go on elsewhere are told of no more often. */
const TELL_SESSIONS_MS = 250;

export interface NodeSyncParts {
  readonly files: NodeFiles;
  readonly mesh: Mesh;
  readonly router: Router;
  /** The `net` section as it is now: it may be reloaded. */
  readonly net: () => NodeConfig['net'];
  readonly isAllowed: (peer: PeerId, grant: Grant) => boolean;
  readonly audit: AuditLog;
  readonly nameOf: (id: PeerId) => string;
  readonly onEvent: (event: HostEvent) => void;
}

/** The memory and the conversations, the same on all nodes that share them. */
export class NodeSync {
  readonly #parts: NodeSyncParts;
  readonly #memory: MemorySync;
  readonly #sessions: LogSync;
  #releaseTell: (() => void) | undefined;
  readonly #refusals = new Sparingly({ maxPerMinute: REFUSALS_PER_MINUTE, monotonicMs: systemClock.monotonicMs });

  constructor(parts: NodeSyncParts) {
    this.#parts = parts;
    const { files, mesh, router, net, isAllowed } = parts;
    const shared = { router, mesh, clock: systemClock, onEvent: (event: SyncEvent) => this.#event(event) };
    this.#memory = new MemorySync({
      ...shared,
      memory: files.memory,
      log: files.memoryLog,
      isShared: () => net().share.memory,
      mayRead: (peer) => isAllowed(peer, 'memory-read'),
      mayWrite: (author) => isAllowed(author, 'memory-write'),
    });
    this.#sessions = createSessionSync({
      ...shared,
      log: files.sessionLog,
      isShared: () => net().share.session,
      mayRead: (peer) => isAllowed(peer, 'sessions'),
      mayWrite: (author) => isAllowed(author, 'sessions'),
      onGrown: () => this.#tellSessions(),
    });
  }

  /** Looks in the memories of connected peers. */
  search: MemorySync['search'] = (query, options) => this.#memory.search(query, options);

  joined(peer: Peer): void {
    this.#memory.joined(peer);
    this.#sessions.joined(peer);
  }

  left(id: PeerId): void {
    this.#memory.left(id);
    this.#sessions.left(id);
  }

  /** Trust or configuration has changed. */
  changed(): void {
    this.#memory.changed();
    this.#sessions.changed();
  }

  close(): void {
    this.#releaseTell?.();
    this.#memory.close();
    this.#sessions.close();
  }

  #tellSessions(): void {
    this.#releaseTell ??= systemClock.after(TELL_SESSIONS_MS, () => {
      this.#releaseTell = undefined;
      this.#parts.onEvent({ type: 'sessions-changed' });
    });
  }

  #event(event: SyncEvent): void {
    const { audit, nameOf, onEvent } = this.#parts;
    const left = this.#refusals.admit();
    if (left === undefined) return;
    const peer = event.type === 'sync-forged' ? event.peer : event.author;
    const reason = `${event.log}: ${event.reason}`;
    audit.append({ event: event.type, peer, name: nameOf(peer), reason, ...(left === 0 ? {} : { count: left }) });
    if (event.type !== 'sync-refused') onEvent({ type: 'peer-problem', id: peer, name: nameOf(peer), problem: reason });
  }
}
