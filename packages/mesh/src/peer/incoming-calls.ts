import {
  BODY_DEPTH_MAX,
  BODY_VALUES_MAX,
  CREDIT_BYTES,
  jsonWithin,
  MESSAGE_TYPE,
  type MessageHeader,
  type MessageType,
  type Method,
  type PeerId,
  SkeinError,
} from '@skein/protocol';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import type { CallContext, CallLimit, Router } from '../router.ts';
import { CallTable } from './call-table.ts';
import { Deadlines } from './deadlines.ts';
import type { Link } from './link.ts';
import type { PeerUsage, PeerUsages } from './peer-usage.ts';

/** Characters of an error's message on the wire. */
const ERROR_CHARS_MAX = 2_000;
/** How far a handler that does not wait for its parts may run over the caller's credit. */
const OVERRUN_BYTES_MAX = CREDIT_BYTES;
/** How long a request may take whose caller gives it no time. */
const NO_BUDGET_MS = 60_000;

export interface IncomingLimits {
  /** Requests of one peer being worked on at once. */
  readonly maxConcurrentCalls: number;
  /** Messages of one peer a second. */
  readonly maxMessagesPerSecond: number;
  /** Whether this process holds so much memory that it takes no new work. Asked for every request. */
  readonly isShortOfMemory?: () => boolean;
}

export interface IncomingParts {
  readonly link: Link;
  readonly clock: Clock;
  readonly router: Router;
  readonly peer: { readonly id: PeerId; readonly name: string };
  readonly limits: IncomingLimits;
  readonly usages: PeerUsages;
  /** Told of errors that are this node's own fault. */
  readonly onInternalError: (error: SkeinError, method: string) => void;
}

/** The requests of one peer that this node is working on. Door 2: what passes here is parsed. */
export class IncomingCalls {
  readonly #parts: IncomingParts;
  readonly #active = new CallTable<ActiveCall>();
  readonly #deadlines: Deadlines;
  #publications = 0;

  constructor(parts: IncomingParts) {
    this.#parts = parts;
    this.#deadlines = new Deadlines(parts.clock, (nowMs) => this.#sweep(nowMs));
  }

  get size(): number {
    return this.#active.size;
  }

