import { jsonWithin, SkeinError } from '@skein/protocol';
import { z } from 'zod';
import { VOLE_DEPTH_MAX, VOLE_VALUES_MAX } from './limits.ts';

const answerShape = z.object({ response: z.unknown().optional() });

/**
 * The message within the answer to an announcement that was posted, as bytes to be verified.
 * @throws SkeinError `unavailable` when there is none.
 */
export function readAnnouncementAnswer(answer: Buffer, url: string): Buffer {
  const text = answer.toString();
  let response: unknown;
  try {
    if (!jsonWithin(text, VOLE_DEPTH_MAX + 1, VOLE_VALUES_MAX)) throw new RangeError('too deep');
    ({ response } = answerShape.parse(JSON.parse(text)));
  } catch (cause) {
    throw new SkeinError(`${url} answered an announcement with something else`, { code: 'unavailable', cause });
  }
  if (response === undefined) {
    throw new SkeinError(`${url} did not say who it is: this node’s key may not be trusted there`, { code: 'unavailable' });
  }
  // Parsed and written once more: what is signed is the canonical form, whatever the form it came in.
  return Buffer.from(JSON.stringify(response));
}
