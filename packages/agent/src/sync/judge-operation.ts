import {
  type ErrorCode,
  type HybridTime,
  hybridMs,
  NO_OPERATION,
  OPERATION_AHEAD_MAX_MS,
  type OperationHead,
} from '@skein/protocol';

/** What a log holds of operations by others, at most. */
export interface OperationLimits {
  /** Bytes of heads and bodies by one author. */
  readonly maxAuthorBytes: number;
  /** Bytes by all authors but this node. */
  readonly maxForeignBytes: number;
  readonly maxChainsPerAuthor: number;
  readonly maxChains: number;
}

/** What is known when an operation comes that its author did sign. */
export interface OperationState {
  /** Its chain so far. */
  readonly chain: { readonly seq: number; readonly digest: Uint8Array; readonly time: HybridTime } | undefined;
  /** The operation that has its sequence already. */
  readonly same: { readonly digest: Uint8Array; readonly lacksBody: boolean } | undefined;
  readonly isOwn: boolean;
  readonly mayWrite: boolean;
  readonly isQuarantined: boolean;
  readonly nowMs: number;
  readonly authorBytes: number;
  readonly foreignBytes: number;
  readonly authorChains: number;
  readonly chains: number;
}

/** `passing`: the same operation may be taken later. */
export type OperationVerdict =
  | { readonly type: 'next' | 'known' | 'fill' | 'gap' }
  | { readonly type: 'fork'; readonly reason: string }
  | { readonly type: 'refused'; readonly code: ErrorCode; readonly message: string; readonly passing: boolean };

/** Whether an operation is taken: the whole rule. `bytes` is what it would add. */
export function judgeOperation(
  head: OperationHead,
  bytes: number,
  state: OperationState,
  limits: OperationLimits,
): OperationVerdict {
  if (!state.mayWrite) return refused('denied', 'its author may not write here', true);
  if (state.isQuarantined) return refused('denied', 'its author is quarantined for having written two histories', true);
  const { chain, same } = state;
  if (same !== undefined) {
    if (!head.digest.equals(same.digest)) return { type: 'fork', reason: `two operations with number ${head.seq}` };
    return same.lacksBody ? (noRoom(bytes, state, limits) ?? { type: 'fill' }) : { type: 'known' };
  }
  if (head.seq > (chain?.seq ?? 0) + 1) return { type: 'gap' };
  if (!head.previous.equals(chain?.digest ?? NO_OPERATION)) {
    // Both are signed: the author gave its history another past.
    return { type: 'fork', reason: `operation ${head.seq} follows another ${head.seq - 1} than the one known` };
  }
  if (chain !== undefined && head.time <= chain.time) {
    return refused('invalid', 'its time is not after that of the operation before it', false);
  }
  const aheadMs = hybridMs(head.time) - state.nowMs;
  if (aheadMs > OPERATION_AHEAD_MAX_MS) return refused('invalid', `its clock is ${aheadMs} ms ahead`, true);
  return noRoom(bytes, state, limits) ?? { type: 'next' };
}

function noRoom(bytes: number, state: OperationState, limits: OperationLimits): OperationVerdict | undefined {
  if (state.isOwn) return undefined;
  if (state.authorBytes + bytes > limits.maxAuthorBytes) return refused('busy', 'its author’s share is full', true);
  if (state.foreignBytes + bytes > limits.maxForeignBytes) return refused('busy', 'the room for peers is full', true);
  if (state.chain !== undefined) return undefined;
  if (state.authorChains >= limits.maxChainsPerAuthor) return refused('busy', 'its author has too many chains', true);
  if (state.chains >= limits.maxChains) return refused('busy', 'there are too many chains', true);
  return undefined;
}

function refused(code: ErrorCode, message: string, passing: boolean): OperationVerdict {
  return { type: 'refused', code, message, passing };
}
