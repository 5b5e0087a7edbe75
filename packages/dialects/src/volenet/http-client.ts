import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Clock } from '@skein/mesh';
import { abortReason, SkeinError } from '@skein/protocol';
import { VOLE_MESSAGE_BYTES_MAX } from './limits.ts';

export interface HttpClientParts {
  readonly clock: Clock;
  /** Certificates to trust in place of the system's, PEM. */
  readonly ca?: string | undefined;
}

export interface HttpAsk {
  readonly method: 'GET' | 'POST';
  readonly body?: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** What came back. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: Buffer;
}

/** Asks configured peers over HTTP; follows no redirect, so nobody is sent elsewhere. */
export class HttpClient {
  readonly #parts: HttpClientParts;

  constructor(parts: HttpClientParts) {
    this.#parts = parts;
  }

  /** @throws SkeinError `unavailable`, `deadline-exceeded`, `canceled`, `too-large` for an answer above a message's bound. */
  ask(url: string, { method, body, timeoutMs, signal }: HttpAsk): Promise<HttpAnswer> {
    const { clock, ca } = this.#parts;
    return new Promise((resolve, reject) => {
      if (signal.aborted) throw abortReason(signal);
      const send = url.startsWith('https:') ? httpsRequest : httpRequest;
      const request = send(url, {
        method,
        ...(ca === undefined ? {} : { ca }),
        headers: body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
      });
      const fail = (error: SkeinError) => {
        release();
        request.destroy();
        reject(error);
      };
      const abort = () => fail(abortReason(signal));
      const late = () => fail(new SkeinError(`${url} did not answer within ${timeoutMs} ms`, { code: 'deadline-exceeded' }));
      const releaseTimer = clock.after(timeoutMs, late);
      const release = () => {
        releaseTimer();
        signal.removeEventListener('abort', abort);
      };
      signal.addEventListener('abort', abort, { once: true });
      const broken = (cause: Error) =>
        fail(new SkeinError(`Nobody answers at ${url}: ${cause.message}`, { code: 'unavailable', cause }));
      request.on('error', broken);
      request.on('response', (response) => {
        response.on('error', broken);
        collect(response, VOLE_MESSAGE_BYTES_MAX).then(
          (whole) => {
            release();
            resolve({ status: response.statusCode ?? 0, body: whole });
          },
          (error: unknown) => fail(SkeinError.from(error)),
        );
      });
      request.end(body);
    });
  }
}

/** The whole body of a request or an answer. @throws SkeinError `too-large`; `unavailable` when it breaks off. */
export function collect(stream: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= maxBytes) chunks.push(chunk);
      else {
        stream.destroy();
        reject(new SkeinError(`The body is larger than ${maxBytes} bytes`, { code: 'too-large' }));
      }
    });
    stream.once('end', () => resolve(Buffer.concat(chunks)));
    stream.once('close', () => reject(new SkeinError('The body broke off', { code: 'unavailable' })));
  });
}
