import { integerOf, type Writer } from '@skein/engine';
import {
  type ChainHead,
  type ChainRange,
  HYBRID_TIME_ZERO,
  type HybridTime,
  type OperationHead,
  type OperationLogName,
  type PeerId,
  parseOperationHead,
  type RefusedOperation,
  SkeinError,
} from '@skein/protocol';
import type { IncomingOperation } from './incoming-operations.ts';
import { judgeOperation, type OperationLimits, type OperationState } from './judge-operation.ts';
import {
  type ChainRow,
  fillBody,
  findChain,
  findOperation,
  insertOperation,
  isQuarantined,
  type OperationRow,
  operationBytes,
  readClock,
  writeClock,
} from './operation-rows.ts';
import { type OperationView, stampOf } from './operation-view.ts';

/** What became of operations that were brought. */
export interface Acceptance {
  /** How many were new, or brought a body that was missing. */
  readonly added: number;
  /** Chains that grew. */
  readonly grown: readonly ChainHead[];
  /** `passing`: the same one may be taken later. */
  readonly refused: readonly (RefusedOperation & { readonly passing: boolean })[];
  /** What came too early, from the first that is missing. */
  readonly gaps: readonly ChainRange[];
  /** Authors found to have written two histories, and how it showed; this node's own id when its store was set back. */
  readonly forks: readonly { readonly author: PeerId; readonly reason: string }[];
}

export interface AcceptParts {
  readonly log: OperationLogName;
  readonly self: PeerId;
  readonly view: OperationView;
  readonly limits: OperationLimits;
  readonly nowMs: number;
  readonly mayWrite: (author: PeerId) => boolean;
  /** For this node's own next chain, should the one it writes turn out to have two histories. */
  readonly freshReplica: string;
}

/** Takes operations, all of them signed, into the tables of one log within one transaction. */
export class AcceptedPage {
  readonly #writer: Writer;
  readonly #parts: AcceptParts;
  readonly #grown = new Map<string, ChainHead>();
  readonly #refused: (RefusedOperation & { passing: boolean })[] = [];
  readonly #gaps = new Map<string, ChainRange>();
  readonly #forks = new Map<PeerId, string>();
  #added = 0;
  #latest: HybridTime = HYBRID_TIME_ZERO;
  #foreignBytes: number;

  constructor(writer: Writer, parts: AcceptParts) {
    this.#writer = writer;
    this.#parts = parts;
    this.#foreignBytes = sumOf(writer, 'coalesce(sum(bytes), 0)', 'log = ? AND author <> ?', parts.log, parts.self);
  }

