/** One open pipe of whole records. It knows bytes, not peers. */
export interface Connection {
  /** Where the other end is, for people and for budgets by address; never identity. */
  readonly remoteAddress: string;
  /** What carries it now. It may change. */
  readonly transport: 'websocket' | 'http' | 'memory';
  /** Grows with whatever arrives, a part of a record too: whether the far end still sends. */
  readonly arrived: number;
  /** Grows with whatever has left of what was sent: whether the far end still takes. */
  readonly departed: number;
  /** Begins to deliver; records that came before wait. Called once. */
  attach(handlers: ConnectionHandlers): void;
  /** Sends one record. False when the pipe is over its high-water mark: send no more until `drain`. */
  send(record: Uint8Array): boolean;
  /** Lets larger records in than the bound that holds before a session is established. */
  admit(maxRecordBytes: number): void;
  /** Takes nothing more in until `resume`; the far end's `send` comes to say so. What was taken in may still arrive. */
  pause(): void;
  resume(): void;
  /** Ends the pipe, with what was sent before; `closed` follows. Idempotent. */
  close(reason: string): void;
  /**
   * Breaks the pipe at once and without a farewell, in a way that the far end learns of even when it is the one that
   * cannot be heard; `closed` follows. Idempotent.
   */
  cut(reason: string): void;
}

export interface ConnectionHandlers {
  /** The bytes are the receiver's to keep. */
  record(record: Buffer): void;
  /** There is room again after `send` said false. */
  drain(): void;
  /** Called exactly once, last. */
  closed(reason: string): void;
}

/** Opens pipes for one kind of URL. */
export interface Transport {
  /** URL schemes without the colon: `['ws', 'wss']`. */
  readonly schemes: readonly string[];
  /** @throws SkeinError `unavailable` when nobody answers there, `canceled` or `deadline-exceeded` by the signal. */
  dial(url: string, options: { readonly signal: AbortSignal }): Promise<Connection>;
}
