import type { NodeEvent } from '@skein/gateway';

/** A node event before it has its time. */
export type HostEvent = NodeEvent extends infer Event ? (Event extends NodeEvent ? Omit<Event, 'atMs'> : never) : never;
