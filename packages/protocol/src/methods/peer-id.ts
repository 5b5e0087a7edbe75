import { z } from 'zod';
import { type PeerId, parsePeerId } from '../ids.ts';

/** A peer's id in params; the value is branded. */
export const peerId = z.string().transform((text, context): PeerId => {
  try {
    return parsePeerId(text);
  } catch {
    context.addIssue({ code: 'custom', message: 'expected a peer id' });
    return z.NEVER;
  }
});
