import { readFileSync } from 'node:fs';
import { verifyAudit } from '@skein/mesh';
import type { TestHost } from './nodes.ts';

/** The audit records of a node so far, whose chain is whole. */
export function auditOf(node: TestHost): readonly Readonly<Record<string, unknown>>[] {
  verifyAudit(node.file('audit.jsonl'));
  const text = readFileSync(node.file('audit.jsonl'), 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

/** Resolves with what `look` finds; it looks again and again, since what a node writes down no event tells. */
export async function untilFound<T>(look: () => T | undefined): Promise<T> {
  for (const startedMs = performance.now(); ; ) {
    const found = look();
    if (found !== undefined) return found;
    if (performance.now() - startedMs > 15_000) throw new Error(`It was not found within 15 s: ${look.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The audit record of an event, once there is one. */
export function audited(node: TestHost, event: string): Promise<Readonly<Record<string, unknown>>> {
  return untilFound(() => auditOf(node).find((record) => record.event === event));
}
