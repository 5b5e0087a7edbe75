import { SkeinError } from '@skein/protocol';

export interface FetchBounds {
  /** Of a whole body, after decompression. */
  readonly maxBytes: number;
  /** Without a line end; a stream's reader keeps a line until it is whole. */
  readonly maxLineBytes: number;
}

/** An error's body beyond this is cut off: only its first words are read. */
const MAX_ERROR_BYTES = 64 * 1024;
const LINE_END = 0x0a;

/**
 * A fetch that ends a response beyond its bounds with `too-large`, and follows no redirect: a key sent in a header of
 * its own would be sent along to wherever it points.
 */
export function createBoundedFetch(inner: typeof fetch, bounds: FetchBounds): typeof fetch {
  return async (input, init) => {
    const response = await inner(input, { ...init, redirect: 'manual' });
    if (response.type === 'opaqueredirect' || (response.status >= 300 && response.status < 400)) {
      await response.body?.cancel();
      throw new SkeinError('It answered with a redirect, which is not followed; set baseUrl to the final address', {
        code: 'unavailable',
      });
    }
    if (response.body === null) return response;
    const { ok, status, statusText, headers } = response;
    const limit = ok ? createLimit(bounds) : createCut(MAX_ERROR_BYTES);
    return new Response(response.body.pipeThrough(limit), { status, statusText, headers });
  };
}

function createLimit({ maxBytes, maxLineBytes }: FetchBounds): TransformStream<Uint8Array, Uint8Array> {
  let bytes = 0;
  let lineBytes = 0;
  return new TransformStream({
    transform(chunk, controller) {
      bytes += chunk.byteLength;
      const end = chunk.lastIndexOf(LINE_END);
      lineBytes = end === -1 ? lineBytes + chunk.byteLength : chunk.byteLength - end - 1;
      if (bytes <= maxBytes && lineBytes <= maxLineBytes) return controller.enqueue(chunk);
      const bound = bytes > maxBytes ? `${maxBytes} bytes` : `${maxLineBytes} bytes in one line`;
      throw new SkeinError(`It answered with more than ${bound}`, { code: 'too-large' });
    },
  });
}

function createCut(maxBytes: number): TransformStream<Uint8Array, Uint8Array> {
  let room = maxBytes;
  return new TransformStream({
    transform(chunk, controller) {
      controller.enqueue(chunk.subarray(0, room));
      room -= chunk.byteLength;
      if (room <= 0) controller.terminate();
    },
  });
}
