import { stripVTControlCharacters } from 'node:util';

/** Controls but tab and line feed, and the marks that turn the direction of text around. */
const CONTROLS = /[^\P{Cc}\t\n]|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
/** Characters of an escape sequence that may arrive in pieces; a longer one is shown without its controls. */
const HELD_CHARACTERS = 200;

/** What may stand behind an escape while its sequence has not ended: parameters (CSI) or a text (OSC), ECMA-48. */
const OPEN_SEQUENCE = /^(?:\[[0-?]*[ -/]*|\]\P{Cc}*)?$/u;

/** Text from a peer, tool or model as a terminal may have it: nothing in it moves the cursor, colours or hides. */
export function plainText(text: string): string {
  return stripVTControlCharacters(text).replaceAll(CONTROLS, '');
}

/** The same on one line, cut to `characters`. */
export function plainLine(text: string, characters: number): string {
  const line = plainText(text).replaceAll(/\s+/g, ' ').trim();
  return line.length > characters ? `${line.slice(0, characters - 1)}…` : line;
}

/** `plainText` over a stream, where an escape sequence may be cut in two. */
export class PlainStream {
  #held = '';

  push(chunk: string): string {
    const text = this.#held + chunk;
    const from = text.lastIndexOf('\u001b');
    const isOpen = from >= 0 && text.length - from <= HELD_CHARACTERS && OPEN_SEQUENCE.test(text.slice(from + 1));
    this.#held = isOpen ? text.slice(from) : '';
    return plainText(isOpen ? text.slice(0, from) : text);
  }

  /** What was held back. */
  end(): string {
    const rest = plainText(this.#held);
    this.#held = '';
    return rest;
  }
}
