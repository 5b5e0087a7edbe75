import { depthWithin, type Json, SkeinError } from '@skein/protocol';
import { z } from 'zod';
import { fitJson } from './fit-json.ts';

const MAX_ERROR_CHARS = 2_000;
const MAX_DEPTH = 64;
const MAX_PIECE_CHARS = 8_192;

/**
 * A tool's output as JSON of at most so many characters: what is too long in it is cut, with a note there, and its shape
 * stays. Text when it nests too deep. @throws SkeinError `invalid` when it is not JSON.
 */
export function boundedOutput(output: unknown, maxChars: number): Json {
  let text: string | undefined;
  try {
    text = JSON.stringify(output ?? null);
  } catch (thrown) {
    throw notJson(thrown);
  }
  if (text === undefined) throw notJson(undefined);
  const value: unknown = JSON.parse(text);
  const shallow = depthWithin(value, MAX_DEPTH) ? value : text;
  return z.json().parse(shallow === value && text.length <= maxChars ? value : fitJson(shallow, maxChars));
}

/** A failure as the model is told it. */
export function failureOutput(error: SkeinError): Json {
  return { error: error.message.slice(0, MAX_ERROR_CHARS).toWellFormed(), code: error.code };
}

/**
 * Partial output on its way to the reader: gathered while the reader is busy, so a tool that emits without waiting
 * holds one bounded text and not one promise an emit; beyond the bound it is dropped, and that is said once.
 */
export class DeltaRelay {
  readonly #send: (delta: string) => Promise<void>;
  readonly #maxChars: number;
  #waiting = '';
  #taken = 0;
  #sending: Promise<void> | undefined;
  #closed = false;

  constructor(parts: { readonly send: (delta: string) => Promise<void>; readonly maxChars: number }) {
    this.#send = parts.send;
    this.#maxChars = parts.maxChars;
  }

  emit(delta: string): Promise<void> {
    const room = this.#maxChars - this.#taken;
    // A turn of the event loop, or a tool that talks without end would let nothing else run.
    if (this.#closed || room <= 0) return this.#sending ?? new Promise((resolve) => setImmediate(resolve));
    this.#taken += delta.length;
    this.#waiting += delta.length < room ? delta : `${delta.slice(0, room)}\n[more output is not shown]`;
    if (this.#sending === undefined) {
      this.#sending = this.#drain();
      this.#sending.catch(() => undefined); // A tool that does not wait must not end the process with a reader gone.
    }
    return this.#sending;
  }

  /** Takes nothing more in; resolves when what was taken is sent. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#sending;
  }

  async #drain(): Promise<void> {
    while (this.#waiting !== '') {
      const piece = this.#waiting.slice(0, MAX_PIECE_CHARS);
      this.#waiting = this.#waiting.slice(MAX_PIECE_CHARS);
      await this.#send(piece);
    }
    this.#sending = undefined;
  }
}

function notJson(cause: unknown): SkeinError {
  return new SkeinError('The tool returned something that is not JSON', { code: 'invalid', cause });
}
