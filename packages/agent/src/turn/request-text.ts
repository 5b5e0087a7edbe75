import { SkeinError, TASK_TEXT_CHARS_MAX } from '@skein/protocol';

/**
 * The text of a request, for whoever is about to take one in: what passes here is never refused for its length later.
 * @throws SkeinError `invalid` for an empty one, `too-large` above `TASK_TEXT_CHARS_MAX` characters.
 */
export function checkRequestText(text: string): string {
  if (text.trim() === '') throw new SkeinError('There is nothing to answer: the text is empty', { code: 'invalid' });
  if (text.length <= TASK_TEXT_CHARS_MAX) return text;
  throw new SkeinError(`A text of ${text.length} characters is over the ${TASK_TEXT_CHARS_MAX} taken: shorten it`, {
    code: 'too-large',
  });
}
