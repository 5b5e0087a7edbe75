import type { LoadOptions } from '@skein/host';

type NetConfig = NonNullable<NonNullable<LoadOptions['overrides']>['net']>;

/** What one node of a process is started with. */
export interface NodeSettings {
  readonly name: string;
  readonly dataDir: string;
  readonly net: NetConfig;
}

/** What is asked of a process of nodes. */
export type NodeRequest =
  | { readonly type: 'status' }
  | { readonly type: 'usage' }
  /** Calls a tool and waits for its end, whatever that is. */
  | { readonly type: 'call'; readonly node: string; readonly tool: string }
  /** Remembers so many facts, one after the other. */
  | { readonly type: 'remember'; readonly node: string; readonly count: number; readonly everyMs: number }
  /** Looks until so many facts of others are there. */
  | { readonly type: 'look'; readonly node: string; readonly count: number };

/** What each request is answered with. Times are of the machine's monotonic clock, the same in all processes. */
export interface NodeAnswers {
  readonly status: readonly NodeStatus[];
  readonly usage: Usage;
  readonly call: { readonly failedAs: string | null; readonly atMs: number };
  readonly remember: readonly SeenFact[];
  readonly look: readonly SeenFact[];
}

export interface NodeStatus {
  readonly name: string;
  /** The name of the one that leads as this node knows. */
  readonly leader: string | null;
  readonly connected: number;
}

/** What a process has used and sent so far, and holds now. */
export interface Usage {
  readonly cpuMs: number;
  /** WebSocket messages sent; a frame with all it holds is one. */
  readonly messages: number;
  /** Bytes that crossed the TCP connections it accepted, both ways. */
  readonly bytes: number;
  /** TCP connections it accepted that are open. */
  readonly sockets: number;
}

export interface SeenFact {
  readonly text: string;
  readonly atMs: number;
}

/** What a process of nodes tells. */
export type NodeReport =
  | { readonly type: 'ready' }
  | { readonly type: 'leads'; readonly node: string; readonly atMs: number }
  | { readonly type: 'answer'; readonly id: number; readonly result: unknown }
  | { readonly type: 'failed'; readonly id: number; readonly message: string };

/** Milliseconds of the machine's monotonic clock. */
export function machineMs(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}
