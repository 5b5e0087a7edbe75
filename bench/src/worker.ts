// One side of one contender, in a process of its own: `worker.ts serve|connect NAME`, told the rest over its channel.
import type { Caller, Facts, Running } from './contender.ts';
import { findContender } from './contenders.ts';
import { type Measurement, measureCalls } from './measure.ts';

/** What the main process asks of a side. */
export type WorkerRequest =
  | { readonly type: 'start'; readonly facts: Facts }
  | { readonly type: 'measure'; readonly inFlight: number; readonly durationMs: number };

/** What a side answers, one answer a request. */
export type WorkerAnswer =
  | { readonly type: 'started'; readonly facts: Facts }
  | { readonly type: 'measured'; readonly measurement: Measurement }
  | { readonly type: 'failed'; readonly message: string };

const [side = '', name = ''] = process.argv.slice(2);
const contender = findContender(name);
let running: Running | undefined;
let caller: Caller | undefined;

process.on('message', (message: WorkerRequest) => {
  answer(message).then(send, (error: unknown) => send({ type: 'failed', message: `${name}: ${String(error)}` }));
});

// The main process left, or wants no more: the loop empties by itself.
process.on('disconnect', async () => {
  await caller?.[Symbol.asyncDispose]();
  await running?.[Symbol.asyncDispose]();
});

async function answer(request: WorkerRequest): Promise<WorkerAnswer> {
  switch (request.type) {
    case 'start': {
      if (side === 'connect') {
        caller = await contender.connect(request.facts);
        return { type: 'started', facts: {} };
      }
      running = await contender.serve(request.facts);
      return { type: 'started', facts: running.facts };
    }
    case 'measure': {
      if (caller === undefined) throw new Error('not connected');
      return { type: 'measured', measurement: await measureCalls(caller, request) };
    }
  }
}

function send(message: WorkerAnswer): void {
  process.send?.(message);
}