  /** One request or publication. What cannot be taken is answered with an error, never dropped silently. */
  request(header: MessageHeader, plaintext: Buffer): void {
    const { link, clock, router, usages, peer } = this.#parts;
    const usage = usages.of(peer.id);
    const refusal = this.#overLimit(header, usage);
    if (refusal !== undefined) {
      if (refusal.code === 'busy') link.slowDown();
      this.#refuse(header, refusal);
      return;
    }
    let methodName = 'unknown';
    // Publications have no number of their own, and several may be worked on at once.
    const id = header.type === MESSAGE_TYPE.publish ? --this.#publications : header.call;
    try {
      const { method: name, params: raw } = parseRequest(plaintext.toString('utf8', header.bodyStart, header.bodyEnd));
      methodName = name;
      const { method, handle, limit } = router.find(name);
      const params = method.params.safeParse(raw);
      if (!params.success) throw new SkeinError(`${name}: ${reasonOf(params.error)}`, { code: 'invalid' });
      const givenMs = header.budgetMs === 0 ? NO_BUDGET_MS : header.budgetMs;
      const limitMs = limit?.timeoutMs() ?? givenMs;
      const deadlineAtMs = clock.monotonicMs() + Math.min(givenMs, limitMs);
      const cutBy = limitMs < givenMs ? limit : undefined;
      const call = new ActiveCall({ id, header, method, peer, link, deadlineAtMs, cutBy });
      this.#active.add(call);
      this.#deadlines.add(deadlineAtMs);
      const result = handle(params.data, call);
      if (!(result instanceof Promise)) this.#succeed(call, result);
      else {
        usage.running += 1;
        result.then(
          (value) => {
            usage.running -= 1;
            this.#succeed(call, value);
          },
          (error: unknown) => {
            usage.running -= 1;
            if (this.#forget(call)) this.#refuse(header, this.#publicError(error, name));
          },
        );
      }
    } catch (error) {
      this.#active.delete(id);
      this.#refuse(header, this.#publicError(error, methodName));
    }
  }

  cancel(call: number): void {
    this.#end(call, new SkeinError('The caller stopped it', { code: 'canceled' }));
  }

  credit(call: number, bytes: number): void {
    this.#active.get(call)?.addCredit(bytes);
  }

  /** Stops all work for this peer: it has left. */
  close(reason: string): void {
    this.#deadlines.close();
    for (const { id } of this.#active.entries())
      this.#end(id, new SkeinError(`The caller left: ${reason}`, { code: 'canceled' }));
  }

  #overLimit(header: MessageHeader, { messages, running }: PeerUsage): SkeinError | undefined {
    const { clock, limits } = this.#parts;
    const waitMs = messages.take(1, clock.monotonicMs());
    if (waitMs > 0) return busy(`More than ${limits.maxMessagesPerSecond} messages a second`, waitMs);
    if (limits.isShortOfMemory?.() === true) return busy('This node is short of memory', 1_000);
    if (running >= limits.maxConcurrentCalls) return busy(`${running} of this peer’s calls are being worked on`, 100);
    if (header.type === MESSAGE_TYPE.publish || this.#active.get(header.call) === undefined) return undefined;
    return new SkeinError(`Call ${header.call} is under way already`, { code: 'conflict' });
  }

  #succeed(call: ActiveCall, result: unknown): void {
    if (!this.#forget(call) || call.header.type === MESSAGE_TYPE.publish) return;
    try {
      const body = JSON.stringify(result) ?? 'null';
      assertFits(body, 'The work was done, but its result');
      sendOn(this.#parts.link, call.header, MESSAGE_TYPE.result, body);
    } catch (error) {
      this.#refuse(call.header, this.#publicError(error, call.method.name));
    }
  }

  #forget(call: ActiveCall): boolean {
    // A call that was ended may have made room for another of the same number.
    return this.#active.get(call.id) === call && this.#active.delete(call.id);
  }

  #end(id: number, reason: SkeinError): void {
    const call = this.#active.get(id);
    if (call === undefined) return;
    this.#active.delete(id);
    call.abort(reason);
  }

  #publicError(error: unknown, method: string): SkeinError {
    const known = SkeinError.from(error);
    if (known.code === 'internal') this.#parts.onInternalError(known, method);
    return known;
  }

  #refuse(header: MessageHeader, error: SkeinError): void {
    try {
      const { message, ...rest } = error.toPublic();
      const body = { ...rest, message: message.slice(0, ERROR_CHARS_MAX) };
      sendOn(this.#parts.link, header, MESSAGE_TYPE.error, JSON.stringify(body));
    } catch (cause) {
      // Not even the refusal finds room: a peer that asks without reading would wait for answers that cannot come.
      this.#parts.link.close(`answers cannot be delivered: ${SkeinError.from(cause).message}`);
    }
  }

  #sweep(nowMs: number): number {
    let nextAtMs = Number.POSITIVE_INFINITY;
    for (const call of this.#active.entries()) {
      if (call.deadlineAtMs > nowMs) nextAtMs = Math.min(nextAtMs, call.deadlineAtMs);
      else {
        const error = new SkeinError(`${call.method.name} took longer than ${timeGiven(call)}`, { code: 'deadline-exceeded' });
        this.#end(call.id, error);
        this.#refuse(call.header, error);
      }
    }
    return nextAtMs;
  }
}

interface ActiveCallParts {
  readonly id: number;
  readonly header: MessageHeader;
  readonly method: Method;
  readonly peer: { readonly id: PeerId; readonly name: string };
  readonly link: Link;
  readonly deadlineAtMs: number;
  /** What gives it less time here than its caller did. */
  readonly cutBy: CallLimit | undefined;
}

class ActiveCall implements CallContext {
  /** The caller's number, or a negative one of ours for a publication. */
  readonly id: number;
  readonly header: MessageHeader;
  readonly method: Method;
  readonly peer: { readonly id: PeerId; readonly name: string };
  readonly deadlineAtMs: number;
  readonly cutBy: CallLimit | undefined;
  readonly #link: Link;
  #controller: AbortController | undefined;
  #endedBecause: SkeinError | undefined;
  #creditBytes = CREDIT_BYTES;
  #room: PromiseWithResolvers<void> | undefined;

