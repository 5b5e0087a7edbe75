import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { type Database, openDatabase } from '@skein/engine';
import { parsePeerId } from '@skein/protocol';
import type { Brain } from '../src/brain/brain.ts';
import { sessionMigrations } from '../src/session/session-migrations.ts';
import { SessionStore } from '../src/session/session-store.ts';
import { LocalExecutor } from '../src/task/local-executor.ts';
import type { TaskClock } from '../src/task/task.ts';
import { TaskJournal } from '../src/task/task-journal.ts';
import { taskMigrations } from '../src/task/task-migrations.ts';
import { TaskRunner } from '../src/task/task-runner.ts';
import { ToolSet } from '../src/tool/tool-set.ts';
import { Agent } from '../src/turn/agent.ts';
import { tool } from './test-agent.ts';

/**
 * Run by the kill test: a node's tasks alone. Its one line of input says what to do and at which write to die; it prints
 * what it acknowledges. What its tools do is written to a file of its own, as another system would keep it.
 */
interface Order {
  readonly database: string;
  readonly effects: string;
  readonly self: string;
  readonly submit: readonly string[];
  /** Dies when it comes to this write, or once that is on the disk. */
  readonly dieAt: { readonly write: number; readonly when: 'before' | 'after' } | null;
}

const order = await readOrder();
const clock: TaskClock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(ms, fire) {
    const timer = setTimeout(fire, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
const database = mortal(openDatabase({ path: order.database, migrations: [...sessionMigrations, ...taskMigrations] }));
const sessions = new SessionStore({ database, now: clock.now });
const self = parsePeerId(order.self);
const journal = new TaskJournal({ database, self, sessions, now: clock.now });
const tools = new ToolSet({
  local: (['read', 'idempotent', 'at-most-once'] as const).map((effect) =>
    tool(
      effect.replaceAll('-', '_'),
      async (input, { key }) => {
        appendFileSync(order.effects, `${JSON.stringify({ effect, key, n: input.n, chance: input.chance })}\n`);
        await new Promise(setImmediate);
        return `did ${String(input.n)}`;
      },
      { effect },
    ),
  ),
});
const agent = new Agent({ brain: script(), tools, sessions, now: clock.now, randomId: () => crypto.randomUUID() });
const local = new LocalExecutor({ agent, self, mayUse: () => true });
const runner = new TaskRunner({
  journal,
  clock,
  placement: { choose: (_, { localFree }) => (localFree ? local : 'wait') },
  options: { maxCrashes: 1_000 },
});
await runner.start();
const before = journal.list({ limit: 1_000 }).filter(({ state }) => state === 'queued' || state === 'running');
const submitted = order.submit.map(async (id) => {
  const draft = { origin: self, id, attempt: 1, text: id, session: id, priority: 'normal', interactive: false } as const;
  await runner.submit({ ...draft, history: [], steps: [], path: [self], remainingMs: 600_000 });
  print(`accepted ${id}`);
  await ended(id);
});
await Promise.all([...submitted, ...before.map(({ id }) => ended(id))]);
await runner[Symbol.asyncDispose]();
database.close();

async function ended(id: string): Promise<void> {
  const { state } = await runner.outcome({ origin: self, id }, { signal: new AbortController().signal });
  print(`ended ${id} ${state}`);
}

/** Two answers with calls of all kinds, whose input it never chooses the same way twice, then one in words. */
function script(): Brain {
  return {
    name: 'script',
    async *respond({ messages }) {
      const answers = messages.filter(({ role }) => role === 'assistant').length;
      if (answers === 2) {
        yield { type: 'text-delta', text: 'done' };
        yield { type: 'finish', reason: 'stop' };
        return;
      }
      for (const name of ['read', 'idempotent', 'at_most_once']) {
        yield { type: 'tool-call', call: { id: `${name}-${answers}`, name, input: { n: answers, chance: Math.random() } } };
      }
      yield { type: 'finish', reason: 'tool-calls' };
    },
  };
}

/** The database of a process that dies at one of its writes. */
function mortal(real: Database): Database {
  let writes = 0;
  const die = (when: 'before' | 'after', write: number) => {
    if (order.dieAt?.when === when && order.dieAt.write === write) process.kill(process.pid, 'SIGKILL');
  };
  const write: Database['write'] = async (work) => {
    writes += 1;
    const number = writes;
    die('before', number);
    const value = await real.write(work);
    die('after', number);
    return value;
  };
  return new Proxy(real, {
    get(target, name) {
      if (name === 'write') return write;
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

function print(line: string): void {
  // Synchronous: what was acknowledged has been seen, whatever comes next.
  appendFileSync(1, `${line}\n`);
}

async function readOrder(): Promise<Order> {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdin.destroy();
    // Proven: the kill test wrote it.
    return JSON.parse(line) as Order;
  }
  throw new Error('No order came');
}
