import type { NodeEvent, PeerStatus } from '@skein/gateway';
import type { ConfigInput } from '../../src/config/schema.ts';

/** What a node's process is started with. */
export interface NodeSettings {
  readonly name: string;
  readonly dataDir: string;
  readonly port: number;
  readonly net?: NonNullable<ConfigInput['net']>;
}

export type NodeRequest =
  | { readonly id: number; readonly type: 'stats' }
  | ({ readonly id: number; readonly type: 'load' } & Load);

/** Calls to make: so many at once, each caller at least one, for so long. */
export interface Load {
  readonly tool: string;
  readonly inFlight: number;
  readonly durationMs: number;
  readonly bodyBytes: number;
  readonly timeoutMs: number;
  /** At least this much between the beginnings of two calls of one caller. */
  readonly everyMs?: number;
}

/** How the calls went. */
export interface LoadResult {
  readonly answered: number;
  /** How many failed, by code. */
  readonly failures: Readonly<Record<string, number>>;
  readonly worstFailureMs: number;
  /** Epoch ms. */
  readonly lastAnsweredAtMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly worstMs: number;
  readonly seconds: number;
}

export interface NodeStats {
  readonly rssBytes: number;
  /** The highest since the last time it was asked. */
  readonly peakRssBytes: number;
  /** Since the last time it was asked. */
  readonly worstLagMs: number;
  readonly peers: readonly PeerStatus[];
}

export type NodeMessage =
  | { readonly type: 'ready'; readonly port: number; readonly peerId: string }
  | { readonly type: 'event'; readonly event: NodeEvent; readonly atMs: number }
  | { readonly type: 'answer'; readonly id: number; readonly result?: unknown; readonly error?: string };

/** What a process of callers is told to do. */
export type CallerRequest =
  | { readonly type: 'connect'; readonly url: string; readonly identities: readonly string[] }
  | { readonly type: 'call' | 'abuse'; readonly durationMs: number; readonly inFlight: number; readonly everyMs: number };

export interface CallerResult {
  readonly answered: number;
  readonly failures: Readonly<Record<string, number>>;
  /** Refusals that said when to come back. */
  readonly toldWhen: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}
