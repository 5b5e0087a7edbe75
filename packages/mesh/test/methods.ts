import { defineMethod } from '@skein/protocol';
import { z } from 'zod';

/** A method for tests: text in, text out, letters on the way. */
export const echo = defineMethod({
  name: 'test.echo',
  grant: 'tools',
  params: z.object({ text: z.string() }),
  result: z.object({ text: z.string() }),
  part: z.object({ text: z.string() }),
  idempotent: true,
});
