import { STATUS_CODES } from 'node:http';
import { SkeinError } from '@skein/protocol';
import type { Target } from './egress-policy.ts';

/** Why a request is not passed on, as a program is told. */
export interface Refusal {
  /** It was not granted. */
  readonly denied: boolean;
  readonly status: number;
  /** The reason phrase, which is all that some clients show: the text, as far as it fits there. */
  readonly reason: string;
  readonly text: string;
}

const MAX_REASON_CHARS = 400;

/** What failed on the way to a target; what it was is told only where the program needs it to go on. */
export function refusalOf(error: unknown, target: Target | undefined): Refusal {
  if (!(error instanceof SkeinError)) {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    return { ...refusal(502, `${target?.host}:${target?.port} cannot be reached${code}`), denied: false };
  }
  switch (error.code) {
    case 'denied':
      return { ...refusal(403, error.message), denied: true };
    case 'invalid':
      return { ...refusal(400, error.message), denied: false };
    case 'deadline-exceeded':
      return { ...refusal(504, error.message), denied: false };
    default:
      return { ...refusal(502, error.message), denied: false };
  }
}

/** A whole answer to CONNECT, after which the connection ends. */
export function answerRefusal({ status, reason, text }: Refusal): string {
  const head = `HTTP/1.1 ${status} ${reason}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(text)}`;
  return `${head}\r\nConnection: close\r\n\r\n${text}`;
}

function refusal(status: number, text: string): Omit<Refusal, 'denied'> {
  const fits = /^[\x20-\x7e]+$/.test(text) && text.length <= MAX_REASON_CHARS;
  return { status, reason: fits ? text : (STATUS_CODES[status] ?? ''), text };
}
