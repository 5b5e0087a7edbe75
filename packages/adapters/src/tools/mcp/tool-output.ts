import type { CallToolResult, ContentBlock } from '@modelcontextprotocol/client';
import { type Json, jsonWithin } from '@skein/protocol';
import { z } from 'zod';

const MAX_CHARS = 262_144;
const MAX_DEPTH = 24;
const MAX_VALUES = 16_384;
const MAX_NOTE_CHARS = 300;

/** A result as a tool's output: what it holds as structure, else its text; of pictures and sounds only that they are there. */
export function outputOf({ structuredContent, content }: CallToolResult): Json {
  const structured = structureOf(structuredContent);
  if (structured === undefined) return textOf(content);
  const notes = content.filter((block) => block.type !== 'text');
  return notes.length === 0 ? structured : { structured, text: textOf(notes) };
}

/** All the text of a result, with a line for each part that is none. */
export function textOf(content: readonly ContentBlock[]): string {
  let text = '';
  for (const block of content) {
    text += `${text === '' ? '' : '\n'}${wordsOf(block)}`;
    if (text.length > MAX_CHARS) return `${text.slice(0, MAX_CHARS).toWellFormed()}\n[cut here at ${MAX_CHARS} characters]`;
  }
  return text.toWellFormed();
}

function structureOf(value: unknown): Json | undefined {
  if (value === undefined || value === null) return undefined;
  const text = JSON.stringify(value);
  // What is larger stands in the text too, as MCP asks of servers, where it can be cut.
  if (text.length > MAX_CHARS || !jsonWithin(text, MAX_DEPTH, MAX_VALUES)) return undefined;
  return z.json().parse(JSON.parse(text));
}

function wordsOf(block: ContentBlock): string {
  switch (block.type) {
    case 'text':
      return block.text;
    case 'image':
    case 'audio':
      return note(`${block.type}, ${block.mimeType}, ${bytesOf(block.data)} bytes, not shown`);
    case 'resource_link':
      return note(`resource ${block.name}: ${block.uri}`);
    case 'resource':
      return 'text' in block.resource
        ? block.resource.text
        : note(`resource ${block.resource.uri}, ${bytesOf(block.resource.blob)} bytes, not shown`);
  }
}

function note(text: string): string {
  return `[${text.slice(0, MAX_NOTE_CHARS)}]`;
}

/** Of what is base64. */
function bytesOf(text: string): number {
  return Math.floor((text.length * 3) / 4);
}
