import {
  abortReason,
  BODY_BYTES_MAX,
  BODY_DEPTH_MAX,
  BODY_VALUES_MAX,
  CREDIT_BYTES,
  ERROR_CODES,
  jsonWithin,
  MESSAGE_TYPE,
  type MessageHeader,
  type Method,
  type Priority,
  retryAfter,
  SkeinError,
} from '@skein/protocol';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { CallTable } from './call-table.ts';
import { Deadlines } from './deadlines.ts';
import type { Link } from './link.ts';

/** Calls one peer may owe an answer to. */
const PENDING_MAX = 16_384;
/** What a callee may send ahead: its credit, the part it goes below zero by, and as much again for one that ran over. */
const UNTAKEN_BYTES_MAX = 2 * (CREDIT_BYTES + BODY_BYTES_MAX);
const DEFAULT_TIMEOUT_MS = 60_000;

export interface CallOptions<Part = unknown> {
  readonly signal?: AbortSignal;
  /** How long the answer may take, here and there; 60 s when not given. */
  readonly timeoutMs?: number;
  /** The error of a call that took longer; by default one that names the peer and the method. */
  readonly late?: () => SkeinError;
  readonly priority?: Exclude<Priority, 'control'>;
  /** Takes each part of a streamed answer in order; the sender waits while too many are not taken yet. */
  readonly onPart?: (part: Part) => void | Promise<void>;
  /** 16 bytes that name the work this call belongs to. */
  readonly trace?: Uint8Array;
}

interface PendingParts {
  readonly id: number;
  readonly method: Method;
  readonly options: CallOptions;
  readonly deadlineAtMs: number;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: SkeinError) => void;
  /** Ends a call because its caller wants no answer any more. */
  readonly stop: (call: number, error: SkeinError) => void;
}

/** A call that waits for its answer. It listens to its caller's signal itself: a closure less for every call. */
class Pending {
  readonly id: number;
  readonly parts: PendingParts;
  /** Settles when every streamed part so far was taken; the result waits for it. */
  taken: Promise<void> | undefined;
  /** Bytes of parts taken and not yet given back as credit. */
  takenBytes = 0;
  /** Bytes of parts that came and are not taken yet. */
  untakenBytes = 0;

  constructor(parts: PendingParts) {
    this.id = parts.id;
    this.parts = parts;
    parts.options.signal?.addEventListener('abort', this, ONCE);
  }

  handleEvent(): void {
    const { id, options, stop } = this.parts;
    if (options.signal !== undefined) stop(id, abortReason(options.signal));
  }

  /** To be called once, when the call has left the table. */
  release(): void {
    this.parts.options.signal?.removeEventListener('abort', this);
  }
}

const ONCE = { once: true } as const;

const errorBody = z.object({
  code: z.enum(ERROR_CODES).catch('internal'),
  message: z.string().max(4_000),
  retryAfterMs: retryAfter.optional(),
});

/** The calls this node made to one peer and that peer alone can answer. */
export class OutgoingCalls {
  readonly #link: Link;
  readonly #clock: Clock;
  readonly #peerName: () => string;
  readonly #pending = new CallTable<Pending>();
  readonly #deadlines: Deadlines;
  readonly #stopCall = (call: number, error: SkeinError) => this.#stop(call, error);
  #lastCall = 0;

  constructor(parts: { readonly link: Link; readonly clock: Clock; readonly peerName: () => string }) {
    this.#link = parts.link;
    this.#clock = parts.clock;
    this.#peerName = parts.peerName;
    this.#deadlines = new Deadlines(parts.clock, (nowMs) => this.#sweep(nowMs));
  }

  /** Calls that wait for their answer. */
  get size(): number {
    return this.#pending.size;
  }

