import type { Writer } from '@skein/engine';
import { type HybridTime, type OperationHead, type PeerId, parsePeerId, SkeinError } from '@skein/protocol';

/** Which operation it is, for what a view keeps of it. */
export interface OperationStamp {
  /** Names it: author, replica, sequence. */
  readonly dot: string;
  readonly author: PeerId;
  readonly replica: string;
  readonly seq: number;
  readonly time: HybridTime;
  /** This node signed it. */
  readonly isOwn: boolean;
}

/** What operations add up to. Any order of the chains, and any repetition, must lead to the same. */
export interface OperationView {
  /**
   * Takes over what an operation says that did not come from this store; `erased` when it was taken back already, so that
   * its body is not kept. A body that makes no sense changes nothing and is kept.
   * @throws SkeinError `busy` at a bound, before anything is changed: then the operation is not taken.
   */
  apply(writer: Writer, stamp: OperationStamp, body: string): 'kept' | 'erased';
}

/** The stamp of an operation as this node sees it. */
export function stampOf(head: OperationHead, self: PeerId): OperationStamp {
  const { author, replica, seq, time } = head;
  return { dot: formatDot(author, replica, seq), author, replica, seq, time, isOwn: author === self };
}

/** The name of an operation. */
export function formatDot(author: PeerId, replica: string, seq: number): string {
  return `${author}.${replica}.${seq}`;
}

/** @throws SkeinError `invalid`. */
export function parseDot(dot: string): { readonly author: PeerId; readonly replica: string; readonly seq: number } {
  const [author = '', replica = '', seq = ''] = dot.split('.');
  const number = Number(seq);
  if (!Number.isSafeInteger(number) || number < 1) {
    throw new SkeinError(`"${dot.slice(0, 100)}" does not name an operation`, { code: 'invalid' });
  }
  return { author: parsePeerId(author), replica, seq: number };
}
