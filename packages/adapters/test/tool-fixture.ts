import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { ToolContext } from '@skein/agent';
import { SkeinError } from '@skein/protocol';

/** A new folder that is removed with all it holds. */
export async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await realpath(await mkdtemp(join(tmpdir(), 'skein-tools-')));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** A context that keeps the partial output. */
export function toolContext(signal: AbortSignal = new AbortController().signal): ToolContext & { readonly deltas: string[] } {
  const deltas: string[] = [];
  return {
    signal,
    deltas,
    async emit(delta) {
      deltas.push(delta);
    },
  };
}

/** What a promise rejects with. */
export async function rejection(work: Promise<unknown>): Promise<SkeinError> {
  const result: unknown = await work.then(
    (value) => new Error(`resolved with ${JSON.stringify(value)}`),
    (error: unknown) => error,
  );
  if (result instanceof SkeinError) return result;
  throw new Error('expected a SkeinError', { cause: result });
}

/** Resolves once the condition holds; rejects when it does not within ten seconds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const endAt = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > endAt) throw new Error('it did not come true within ten seconds');
    await wait(5);
  }
}
