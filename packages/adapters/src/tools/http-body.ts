import type { IncomingMessage } from 'node:http';
import { pipeline } from 'node:stream';
import { TextDecoder } from 'node:util';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { SkeinError } from '@skein/protocol';

export interface Body {
  readonly bytes: Buffer;
  readonly truncated: boolean;
}

/**
 * Reads a response's body up to a bound, unpacked; what comes after is not read, however small it was packed.
 * @throws SkeinError `unsupported` for an unknown content encoding, `corrupt` for a body that breaks off.
 */
export async function readBody(response: IncomingMessage, maxBytes: number): Promise<Body> {
  const chunks: Buffer[] = [];
  let room = maxBytes;
  try {
    for await (const chunk of unpack(response)) {
      const bytes = Buffer.from(chunk);
      chunks.push(bytes.subarray(0, room));
      if (bytes.length > room) return { bytes: Buffer.concat(chunks), truncated: true };
      room -= bytes.length;
    }
  } catch (error) {
    if (error instanceof SkeinError || response.destroyed === false) throw error;
    throw new SkeinError('The answer broke off before its end', { code: 'corrupt', cause: error });
  } finally {
    response.destroy();
  }
  return { bytes: Buffer.concat(chunks), truncated: false };
}

function unpack(response: IncomingMessage): NodeJS.ReadableStream {
  const encoding = response.headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
  const decoder = decoderOf(encoding);
  if (decoder === undefined) return response;
  // An error in either ends both; the reader sees it from the decoder.
  return pipeline(response, decoder, () => undefined);
}

function decoderOf(encoding: string) {
  switch (encoding) {
    case 'identity':
    case '':
      return undefined;
    case 'gzip':
    case 'x-gzip':
      return createGunzip();
    case 'deflate':
      return createInflate();
    case 'br':
      return createBrotliDecompress();
    default:
      throw new SkeinError(`The answer is packed as ${encoding.slice(0, 40)}, which is not known here`, {
        code: 'unsupported',
      });
  }
}

/** A content type taken apart: `text/html`, `utf-8`. */
export interface ContentType {
  readonly type: string;
  readonly charset: string | undefined;
}

/** RFC 9110, 8.3: the type in lower case and its charset parameter. Empty without a header. */
export function parseContentType(header: string | undefined): ContentType {
  const [type = '', ...parameters] = (header ?? '').slice(0, 300).split(';');
  const charset = parameters
    .map((parameter) => /^\s*charset\s*=\s*"?([\w:.-]+)"?\s*$/i.exec(parameter)?.[1]?.toLowerCase())
    .find((found) => found !== undefined);
  return { type: type.trim().toLowerCase(), charset };
}

/** The body as text with the charset it is in, or undefined when it is not text. */
export function decodeBody({ bytes }: Body, contentType: ContentType): { text: string; charset: string } | undefined {
  if (!isTextual(bytes, contentType)) return undefined;
  const label = markedCharset(bytes) ?? contentType.charset ?? declaredCharset(bytes) ?? 'utf-8';
  const decoder = createDecoder(label) ?? new TextDecoder();
  // `stream` keeps back the half of a character that the bound cut off.
  return { text: decoder.decode(bytes, { stream: true }), charset: decoder.encoding };
}

function isTextual(bytes: Buffer, { type, charset }: ContentType): boolean {
  if (markedCharset(bytes) !== undefined) return true;
  if (/^(text\/|application\/(.+\+)?(json|xml|javascript|ecmascript|yaml|toml|x-ndjson|x-www-form-urlencoded)$)/.test(type)) {
    return charset?.startsWith('utf-16') === true || !bytes.subarray(0, 8_192).includes(0);
  }
  if (/^(image|audio|video|font)\//.test(type) && !type.endsWith('+xml')) return false;
  return !bytes.subarray(0, 8_192).includes(0) && !bytes.subarray(0, 8_192).toString('utf8').slice(0, -1).includes('\uFFFD');
}

/** By the byte order mark, which outranks every declaration (WHATWG Encoding, 6.1). */
function markedCharset(bytes: Buffer): string | undefined {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return 'utf-8';
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return 'utf-16be';
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le';
  return undefined;
}

/** By `<meta charset>` or an XML declaration at the start. */
function declaredCharset(bytes: Buffer): string | undefined {
  const start = bytes.subarray(0, 1_024).toString('latin1');
  return (
    /<meta[^>]{0,200}?charset\s*=\s*["']?([\w:.-]+)/i.exec(start)?.[1] ??
    /<\?xml[^>]{0,200}?encoding=["']([\w:.-]+)/i.exec(start)?.[1]
  );
}

function createDecoder(label: string): TextDecoder | undefined {
  try {
    return new TextDecoder(label);
  } catch {
    // An unknown label, whatever the server meant by it; the text is read as UTF-8.
    return undefined;
  }
}
