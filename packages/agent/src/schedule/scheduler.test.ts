import { openDatabase } from '@skein/engine';
import { type PeerId, peerIdOf, SkeinError } from '@skein/protocol';
import { expect, test } from 'vitest';
import { admitTerm } from './admit-term.ts';
import { type Schedule, schedulesOf } from './schedule.ts';
import { heartbeatConfig, schedulesConfig } from './schedule-config.ts';
import { scheduleMigrations } from './schedule-migrations.ts';
import { ScheduleStore } from './schedule-store.ts';
import { type ScheduledRun, type ScheduleEvent, Scheduler } from './scheduler.ts';

const self = peerIdOf(Buffer.alloc(32, 1));
const other = peerIdOf(Buffer.alloc(32, 2));
const NOON = Date.parse('2026-06-01T12:00:30Z');
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** A wall clock to be set, and a monotonic one that only goes on. */
class HandClock {
  wallMs = NOON;
  #monotonicMs = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly fire: () => void }>();

  now(): number {
    return this.wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  after(ms: number, fire: () => void): () => void {
    const timer = { atMs: this.#monotonicMs + ms, fire };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  async advance(ms: number): Promise<void> {
    const endMs = this.#monotonicMs + ms;
    for (;;) {
      const [next] = [...this.#timers].filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
      this.#moveTo(next?.atMs ?? endMs);
      if (next === undefined) return;
      this.#timers.delete(next);
      next.fire();
      await settled();
    }
  }

  #moveTo(monotonicMs: number): void {
    this.wallMs += monotonicMs - this.#monotonicMs;
    this.#monotonicMs = monotonicMs;
  }
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 12; turn += 1) await new Promise(setImmediate);
}

function every(minutes: number, more: object = {}): readonly Schedule[] {
  const schedules = schedulesConfig.parse([{ name: 'report', text: 'report', everyMinutes: minutes, ...more }]);
  return schedulesOf({ heartbeat: heartbeatConfig.parse({}), schedules });
}

class Bench {
  readonly clock = new HandClock();
  readonly database = openDatabase({ path: ':memory:', migrations: scheduleMigrations });
  readonly store = new ScheduleStore({ database: this.database });
  readonly ran: number[] = [];
  readonly tasks: string[] = [];
  readonly events: ScheduleEvent[] = [];
  leading = true;
  claim: (run: ScheduledRun) => Promise<PeerId | undefined> = async ({ schedule, dueMs }) =>
    (await this.store.claim({ schedule: schedule.id, dueMs, owner: self, term: null })).owner;
  submit: (run: ScheduledRun) => Promise<void> = async () => {};

  async start(schedules: readonly Schedule[], independent = false): Promise<Scheduler> {
    const scheduler = new Scheduler({
      self,
      store: this.store,
      clock: this.clock,
      schedules,
      independent,
      isLeading: () => this.leading,
      claim: (run) => this.claim(run),
      submit: async (run) => {
        await this.submit(run);
        this.ran.push(run.dueMs);
        this.tasks.push(run.task);
      },
      onEvent: (event) => this.events.push(event),
    });
    await scheduler.start();
    await settled();
    return scheduler;
  }

