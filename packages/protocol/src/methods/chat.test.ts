import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { CHAT_CHARS_MAX, chatSend } from './chat.ts';

const id = randomUUID();
const fits = (params: unknown) => chatSend.params.safeParse(params).success;

test('a message has a UUID and 1 to 4,000 characters of any kind', () => {
  expect(fits({ id, text: 'a' })).toBe(true);
  expect(fits({ id, text: '\ud800\0\u001b[2J' })).toBe(true);
  expect(fits({ id, text: 'x'.repeat(CHAT_CHARS_MAX) })).toBe(true);
});

test.each([
  ['no id', { text: 'a' }],
  ['an id that is no UUID', { id: '../../etc', text: 'a' }],
  ['no text', { id }],
  ['an empty text', { id, text: '' }],
  ['a text that is too long', { id, text: 'x'.repeat(CHAT_CHARS_MAX + 1) }],
  ['a text that is none', { id, text: ['a'] }],
  ['nothing', null],
])('%s is refused', (_what, params) => {
  expect(fits(params)).toBe(false);
});
