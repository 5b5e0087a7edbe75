import type { NodeEvent } from '@skein/gateway';
import type { PeerId } from '@skein/protocol';

/** A node event before it has its time. */
export type HostEvent = NodeEvent extends infer Event ? (Event extends NodeEvent ? Omit<Event, 'atMs'> : never) : never;

/** Tells people what is wrong with a peer, an address, or a file that says who the peers are. */
export function problemEvent(id: PeerId | null, name: string, problem: string): HostEvent {
  return { type: 'peer-problem', id, name, problem };
}
