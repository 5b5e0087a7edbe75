/** Bounds of the HTTP door. Every one has a stated behaviour when it is reached. */
export interface GatewayLimits {
  /** A larger request body is refused with `too-large`. */
  readonly maxBodyBytes: number;
  /** Nesting of a request body; deeper is `invalid`. */
  readonly maxDepth: number;
  /** A body that takes longer to arrive is refused with `deadline-exceeded`. */
  readonly bodyTimeoutMs: number;
  /** Answers being streamed at once, all clients together; one more is `busy`. */
  readonly maxStreams: number;
  /** A stream with nothing to tell says so this often, so both sides notice a dead one. */
  readonly heartbeatMs: number;
  /** A reader that takes nothing for this long is disconnected; a tool it called is stopped, a task it asked for goes on. */
  readonly stallMs: number;
  /** Characters of partial output a direct tool call holds for a slow reader; beyond, the oldest are left out. */
  readonly maxPendingOutput: number;
  /** Wrong tokens an address may present at once, and how long until it may present one more. */
  readonly failuresPerAddress: number;
  readonly failureRefillMs: number;
  /** The same for all addresses together; while it is used up, each address may fail once only. */
  readonly failuresInAll: number;
  readonly failuresInAllRefillMs: number;
  /** Addresses with failures that are remembered; beyond, the longest unseen is forgotten. */
  readonly maxAddresses: number;
}

export const GATEWAY_LIMITS: GatewayLimits = {
  maxBodyBytes: 256 * 1024,
  maxDepth: 32,
  bodyTimeoutMs: 10_000,
  maxStreams: 64,
  heartbeatMs: 15_000,
  stallMs: 30_000,
  maxPendingOutput: 1024 * 1024,
  failuresPerAddress: 10,
  failureRefillMs: 10_000,
  failuresInAll: 100,
  failuresInAllRefillMs: 1_000,
  maxAddresses: 4_096,
};
