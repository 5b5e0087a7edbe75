import type { z } from 'zod';

const SHOWN_ISSUES = 8;

/** What is wrong with a tool's input, in one line that a person and a model can act on. */
export function explainInput(schema: z.ZodObject, tool: string, issues: readonly z.core.$ZodIssue[]): string {
  const known = Object.keys(schema.shape);
  const takes = known.length === 0 ? 'it takes nothing' : `it takes ${known.join(', ')}`;
  const told = issues.slice(0, SHOWN_ISSUES).map(({ path, message }) => {
    const where = path.map(String).join('.');
    const what = message.replace(/^Invalid input: /, '');
    return where === '' ? what : `${where}: ${what}`;
  });
  return `${tool}: ${told.join('; ')}; ${takes}`;
}
