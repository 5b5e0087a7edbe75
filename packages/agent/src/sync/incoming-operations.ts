import {
  isBodyOf,
  type OperationHead,
  type OperationLogName,
  type PeerId,
  type PublicIdentity,
  parseOperationHead,
  publicIdentity,
  SkeinError,
  verifyOperation,
  type WireOperation,
} from '@skein/protocol';

/** An operation that somebody brought: its head, and the body that belongs to it. */
export interface IncomingOperation {
  readonly head: OperationHead;
  readonly body: string | undefined;
}

/** @throws SkeinError `invalid` when it is not an operation of this log, or its body is another's. */
export function readOperation(wire: WireOperation, log: OperationLogName): IncomingOperation {
  const head = parseOperationHead(Buffer.from(wire.head, 'base64'));
  if (head.log !== log) throw new SkeinError(`An operation of the log ${head.log} came as one of ${log}`, { code: 'invalid' });
  if (wire.body !== undefined && !isBodyOf(head, wire.body)) {
    throw new SkeinError(`The body of operation ${head.seq} is not the one its author signed`, { code: 'invalid' });
  }
  return { head, body: wire.body };
}

/** An operation as it is passed on. */
export function wireOperationOf(head: Uint8Array, body: string | undefined): WireOperation {
  const text = Buffer.from(head.buffer, head.byteOffset, head.byteLength).toString('base64');
  return body === undefined ? { head: text } : { head: text, body };
}

/** @throws SkeinError `unauthenticated` at the first that its author did not sign. */
export function assertSigned(operations: readonly IncomingOperation[]): void {
  const authors = new Map<PeerId, PublicIdentity>();
  for (const { head } of operations) {
    const author = authors.get(head.author) ?? publicIdentity(head.authorKey);
    authors.set(head.author, author);
    if (verifyOperation(head, author)) continue;
    throw new SkeinError(`Operation ${head.seq} was not signed by ${head.author}`, { code: 'unauthenticated' });
  }
}