  constructor(parts: ActiveCallParts) {
    this.id = parts.id;
    this.header = parts.header;
    this.method = parts.method;
    this.peer = parts.peer;
    this.deadlineAtMs = parts.deadlineAtMs;
    this.cutBy = parts.cutBy;
    this.#link = parts.link;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#endedBecause !== undefined) this.#controller.abort(this.#endedBecause);
    }
    return this.#controller.signal;
  }

  async emit(part: unknown): Promise<void> {
    if (this.#endedBecause !== undefined) throw this.#endedBecause;
    if (this.#creditBytes <= -OVERRUN_BYTES_MAX) {
      throw new SkeinError('Parts are emitted faster than the caller takes them; wait for each', { code: 'busy' });
    }
    const body = JSON.stringify(part);
    assertFits(body, 'A part of the answer');
    const bytes = sendOn(this.#link, this.header, MESSAGE_TYPE.part, body);
    this.#creditBytes -= bytes;
    // Credit may go below zero by one part; the next waits until it is above again.
    while (this.#creditBytes <= 0) {
      this.#room ??= Promise.withResolvers();
      await this.#room.promise;
      if (this.#endedBecause !== undefined) throw this.#endedBecause;
    }
  }

  addCredit(bytes: number): void {
    this.#creditBytes = Math.min(CREDIT_BYTES, this.#creditBytes + bytes);
    this.#wake();
  }

  abort(reason: SkeinError): void {
    this.#endedBecause = reason;
    this.#controller?.abort(reason);
    this.#wake();
  }

  #wake(): void {
    const room = this.#room;
    this.#room = undefined;
    room?.resolve();
  }
}

function timeGiven({ header, cutBy }: ActiveCall): string {
  if (cutBy !== undefined) return `the ${cutBy.timeoutMs()} ms it may take here (${cutBy.setting})`;
  return header.budgetMs === 0 ? `${NO_BUDGET_MS} ms, and its caller gave it no time` : 'the caller gave it';
}

/** The first of what a schema has against a value; a peer could make it name a hundred thousand things. */
function reasonOf({ issues }: z.ZodError): string {
  return z.prettifyError({ issues: issues.slice(0, 8) });
}

function parseRequest(text: string): { readonly method: string; readonly params: unknown } {
  if (!jsonWithin(text, BODY_DEPTH_MAX, BODY_VALUES_MAX)) {
    throw new SkeinError(
      `The body of the request is nested deeper than ${BODY_DEPTH_MAX} or has more than ${BODY_VALUES_MAX} values`,
      { code: 'invalid' },
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new SkeinError('The body of the request is not JSON', { code: 'invalid', cause: error });
  }
  if (typeof value !== 'object' || value === null || !('method' in value) || typeof value.method !== 'string') {
    throw new SkeinError('The body of a request is {"method","params"}', { code: 'invalid' });
  }
  return { method: value.method, params: 'params' in value ? value.params : undefined };
}

/** What the caller would refuse is refused here, by the name of the bound. @throws SkeinError `too-large`. */
function assertFits(body: string, what: string): void {
  if (jsonWithin(body, BODY_DEPTH_MAX, BODY_VALUES_MAX)) return;
  const over = jsonWithin(body, BODY_DEPTH_MAX, Number.POSITIVE_INFINITY)
    ? `of more than ${BODY_VALUES_MAX} values`
    : `nested deeper than ${BODY_DEPTH_MAX} levels`;
  throw new SkeinError(`${what} is ${over}, the most that a message holds`, { code: 'too-large' });
}

function sendOn(link: Link, header: MessageHeader, type: MessageType, body: string): number {
  const bodyBytes = Buffer.byteLength(body);
  if (link.isOpen) link.send({ type, priority: header.priority, budgetMs: 0, call: header.call, body, bodyBytes });
  return bodyBytes;
}

function busy(message: string, retryAfterMs: number): SkeinError {
  return new SkeinError(`${message}; try again in ${retryAfterMs} ms`, { code: 'busy', retryAfterMs });
}
