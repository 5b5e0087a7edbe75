import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  type Placement,
  SessionStore,
  sessionMigrations,
  type TaskDraft,
  type TaskExecutor,
  type TaskInfo,
  TaskJournal,
  TaskRunner,
  taskMigrations,
} from '@skein/agent';
import { openDatabase } from '@skein/engine';
import { systemClock } from '@skein/mesh';
import { createIdentity, type PeerId } from '@skein/protocol';
import { atLeast, atMost, type Figure } from '../figure.ts';
import { median, pause, quantile } from '../measure.ts';

/** As many as one node may have open of its own. */
const TASKS = 10_000;
/** Callers that each wait for their task to be accepted before they hand in the next: as many as one commit takes. */
const CALLERS = 256;
const PACED_PER_SECOND = 1_000;
/** Half of what the journal remembers of those that ended. */
const FINISHED = 2_000;
/** Tasks at once: what a node does when nothing is configured, and the most it can be configured to. */
const CAPACITIES = [4, 256] as const;

/** Tasks on an SQLite file: accepted means that they are on the disk. */
export const durableTasks: Figure = {
  title: 'durable tasks',
  async measure({ repeats, taskSeconds }) {
    const rates: number[] = [];
    for (let run = 0; run < repeats; run += 1) rates.push(await acceptedPerSecond());
    const paced = await acceptedAtPace(taskSeconds);
    const finished: (readonly [number, number])[] = [];
    for (const capacity of CAPACITIES) finished.push([capacity, await finishedPerSecond(capacity)]);
    return [
      atLeast('tasks accepted', '/s', 10_000, median(rates)),
      atMost(`task accepted at ${PACED_PER_SECOND}/s, p50`, 'ms', null, quantile(paced, 0.5)),
      atMost(`task accepted at ${PACED_PER_SECOND}/s, p99`, 'ms', 20, quantile(paced, 0.99)),
      ...finished.map(([capacity, rate]) => atLeast(`tasks finished, ${capacity} at once`, '/s', null, rate)),
    ];
  },
};

async function acceptedPerSecond(): Promise<number> {
  await using tasks = await openTasks({ placement: WAITING });
  const startedMs = performance.now();
  await submitAll(tasks, TASKS);
  return (TASKS * 1_000) / (performance.now() - startedMs);
}

/** Milliseconds from the moment each was due to be handed in until it was accepted, sorted. */
async function acceptedAtPace(seconds: number): Promise<Float64Array> {
  await using tasks = await openTasks({ placement: WAITING });
  const count = Math.min(TASKS, seconds * PACED_PER_SECOND);
  const startedMs = performance.now();
  const dueMs = (place: number) => startedMs + (place * 1_000) / PACED_PER_SECOND;
  const accepted: Promise<number>[] = [];
  while (accepted.length < count) {
    for (let due = dueMs(accepted.length); due <= performance.now() && accepted.length < count; ) {
      const since = due;
      accepted.push(tasks.runner.submit(tasks.draft()).then(() => performance.now() - since));
      due = dueMs(accepted.length);
    }
    await pause(1);
  }
  return Float64Array.from(await Promise.all(accepted)).sort();
}

/** From the first one handed in until the last one's end is on the disk. */
async function finishedPerSecond(capacity: number): Promise<number> {
  const all = Promise.withResolvers<void>();
  let left = FINISHED;
  const onEnded = ({ state }: TaskInfo) => {
    left -= 1;
    if (state !== 'done') all.reject(new Error(`A task ended as ${state}`));
    else if (left === 0) all.resolve();
  };
  await using tasks = await openTasks({ placement: RUNNING, capacity, onEnded });
  const startedMs = performance.now();
  await submitAll(tasks, FINISHED);
  await all.promise;
  return (FINISHED * 1_000) / (performance.now() - startedMs);
}

async function submitAll(tasks: OpenTasks, count: number): Promise<void> {
  let left = count;
  const keepSubmitting = async () => {
    while (left > 0) {
      left -= 1;
      await tasks.runner.submit(tasks.draft());
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, keepSubmitting));
}

const WAITING: Placement = { choose: () => 'wait' };

const TRIVIAL: TaskExecutor = {
  owner: 'me',
  run: async () => ({ state: 'done', text: 'done', toolCalls: [], tokens: 0 }),
};

const RUNNING: Placement = { choose: (_task, { localFree }) => (localFree ? TRIVIAL : 'wait') };

interface OpenTasks extends AsyncDisposable {
  readonly runner: TaskRunner;
  draft(): TaskDraft;
}

/** A journal in a folder of its own, with conversations as a node has them. */
async function openTasks(parts: {
  readonly placement: Placement;
  readonly capacity?: number;
  readonly onEnded?: (task: TaskInfo) => void;
}): Promise<OpenTasks> {
  const { placement, capacity = 4, onEnded = () => {} } = parts;
  const folder = await mkdtemp(path.join(tmpdir(), 'skein-bench-tasks-'));
  const database = openDatabase({
    path: path.join(folder, 'tasks.db'),
    migrations: [...sessionMigrations, ...taskMigrations],
  });
  const { now } = systemClock;
  const self = createIdentity().id;
  const sessions = new SessionStore({ database, now });
  const journal = new TaskJournal({ database, self, sessions, now });
  const runner = new TaskRunner({ journal, placement, clock: systemClock, options: { capacity }, onEnded });
  await runner.start();
  return {
    runner,
    draft: () => draftOf(self),
    async [Symbol.asyncDispose]() {
      await runner[Symbol.asyncDispose]();
      database.close();
      await rm(folder, { recursive: true });
    },
  };
}

/** A task in a conversation of its own. */
function draftOf(origin: PeerId): TaskDraft {
  const id = randomUUID();
  return {
    origin,
    id,
    attempt: 1,
    text: 'How full are the disks of all machines, and which of them will be full within a week?',
    session: `bench-${id}`,
    priority: 'normal',
    interactive: false,
    history: [],
    steps: [],
    path: [origin],
    remainingMs: 600_000,
  };
}