  [Symbol.dispose](): void {
    this.database.close();
  }
}

test('every due time runs once while the node leads, none while it does not', async () => {
  using bench = new Bench();
  await using _scheduler = await bench.start(every(5));
  await bench.clock.advance(HOUR);
  expect(bench.ran).toHaveLength(12);
  bench.leading = false;
  await bench.clock.advance(HOUR);
  expect(bench.ran).toHaveLength(12);
  expect(new Set(bench.ran).size).toBe(12);
});

test('a node that begins to lead makes up for the last missed run, and for it alone', async () => {
  using bench = new Bench();
  bench.leading = false;
  await using scheduler = await bench.start(every(5));
  await bench.clock.advance(HOUR);
  bench.leading = true;
  scheduler.look();
  await settled();
  expect(bench.ran).toEqual([Date.parse('2026-06-01T13:00Z')]);
});

test('with "skip" it does not, though a run that is only seconds late is run', async () => {
  using bench = new Bench();
  bench.leading = false;
  await using scheduler = await bench.start(every(5, { catchUp: 'skip' }));
  await bench.clock.advance(HOUR + 2 * MINUTE);
  bench.leading = true;
  scheduler.look();
  await settled();
  expect(bench.ran).toEqual([]);
  expect(bench.events).toMatchObject([{ type: 'schedule-skipped' }]);
  bench.leading = false;
  await bench.clock.advance(3 * MINUTE);
  bench.leading = true;
  scheduler.look();
  await settled();
  expect(bench.ran).toEqual([Date.parse('2026-06-01T13:05Z')]);
});

test('what another owns is not run here', async () => {
  using bench = new Bench();
  bench.claim = async () => other;
  await using _scheduler = await bench.start(every(5));
  await bench.clock.advance(HOUR);
  expect(bench.ran).toEqual([]);
});

test('a clock set an hour ahead, or back, loses no run and doubles none', async () => {
  using bench = new Bench();
  await using _scheduler = await bench.start(every(60));
  await bench.clock.advance(3 * HOUR);
  bench.clock.wallMs += HOUR;
  await bench.clock.advance(3 * HOUR);
  bench.clock.wallMs -= HOUR;
  await bench.clock.advance(3 * HOUR);
  const hours = bench.ran.map((dueMs) => new Date(dueMs).getUTCHours());
  expect(hours).toEqual([13, 14, 15, 16, 17, 18, 19, 20, 21].slice(0, hours.length));
  expect(hours).toHaveLength(9);
});

test('a clock that was years ahead for a while does not silence a schedule, and runs nothing twice', async () => {
  using bench = new Bench();
  await using _scheduler = await bench.start(every(60));
  await bench.clock.advance(2 * HOUR);
  bench.clock.wallMs += 4 * 365 * 24 * HOUR;
  await bench.clock.advance(2 * HOUR);
  bench.clock.wallMs -= 4 * 365 * 24 * HOUR;
  await bench.clock.advance(2 * HOUR);
  expect(bench.ran.slice(-2).map((dueMs) => new Date(dueMs).toISOString())).toEqual([
    '2026-06-01T17:00:00.000Z',
    '2026-06-01T18:00:00.000Z',
  ]);
  expect(new Set(bench.tasks).size).toBe(bench.tasks.length);
});

test('a run that was claimed and not accepted when the process ended is begun after a restart, as the same task', async () => {
  using bench = new Bench();
  const tried: string[] = [];
  bench.submit = async ({ task }) => {
    tried.push(task);
    throw new SkeinError('the queue is full', { code: 'busy' });
  };
  {
    await using _scheduler = await bench.start(every(60));
    await bench.clock.advance(HOUR);
  }
  expect(bench.ran).toEqual([]);
  bench.submit = async () => {};
  // It need not lead for that: the run is its own.
  bench.leading = false;
  await using _again = await bench.start(every(60));
  expect(bench.ran).toEqual([Date.parse('2026-06-01T13:00Z')]);
  expect(new Set([...tried, ...bench.tasks]).size).toBe(1);
});

test('a claim that cannot be settled now is tried again, and told of', async () => {
  using bench = new Bench();
  const { claim } = bench;
  let failures = 3;
  bench.claim = async (run) => {
    failures -= 1;
    if (failures >= 0) throw new SkeinError('no majority', { code: 'unavailable' });
    return claim(run);
  };
  await using _scheduler = await bench.start(every(60));
  await bench.clock.advance(30 * MINUTE);
  await bench.clock.advance(30 * MINUTE);
  expect(bench.ran).toHaveLength(1);
  expect(bench.events.filter(({ type }) => type === 'schedule-problem')).toHaveLength(3);
});

test('a new schedule begins with its next time, not with one of the past', async () => {
  using bench = new Bench();
  await using _scheduler = await bench.start(every(5));
  expect(bench.ran).toEqual([]);
});

test('a run on start happens once, on the node that leads', async () => {
  using bench = new Bench();
  const heartbeat = heartbeatConfig.parse({ enabled: true, runOnStart: true });
  const schedules = schedulesOf({ heartbeat, schedules: [] });
  bench.leading = false;
  await using scheduler = await bench.start(schedules);
  await bench.clock.advance(MINUTE);
  expect(bench.ran).toEqual([]);
  bench.leading = true;
  scheduler.look();
  await settled();
  scheduler.look();
  await settled();
  expect(bench.ran).toEqual([NOON]);
});

test('independent nodes each run it, as tasks of their own', async () => {
  using bench = new Bench();
  bench.leading = false;
  await using scheduler = await bench.start(every(30), true);
  await bench.clock.advance(HOUR);
  expect(bench.ran).toHaveLength(2);
  expect(scheduler.list()).toMatchObject([{ name: 'report', rule: 'every 30 min', runsHere: true, lastTask: bench.tasks[1] }]);
});

test('the fence refuses a lower term in the transaction of the effect, and what else that one did is undone', async () => {
  using bench = new Bench();
  const { database } = bench;
  await database.write((writer) => admitTerm(writer, 'leader', 6));
  const late = database.write((writer) => {
    writer.run("INSERT INTO schedules (id, name, passed_ms) VALUES ('x', 'x', 0)");
    admitTerm(writer, 'leader', 5);
  });
  await expect(late).rejects.toMatchObject({ code: 'conflict' });
  expect(database.get("SELECT id FROM schedules WHERE id = 'x'")).toBeUndefined();
  await database.write((writer) => admitTerm(writer, 'leader', 6));
  await database.write((writer) => admitTerm(writer, 'other', 1));
});

test('the first claim of a run stands, and a claim of a term that is over is refused', async () => {
  using bench = new Bench();
  const run = { schedule: 'x', dueMs: 1 };
  expect(await bench.store.claim({ ...run, owner: other, term: 4 })).toEqual({ owner: other, final: false });
  expect(await bench.store.claim({ ...run, owner: self, term: 5 })).toEqual({ owner: other, final: false });
  await expect(bench.store.claim({ ...run, dueMs: 2, owner: other, term: 4 })).rejects.toMatchObject({ code: 'conflict' });
});

test('what is remembered of runs stays bounded', async () => {
  using bench = new Bench();
  for (let dueMs = 0; dueMs < 200; dueMs += 1) await bench.store.claim({ schedule: 'x', dueMs, owner: other, term: 1 });
  expect(bench.database.get('SELECT count(*) AS runs FROM schedule_runs')?.runs).toBe(64);
  expect(bench.store.claimOf('x', 199)).toBeDefined();
});
