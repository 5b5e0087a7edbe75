import type { NetStatus, NodeStatus } from '@skein/gateway';
import { fingerprintWords, type NodeState, type PeerId } from '@skein/protocol';
import type { RunningNode } from './running-node.ts';
import { VERSION } from './version.ts';

/** What a node shows of itself to its people. */
export function nodeStatusOf(
  { config, identity, chosen }: Pick<RunningNode, 'config' | 'identity' | 'chosen'>,
  { port, startedAtMs }: { readonly port: number; readonly startedAtMs: number },
): NodeStatus {
  return {
    name: config.current.name,
    peerId: identity.id,
    fingerprint: fingerprintWords(identity.id),
    version: VERSION,
    port,
    startedAtMs,
    brain: chosen === undefined ? null : { name: chosen.brain.name, hint: chosen.hint },
  };
}

/** What its network does together, as its people see it. */
export function netStatusOf({ config, tasks, duties }: RunningNode): NetStatus {
  const { needRestart } = config;
  return { load: tasks.load(), leader: duties.leader(), schedules: duties.schedules(), needRestart };
}

/** What a node says of itself to a peer: its brain only to one that may use it. */
export function stateFor(
  { config, tasks, chosen, authority }: RunningNode,
  peer: PeerId,
  { calls }: { readonly calls: number },
): NodeState {
  const mayThink = chosen !== undefined && authority.decide(peer, 'brain').allowed;
  return {
    load: tasks.load(),
    calls,
    brain: mayThink ? chosen.brain.name.slice(0, 120) : null,
    ...(mayThink ? { places: tasks.placesFor(peer) } : {}),
    role: config.current.net.role,
  };
}

/** For the choice among peers with the same tool: the calls they run, and those this node has them run. */
export function busynessOf({ presence, mesh, vole }: RunningNode, id: string): number {
  const peer = [...mesh.peers.values()].find((one) => one.id === id);
  const foreign = vole?.peers.find((one) => one.id === id);
  if (foreign !== undefined) return foreign.pending;
  return peer === undefined ? Number.POSITIVE_INFINITY : (presence.stateOf(peer.id)?.calls ?? 0) + peer.load;
}

/** The connected peers, for the prompt. */
export function knownPeersOf({
  mesh,
  presence,
}: RunningNode): readonly { readonly name: string; readonly hasBrain: boolean }[] {
  return [...mesh.peers.values()].map(({ id, name }) => ({
    name,
    hasBrain: (presence.stateOf(id)?.brain ?? null) !== null,
  }));
}
