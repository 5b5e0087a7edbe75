import { depthWithin, SkeinError } from '@skein/protocol';
import { z } from 'zod';
import type { GatewayLimits } from './limits.ts';

type BodyLimits = Pick<GatewayLimits, 'maxBodyBytes' | 'maxDepth' | 'bodyTimeoutMs'>;

/**
 * The parsed JSON body of a request. Only `application/json` is read: a form or a "simple" cross-origin request
 * cannot carry that type.
 * @throws SkeinError `unsupported` for another type, `too-large`, `deadline-exceeded`, and `invalid` for what is not
 * JSON, too deep or does not match.
 */
export async function readJsonBody<T extends z.ZodType>(request: Request, schema: T, limits: BodyLimits): Promise<z.infer<T>> {
  const type = request.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase();
  if (type !== 'application/json') {
    throw new SkeinError(`The body is ${type?.slice(0, 60) ?? 'of no type'}: send Content-Type: application/json`, {
      code: 'unsupported',
    });
  }
  const value = parseJson(await readText(request, limits));
  if (!depthWithin(value, limits.maxDepth)) {
    throw new SkeinError(`The body nests deeper than ${limits.maxDepth} levels`, { code: 'invalid' });
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new SkeinError(`The body does not fit: ${z.prettifyError(parsed.error)}`, { code: 'invalid' });
  return parsed.data;
}

async function readText(request: Request, limits: BodyLimits): Promise<string> {
  const tooLarge = new SkeinError(`The body is larger than ${limits.maxBodyBytes} bytes`, { code: 'too-large' });
  if (Number(request.headers.get('content-length') ?? 0) > limits.maxBodyBytes) throw tooLarge;
  if (request.body === null) return '';
  const reader = request.body.getReader();
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () =>
      late.reject(new SkeinError(`The body did not arrive within ${limits.bodyTimeoutMs} ms`, { code: 'deadline-exceeded' })),
    limits.bodyTimeoutMs,
  );
  try {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), late.promise]);
      if (done) break;
      bytes += value.byteLength;
      if (bytes > limits.maxBodyBytes) throw tooLarge;
      chunks.push(value);
    }
    return decode(Buffer.concat(chunks));
  } finally {
    clearTimeout(timer);
    // A body not read to its end is of no more use, and neither is the failure to say so to who sent it.
    void reader.cancel().catch(() => undefined);
  }
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new SkeinError('The body is not UTF-8', { code: 'invalid', cause });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new SkeinError('The body is not JSON', { code: 'invalid', cause });
  }
}
