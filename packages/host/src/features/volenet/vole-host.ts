import { hash } from 'node:crypto';
import type { MemoryStore } from '@skein/agent';
import type { VoleEvent, VoleHost, VoleId, VoleTask } from '@skein/dialects';
import { type Mesh, systemClock, type TrustRecord, type TrustStore } from '@skein/mesh';
import { type Identity, type PeerId, SkeinError, shortPeerId, TASK_TEXT_CHARS_MAX, type TaskOutcome } from '@skein/protocol';
import { type Authority, dialUrl } from '../../authority.ts';
import type { NodeConfig } from '../../config/load-config.ts';
import type { NodeTasks } from '../../node-tasks.ts';
import { VERSION } from '../../version.ts';
import type { PeerChat } from '../peer-chat/peer-chat.ts';
import type { ShareTools } from '../share-tools.ts';
import { factOfEntry, hitsOf } from './vole-memory.ts';
import type { VoleTurns } from './vole-turns.ts';

export interface VoleHostParts {
  readonly name: string;
  readonly identity: Identity;
  readonly net: () => NodeConfig['net'];
  readonly trust: TrustStore;
  readonly authority: Authority;
  readonly mesh: Mesh;
  readonly share: ShareTools;
  readonly memory: MemoryStore;
  readonly chat: Pick<PeerChat, 'received'>;
  readonly turns: VoleTurns;
  /** They are put together later than this. */
  readonly tasks: () => NodeTasks;
  /** Where others may dial this node; empty for nowhere. */
  readonly endpoint: () => string;
  readonly find: (id: VoleId) => TrustRecord | undefined;
  readonly onVoleEvent: (event: VoleEvent) => void;
}

/** What OpenVole nodes may ask of this node: each thing as far as it is shared and was granted. */
export function createVoleHost(parts: VoleHostParts): VoleHost {
  const { name, identity, net, trust, authority, share, memory, chat, mesh, turns, tasks, endpoint, find } = parts;
  const callerOf = (id: PeerId) => ({ id, name: trust.get(id)?.name ?? shortPeerId(id) });
  return {
    identity,
    name,
    version: VERSION,
    clock: systemClock,
    random: Math.random,
    role: () => net().role,
    // Nobody is sent to a door that is shut.
    endpoint: () => (net().volenet ? endpoint() : ''),
    find: (id) => {
      const record = find(id);
      if (record === undefined) return undefined;
      return { identity: record.identity, name: record.name, mlDsa: record.voleExtra };
    },
    decide: (peer, grant, tool) => authority.decide(peer, grant, tool),
    pinMlDsa: (peer, mlDsa) => trust.pinVoleKey(peer, mlDsa),
    answeredAt: (url, peer) => authority.answeredAt(dialUrl(url), peer),
    hasBetter: (peer) => mesh.peers.has(peer),
    listTools: (peer) => share.listFor(peer),
    callTool: (peer, tool, input, { signal }) => {
      if (!isRecord(input)) throw new SkeinError(`${tool} takes an object`, { code: 'invalid' });
      return share.call({ tool, input }, { peer: callerOf(peer), signal, emit: async () => {} });
    },
    runTask: async (peer, task, options) => endOf(await tasks().runFor(peer, workOf(peer, task), options)),
    memoryWritten: async (peer, entry) => {
      if (net().share.memory) await memory.write(factOfEntry(entry, callerOf(peer)));
    },
    searchMemory: async (_peer, { query, limit }) => (net().share.memory ? hitsOf(memory.search(query, { limit })) : []),
    sessionWritten: async (peer, entry) => {
      if (net().share.session) await turns.keep(peer, entry);
    },
    chatReceived: (peer, { text }) => chat.received(peer, text),
    // Its protocol proves no term and no vote: who leads here is decided among nodes that can.
    leaderSeen: () => {},
    leaderClaimed: () => false,
    onEvent: parts.onVoleEvent,
  };
}

/** The task of an OpenVole node as work of ours: its ids are any text, and the same one of the same node is the same work. */
function workOf(peer: PeerId, { taskId, input, context: said, fromName: asker }: VoleTask) {
  const fromName = asker ?? '';
  const text = (said ? `${said}\n\n${input}` : input).toWellFormed();
  if (text.length > TASK_TEXT_CHARS_MAX) {
    const message = `A task of ${text.length} characters, its context counted, is over the ${TASK_TEXT_CHARS_MAX} taken here`;
    throw new SkeinError(message, { code: 'too-large' });
  }
  const digest = hash('sha256', JSON.stringify([peer, taskId]));
  const hex = `${digest.slice(0, 12)}8${digest.slice(13, 16)}8${digest.slice(17, 32)}`;
  const id = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
  return {
    id,
    text,
    session: `vole:${id}`,
    ...(fromName === '' ? {} : { source: `${fromName.slice(0, 180)} (VoleNet)`.toWellFormed() }),
  };
}

function endOf({ state, text, error }: TaskOutcome) {
  if (state === 'done') return { status: 'completed', result: text ?? '' } as const;
  const message = error?.message ?? `it ended as ${state}`;
  return { status: state === 'canceled' ? 'cancelled' : 'failed', error: message } as const;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
