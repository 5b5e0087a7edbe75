import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Contender, Facts } from './contender.ts';
import type { Measurement } from './measure.ts';
import type { WorkerAnswer, WorkerRequest } from './worker.ts';

const WORKER = fileURLToPath(new URL('./worker.ts', import.meta.url));

/** A contender's two processes, connected to each other. */
export interface Pair extends AsyncDisposable {
  readonly contender: Contender;
  measure(run: { readonly inFlight: number; readonly durationMs: number }): Promise<Measurement>;
}

/** Starts both sides of a contender. `execArgv` go to the Node of each. */
export async function startPair(contender: Contender, execArgv: readonly string[]): Promise<Pair> {
  await using started = new AsyncDisposableStack();
  let facts: Facts = {};
  if (contender.prepare !== undefined) facts = started.use(await contender.prepare()).facts;
  const server = started.adopt(startWorker('serve', contender.name, execArgv), stopWorker);
  // What starts last stops first, so no caller sees its server vanish.
  const caller = started.adopt(startWorker('connect', contender.name, execArgv), stopWorker);
  const told = await ask(server, { type: 'start', facts });
  if (told.type === 'started') facts = { ...facts, ...told.facts };
  await ask(caller, { type: 'start', facts });
  const stack = started.move();
  return {
    contender,
    async measure(run) {
      const answer = await ask(caller, { type: 'measure', ...run });
      if (answer.type !== 'measured') throw new Error(`${contender.name} answered with ${answer.type}`);
      return answer.measurement;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

async function stopWorker(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  if (child.connected) child.disconnect();
  await ended;
}

function startWorker(side: 'serve' | 'connect', name: string, execArgv: readonly string[]): ChildProcess {
  return fork(WORKER, [side, name], { execArgv: ['--conditions=skein-source', ...execArgv] });
}

/** @throws Error when the side failed or ended. */
async function ask(child: ChildProcess, request: WorkerRequest): Promise<WorkerAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<WorkerAnswer>();
  const onExit = (code: number | null) => reject(new Error(`A process of the benchmark ended with ${code}`));
  child.once('message', resolve);
  child.once('exit', onExit);
  child.send(request);
  try {
    const answer = await promise;
    if (answer.type === 'failed') throw new Error(answer.message);
    return answer;
  } finally {
    child.off('message', resolve);
    child.off('exit', onExit);
  }
}