  call<P, R, T>(method: Method<P, R, T>, params: P, options: CallOptions<T> = {}): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      const { signal } = options;
      if (signal?.aborted) throw abortReason(signal);
      if (this.#pending.size >= PENDING_MAX) {
        throw new SkeinError(`${this.#pending.size} calls to ${this.#peerName()} are under way already`, {
          code: 'busy',
          retryAfterMs: 100,
        });
      }
      const { priority = 'interactive' } = options;
      this.#link.assertRoom(priority);
      const timeoutMs = Math.min(options.timeoutMs ?? DEFAULT_TIMEOUT_MS, 0xffff_ffff);
      const call = ++this.#lastCall;
      const body = JSON.stringify({ method: method.name, params });
      this.#link.send({
        type: MESSAGE_TYPE.request,
        priority,
        budgetMs: Math.max(1, Math.ceil(timeoutMs)),
        call,
        trace: options.trace,
        body,
        bodyBytes: Buffer.byteLength(body),
      });
      const deadlineAtMs = this.#clock.monotonicMs() + timeoutMs;
      const parts = {
        id: call,
        // Proven: settled only with what method.result and method.part parsed.
        method: method as unknown as Method,
        options: options as CallOptions,
        deadlineAtMs,
        resolve: resolve as (result: unknown) => void,
        reject,
        stop: this.#stopCall,
      };
      this.#pending.add(new Pending(parts));
      this.#deadlines.add(deadlineAtMs);
    });
  }

  /** One result, error or part from the peer. Answers to calls that ended meanwhile are dropped. */
  receive(header: MessageHeader, plaintext: Buffer): void {
    const pending = this.#pending.get(header.call);
    if (pending === undefined) return;
    try {
      const text = plaintext.toString('utf8', header.bodyStart, header.bodyEnd);
      if (!jsonWithin(text, BODY_DEPTH_MAX, BODY_VALUES_MAX)) {
        throw new SkeinError(`an answer nested deeper than ${BODY_DEPTH_MAX} or of more than ${BODY_VALUES_MAX} values`, {
          code: 'invalid',
        });
      }
      const value: unknown = JSON.parse(text);
      if (header.type === MESSAGE_TYPE.part) this.#receivePart(header, pending, value);
      else if (header.type === MESSAGE_TYPE.error) this.#settle(header.call, errorOf(value));
      else this.#receiveResult(header.call, pending, pending.parts.method.result.parse(value));
    } catch (error) {
      this.#stop(
        header.call,
        new SkeinError(
          `${this.#peerName()} answered ${pending.parts.method.name} with something that does not fit: ${reasonOf(error)}`,
          {
            code: 'invalid',
            cause: error,
          },
        ),
      );
    }
  }

  /** Ends every call; the peer has left. */
  close(reason: string): void {
    this.#deadlines.close();
    const error = new SkeinError(`${this.#peerName()} left: ${reason}`, { code: 'unavailable' });
    for (const { id } of this.#pending.entries()) this.#settle(id, error);
  }

  #receiveResult(call: number, pending: Pending, result: unknown): void {
    if (pending.taken === undefined) {
      this.#pending.delete(call);
      pending.release();
      pending.parts.resolve(result);
      return;
    }
    pending.taken.then(
      () => {
        if (!this.#pending.delete(call)) return;
        pending.release();
        pending.parts.resolve(result);
      },
      (error: unknown) => this.#settle(call, SkeinError.from(error)),
    );
  }

  #receivePart(header: MessageHeader, pending: Pending, value: unknown): void {
    const { method, options } = pending.parts;
    if (method.part === undefined) throw new SkeinError('a part, though the method streams none', { code: 'invalid' });
    const part = method.part.parse(value);
    const bytes = header.bodyEnd - header.bodyStart;
    pending.untakenBytes += bytes;
    if (pending.untakenBytes > UNTAKEN_BYTES_MAX)
      throw new SkeinError('more parts than it had credit for', { code: 'invalid' });
    const take = async () => {
      // Its caller may have what it asked for from somebody else by now.
      if (this.#pending.get(header.call) !== pending) return;
      await options.onPart?.(part);
      pending.untakenBytes -= bytes;
      this.#giveCredit(header, pending, bytes);
    };
    const taken = pending.taken === undefined ? take() : pending.taken.then(take);
    pending.taken = taken;
    taken.catch((error: unknown) => this.#stop(header.call, SkeinError.from(error)));
  }

  #giveCredit(header: MessageHeader, pending: Pending, bytes: number): void {
    pending.takenBytes += bytes;
    if (pending.takenBytes < CREDIT_BYTES / 2 || this.#pending.get(header.call) === undefined || !this.#link.isOpen) return;
    const body = String(pending.takenBytes);
    pending.takenBytes = 0;
    this.#link.send({
      type: MESSAGE_TYPE.credit,
      priority: 'control',
      budgetMs: 0,
      call: header.call,
      body,
      bodyBytes: body.length,
    });
  }

  /** Ends a call here and tells the peer to stop working on it. */
  #stop(call: number, error: SkeinError): void {
    const pending = this.#pending.get(call);
    if (pending === undefined) return;
    this.#settle(call, error);
    if (!this.#link.isOpen) return;
    // On the lane of its request: a cancel must not overtake what it cancels.
    const { priority = 'interactive' } = pending.parts.options;
    try {
      this.#link.send({ type: MESSAGE_TYPE.cancel, priority, budgetMs: 0, call, body: '', bodyBytes: 0 });
    } catch {
      // No room even for this: the peer stops at the deadline, which it knows.
    }
  }

  #settle(call: number, error: SkeinError): void {
    const pending = this.#pending.get(call);
    if (pending === undefined) return;
    this.#pending.delete(call);
    pending.release();
    pending.parts.reject(error);
  }

  #sweep(nowMs: number): number {
    let nextAtMs = Number.POSITIVE_INFINITY;
    for (const { id, parts } of this.#pending.entries()) {
      const { deadlineAtMs, method, options } = parts;
      if (deadlineAtMs > nowMs) nextAtMs = Math.min(nextAtMs, deadlineAtMs);
      else this.#stop(id, options.late?.() ?? this.#lateError(method));
    }
    return nextAtMs;
  }

  #lateError({ name }: Method): SkeinError {
    return new SkeinError(`${this.#peerName()} did not answer ${name} in the time given`, { code: 'deadline-exceeded' });
  }
}

function errorOf(value: unknown): SkeinError {
  const { code, message, retryAfterMs } = errorBody.parse(value);
  return new SkeinError(message, { code, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
}

/** Of a schema's complaints the first: a peer could make it name very many things. */
function reasonOf(error: unknown): string {
  if (error instanceof z.ZodError) return z.prettifyError({ issues: error.issues.slice(0, 8) });
  return error instanceof Error ? error.message : String(error);
}
