import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { createIntentsBrain, type Tool, type ToolContext } from '@skein/agent';
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

/** Until it is disposed of, this process can open nothing more: no file, no pipe and no socket. Linux with util-linux. */
export async function noMoreFiles(): Promise<AsyncDisposable> {
  const script = `limit=$(prlimit --pid $PPID --nofile --output SOFT --noheadings)
    prlimit --pid $PPID --nofile=3: && echo && read -r _; prlimit --pid $PPID --nofile=$limit:`;
  // Started before, since none can be then.
  const helper = spawn('sh', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(helper.stdout, 'data');
  return {
    async [Symbol.asyncDispose]() {
      const ended = once(helper, 'exit');
      helper.stdin.end();
      await ended;
    },
  };
}

/** The call the built-in brain makes of a request, or undefined when it makes none. */
export async function intentOf(text: string, tools: readonly Tool[]): Promise<{ name: string; input: unknown } | undefined> {
  const request = { system: '', messages: [{ role: 'user' as const, text }], tools: tools.map(({ descriptor }) => descriptor) };
  const brain = createIntentsBrain({ thisNode: 'desk' });
  for await (const part of brain.respond(request, { signal: new AbortController().signal })) {
    if (part.type === 'tool-call') return { name: part.call.name, input: part.call.input };
  }
  return undefined;
}
