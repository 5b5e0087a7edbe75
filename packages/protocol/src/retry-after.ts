import { z } from 'zod';

const LEAST_MS = 100;
const MOST_MS = 3_600_000;

/** How long a peer asks to be left alone, in milliseconds; whatever it says, a tenth of a second at least and an hour at most. */
export const retryAfter = z
  .number()
  .nonnegative()
  .transform((ms) => Math.min(Math.max(ms, LEAST_MS), MOST_MS));