  /** @throws SkeinError what the database raises. */
  take(operation: IncomingOperation): void {
    const { head, body } = operation;
    const chain = findChain(this.#writer, this.#parts.log, head.author, head.replica);
    const same = chain === undefined ? undefined : findOperation(this.#writer, chain.id, head.seq);
    const bytes = operationBytes(body);
    const verdict = judgeOperation(head, bytes, this.#stateOf(head, chain, same), this.#parts.limits);
    switch (verdict.type) {
      case 'known':
        return;
      case 'gap':
        this.#miss(head, (chain?.seq ?? 0) + 1);
        return;
      case 'fork':
        this.#quarantine(head, verdict.reason, same?.head ?? this.#lastOf(chain));
        return;
      case 'refused':
        this.#refuse(head, verdict);
        return;
      case 'fill':
      case 'next':
        if (verdict.type === 'fill' && body === undefined) return;
        this.#keep(operation, verdict.type, chain, bytes);
    }
  }

  /** Moves the log's clock on and says what became of it all. */
  finish(): Acceptance {
    const { log, freshReplica } = this.#parts;
    const clock = readClock(this.#writer, log);
    if (this.#latest > clock.time) writeClock(this.#writer, log, clock.replica ?? freshReplica, this.#latest);
    return {
      added: this.#added,
      grown: [...this.#grown.values()],
      refused: this.#refused,
      gaps: [...this.#gaps.values()],
      forks: [...this.#forks].map(([author, reason]) => ({ author, reason })),
    };
  }

  #keep({ head, body }: IncomingOperation, how: 'fill' | 'next', chain: ChainRow | undefined, bytes: number): void {
    const { log, view, self } = this.#parts;
    try {
      // The view first: it may say that there is no room.
      const kept = body === undefined ? 'kept' : view.apply(this.#writer, stampOf(head, self), body);
      const content = kept === 'kept' ? { body } : { body: undefined, erased: true };
      if (how === 'next') insertOperation(this.#writer, log, head, content);
      else if (chain !== undefined) fillBody(this.#writer, { chain: chain.id, seq: head.seq, ...content });
    } catch (thrown) {
      const error = SkeinError.from(thrown);
      if (error.code !== 'busy') throw thrown;
      this.#refuse(head, { code: 'busy', message: error.message, passing: true });
      return;
    }
    this.#added += 1;
    if (head.author !== self) this.#foreignBytes += bytes;
    if (how === 'fill') return;
    const { author, replica, seq } = head;
    this.#grown.set(`${author}.${replica}`, { author, replica, seq, digest: head.digest.toString('base64') });
    if (head.time > this.#latest) this.#latest = head.time;
  }

  #miss({ author, replica, seq }: OperationHead, from: number): void {
    const key = `${author}.${replica}`;
    this.#gaps.set(key, { author, replica, from, to: Math.max(seq, this.#gaps.get(key)?.to ?? 0) });
  }

  #stateOf(head: OperationHead, chain: ChainRow | undefined, same: OperationRow | undefined): OperationState {
    const { log, self, mayWrite, nowMs } = this.#parts;
    const { author } = head;
    return {
      chain,
      same: same && {
        digest: parseOperationHead(same.head).digest,
        lacksBody: same.body === undefined && !same.erased,
      },
      isOwn: author === self,
      mayWrite: mayWrite(author),
      isQuarantined: isQuarantined(this.#writer, log, author),
      nowMs,
      authorBytes: sumOf(this.#writer, 'coalesce(sum(bytes), 0)', 'log = ? AND author = ?', log, author),
      foreignBytes: this.#foreignBytes,
      authorChains: chain ? 0 : sumOf(this.#writer, 'count(*)', 'log = ? AND author = ?', log, author),
      chains: chain ? 0 : sumOf(this.#writer, 'count(*)', 'log = ?', log),
    };
  }

  #lastOf(chain: ChainRow | undefined): Buffer | undefined {
    return chain && findOperation(this.#writer, chain.id, chain.seq)?.head;
  }

  #quarantine(head: OperationHead, reason: string, known: Buffer | undefined): void {
    const { log, self, nowMs, freshReplica } = this.#parts;
    this.#forks.set(head.author, reason);
    if (head.author === self) {
      // This node's own store was set back, to a copy of an earlier day: it goes on in a new chain.
      const clock = readClock(this.#writer, log);
      if (clock.replica === head.replica) writeClock(this.#writer, log, freshReplica, clock.time);
      return;
    }
    this.#writer.run(
      'INSERT INTO operation_quarantine (log, author, at_ms, reason, one, other) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
      log,
      head.author,
      nowMs,
      reason,
      known ?? head.bytes,
      head.bytes,
    );
  }

  #refuse(head: OperationHead, why: { code: RefusedOperation['code']; message: string; passing: boolean }): void {
    const { author, replica, seq } = head;
    this.#refused.push({ author, replica, seq, ...why, message: why.message.slice(0, 500) });
  }
}

function sumOf(writer: Writer, what: string, where: string, ...values: string[]): number {
  const row = writer.get(`SELECT ${what} AS sum FROM operation_chains WHERE ${where}`, ...values);
  return row === undefined ? 0 : integerOf(row, 'sum');
}
