import { randomUUID } from 'node:crypto';
import { type Database, openDatabase } from '@skein/engine';
import { createIdentity, type PeerId, type TaskOutcome } from '@skein/protocol';
import { VirtualClock } from '@skein/testing';
import type { Brain } from '../src/brain/brain.ts';
import { memoryMigrations } from '../src/memory/memory-migrations.ts';
import { MemoryStore } from '../src/memory/memory-store.ts';
import { sessionMigrations } from '../src/session/session-migrations.ts';
import { SessionStore } from '../src/session/session-store.ts';
import { LocalExecutor } from '../src/task/local-executor.ts';
import type { ExecutorContext, Placement, Task, TaskDraft, TaskExecutor, TaskOwner } from '../src/task/task.ts';
import { TaskJournal } from '../src/task/task-journal.ts';
import type { TaskLimits } from '../src/task/task-limits.ts';
import { taskMigrations } from '../src/task/task-migrations.ts';
import { TaskRunner, type TaskRunnerParts } from '../src/task/task-runner.ts';
import type { Tool } from '../src/tool/tool.ts';
import { type NamedTool, ToolSet } from '../src/tool/tool-set.ts';
import { Agent } from '../src/turn/agent.ts';
import type { AgentOptions } from '../src/turn/agent-options.ts';

/** The node of these tests, and others. */
export const ME = createIdentity().id;
export const PEERS = Array.from({ length: 4 }, () => createIdentity().id);
export const [ALICE = ME, BOB = ME, CAROL = ME] = PEERS;

/** A task of this node, or of another that hands it over itself. */
export function draft(more: Partial<TaskDraft> = {}): TaskDraft {
  const origin = more.origin ?? ME;
  return {
    origin,
    id: randomUUID(),
    attempt: 1,
    text: 'do it',
    session: 's',
    priority: 'normal',
    interactive: false,
    history: [],
    steps: [],
    path: [origin],
    remainingMs: 600_000,
    ...more,
  };
}

export const done = (text = 'done'): TaskOutcome => ({ state: 'done', text, toolCalls: [], tokens: 0 });

/** Waits until the signal of a run fires. */
export const aborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));

/** An executor from a function. */
export function executor(
  run: (task: Task, context: ExecutorContext) => Promise<TaskOutcome>,
  owner: TaskOwner = 'me',
): TaskExecutor {
  return { owner, run };
}

/** Always this one, for as long as there is a place on this node. */
export function always(one: TaskExecutor): Placement {
  return { choose: (_, { localFree }) => (one.owner === 'me' && !localFree ? 'wait' : one) };
}

export interface TestTasksParts extends Partial<Omit<TaskRunnerParts, 'journal' | 'clock'>> {
  readonly path?: string;
  readonly database?: Database;
  readonly limits?: Partial<TaskLimits>;
  readonly self?: PeerId;
  readonly clock?: VirtualClock;
  /** Names the boot of the machine that the node runs on; without, there is no telling. */
  readonly boot?: string;
}

/** A journal and a runner on virtual time; started when `placement` is given. */
export async function createTestTasks(parts: TestTasksParts = {}) {
  const clock = parts.clock ?? new VirtualClock();
  const database =
    parts.database ?? openDatabase({ path: parts.path ?? ':memory:', migrations: [...sessionMigrations, ...taskMigrations] });
  const sessions = new SessionStore({ database, now: () => clock.now() });
  const journal = new TaskJournal({
    database,
    self: parts.self ?? ME,
    sessions,
    now: () => clock.now(),
    machine: parts.boot === undefined ? undefined : { boot: parts.boot, steadyMs: () => clock.monotonicMs() },
    ...(parts.limits === undefined ? {} : { limits: parts.limits }),
  });
  const errors: unknown[] = [];
  const { placement = { choose: () => undefined } } = parts;
  const runner = new TaskRunner({ onError: (error) => errors.push(error), ...parts, placement, journal, clock });
  if (parts.placement !== undefined) await runner.start();
  return {
    clock,
    database,
    sessions,
    journal,
    runner,
    errors,
    /** Takes a task in and waits for its end. */
    async run(task: TaskDraft): Promise<TaskOutcome> {
      await runner.submit(task);
      return runner.outcome(task, { signal: new AbortController().signal });
    },
    async [Symbol.asyncDispose]() {
      await runner[Symbol.asyncDispose]();
      database.close();
    },
  };
}

export type TestTasks = Awaited<ReturnType<typeof createTestTasks>>;

/** An executor with an agent of its own, and what it takes to look into it. */
export function agentExecutor(parts: {
  readonly brain: Brain;
  readonly tools?: readonly Tool[];
  readonly self?: PeerId;
  readonly options?: Partial<AgentOptions>;
  readonly mayUse?: (task: Task, named: NamedTool) => boolean;
}) {
  const database = openDatabase({ path: ':memory:', migrations: [...sessionMigrations, ...memoryMigrations] });
  const sessions = new SessionStore({ database, now: Date.now });
  const memory = new MemoryStore({ database, now: Date.now, randomId: randomUUID });
  const tools = new ToolSet();
  for (const tool of parts.tools ?? []) tools.add(tool);
  const { brain, options = {} } = parts;
  const agent = new Agent({ brain, tools, sessions, memory, now: Date.now, randomId: randomUUID, options });
  const local = new LocalExecutor({ agent, self: parts.self ?? ME, mayUse: parts.mayUse ?? (() => true) });
  return { agent, sessions, memory, executor: local };
}
