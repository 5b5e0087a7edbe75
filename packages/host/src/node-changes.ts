import type { ToolSet } from '@skein/agent';
import { type MeshEvent, systemClock, type TrustChange } from '@skein/mesh';
import { type PeerId, parsePeerId } from '@skein/protocol';
import { type HostEvent, problemEvent } from './events.ts';
import { agentOptionsOf } from './node-agent.ts';
import type { RunningNode } from './running-node.ts';
import { Sparingly } from './sparingly.ts';

/** Refused strangers that are told and recorded: anybody can come and be refused, and the disk is not theirs to fill. */
const STRANGERS_TOLD_PER_MINUTE = 120;

export interface NodeChangesParts {
  readonly node: RunningNode;
  readonly tools: ToolSet;
  readonly onEvent: (event: HostEvent) => void;
  /** A key is trusted, anew or otherwise than before: why it was sent away counts no more. */
  readonly onTrusted: (id: PeerId) => void;
}

/** What follows when a peer comes or goes, and when trust or configuration changes: who is told, and in which order. */
export class NodeChanges {
  readonly #node: RunningNode;
  readonly #tools: ToolSet;
  readonly #onEvent: (event: HostEvent) => void;
  readonly #onTrusted: (id: PeerId) => void;
  /** Whose other name was told: no more than there are lines in the trust file. */
  readonly #told = new Set<PeerId>();
  readonly #strangers = new Sparingly({
    maxPerMinute: STRANGERS_TOLD_PER_MINUTE,
    monotonicMs: systemClock.monotonicMs,
  });

  constructor(parts: NodeChangesParts) {
    this.#node = parts.node;
    this.#tools = parts.tools;
    this.#onEvent = parts.onEvent;
    this.#onTrusted = parts.onTrusted;
    this.#node.authority.onPinned = () => this.#grantsChanged();
  }

  meshEvent(event: MeshEvent): void {
    const { remote, presence, tasks, duties, sync, chat, vole, trusting, audit, trust, authority } = this.#node;
    switch (event.type) {
      case 'peer-joined':
        audit.append({ event: 'peer-joined', peer: event.peer.id, name: event.peer.name });
        this.#onEvent({ type: 'peer-joined', id: event.peer.id, name: event.peer.name });
        presence.joined(event.peer);
        duties.joined(event.peer);
        sync.joined(event.peer);
        remote.joined(event.peer);
        tasks.joined(event.peer.id);
        trusting.joined(event.peer);
        chat.joined(event.peer.id);
        break;
      case 'peer-left':
        audit.append({ event: 'peer-left', peer: event.peer.id, name: event.peer.name, reason: event.reason });
        remote.left(event.peer.id);
        vole?.sessionLeft(event.peer.id);
        presence.left(event.peer.id);
        duties.left(event.peer.id);
        sync.left(event.peer.id);
        tasks.left(event.peer.id);
        trusting.left(event.peer.id);
        this.#onEvent({ type: 'peer-left', id: event.peer.id, name: event.peer.name, reason: event.reason });
        break;
      case 'dial-failed': {
        const id = authority.expectedAt(event.url);
        const record = id === undefined ? undefined : trust.get(id);
        this.#onEvent(problemEvent(id ?? null, record?.name ?? event.url, event.error.message));
        break;
      }
      case 'refused': {
        const more = this.#refusal();
        if (more === undefined) break;
        audit.append({ event: 'stranger-refused', name: event.address, reason: event.error.message, ...more });
        this.#onEvent(problemEvent(null, event.address, event.error.message));
        break;
      }
      case 'declined': {
        const more = this.#refusal();
        if (more === undefined) break;
        const { id, name } = event.peer;
        audit.append({ event: 'peer-declined', peer: id, name, reason: event.error.message, ...more });
        this.#onEvent(problemEvent(id, name, event.error.message));
        break;
      }
    }
  }

  trustChanged({ type, id, record }: TrustChange): void {
    const { mesh, audit, share, presence, dialing, authority } = this.#node;
    this.#decideAnew();
    this.#tools.relabel((peer) => authority.nameOf(parsePeerId(peer)));
    this.tellRenamed();
    audit.append({ event: `trust-${type}`, peer: id, name: record.name });
    if (type === 'revoked' || type === 'removed') mesh.drop(id, 'its trust was taken back');
    else {
      if (!record.revoked) this.#onTrusted(id);
      share.announce();
    }
    // What it may have think for it is part of what it is told.
    presence.changed();
    dialing.refresh();
  }

  /** Tells, once for each, of the keys that have another name here than in the trust file, where another has that one. */
  tellRenamed(): void {
    const { trust } = this.#node;
    for (const id of this.#told) if (!trust.renamed.has(id)) this.#told.delete(id);
    for (const [id, written] of trust.renamed) {
      const name = trust.get(id)?.name;
      if (name === undefined || this.#told.has(id)) continue;
      this.#told.add(id);
      const problem = `the trust file calls the key ${id} "${written}", as another key or this node is called: it is called "${name}" here`;
      this.#onEvent(problemEvent(null, name, problem));
    }
  }

  configChanged(): void {
    const { config, agent, dialing } = this.#node;
    agent?.configure(agentOptionsOf(config.current));
    this.#grantsChanged();
    dialing.refresh();
  }

  /** Peers may do more or less here than before, one that has a session too: each is told what it may now. */
  #grantsChanged(): void {
    const { share, presence } = this.#node;
    this.#decideAnew();
    share.announce();
    presence.changed();
  }

  #decideAnew(): void {
    const { authority, duties, sync, vole } = this.#node;
    authority.changed();
    duties.trustChanged();
    sync.changed();
    vole?.trustChanged();
  }

  /** What an audit record of a refusal says of those that were not told before it; undefined when it is not told either. */
  #refusal(): { readonly count?: number } | undefined {
    const left = this.#strangers.admit();
    if (left === undefined) return undefined;
    return left === 0 ? {} : { count: left };
  }
}
