import type { Tool } from '@skein/agent';
import { SkeinError, toolDescriptor } from '@skein/protocol';

/** The tools among a module's exports. @throws SkeinError `invalid` when there are none, or one is broken. */
export function collectTools(module: Readonly<Record<string, unknown>>): Tool[] {
  const exports = Object.entries(module);
  const tools = exports.flatMap(([name, value]) => {
    const problem = describeProblem(value);
    if (problem === undefined) return isTool(value) ? [value] : [];
    throw new SkeinError(`it exports ${name}, which is no tool: ${problem}`, { code: 'invalid' });
  });
  if (tools.length > 0) return tools;
  const names = exports.map(([name]) => name).join(', ');
  throw new SkeinError(
    `it exports no tool (${names === '' ? 'nothing at all' : names}); write: export const hello = defineTool({ … })`,
    { code: 'invalid' },
  );
}

/** What is wrong with an export that means to be a tool; undefined for a good one and for anything else. */
function describeProblem(value: unknown): string | undefined {
  if (!isObject(value)) return undefined;
  if (!('descriptor' in value)) {
    return 'run' in value && 'input' in value && 'description' in value ? 'wrap it in defineTool(…)' : undefined;
  }
  const parsed = toolDescriptor.safeParse(value.descriptor);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return `its ${issue?.path.join('.') || 'descriptor'} is wrong (${issue?.message ?? 'invalid'})`;
  }
  return isTool(value) ? undefined : 'it lacks run or untrusted; make it with defineTool(…)';
}

function isTool(value: unknown): value is Tool {
  return (
    isObject(value) &&
    toolDescriptor.safeParse(value.descriptor).success &&
    typeof value.run === 'function' &&
    typeof value.untrusted === 'boolean'
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
