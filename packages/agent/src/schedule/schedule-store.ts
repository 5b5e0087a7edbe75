import { type Database, integerOf, type Row, textOf, type Writer } from '@skein/engine';
import { type PeerId, parsePeerId } from '@skein/protocol';
import { admitTerm } from './admit-term.ts';
import type { Schedule } from './schedule.ts';

/** Runs that are remembered of one schedule, and of all; the oldest go first. */
const RUNS_MAX = { each: 64, all: 8_192 } as const;
const FENCE = 'leader';

/** Who runs a schedule at a due time. `final`: by now this is certain, not only noted. */
export interface RunClaim {
  readonly owner: PeerId;
  readonly final: boolean;
}

/** What is kept of one schedule. */
export interface ScheduleRow {
  /** Up to here its due times are dealt with. */
  readonly passedMs: number;
  readonly lastDueMs: number | null;
  readonly lastTask: string | null;
}

/** Which runs of schedules are whose, and which are over, on the disk. */
export class ScheduleStore {
  readonly #database: Database;

  /** The database was opened with `scheduleMigrations`; who opened it closes it. */
  constructor(parts: { readonly database: Database }) {
    this.#database = parts.database;
  }

  get(id: string): ScheduleRow | undefined {
    const row = this.#database.get('SELECT passed_ms, last_due_ms, last_task FROM schedules WHERE id = ?', id);
    if (row === undefined) return undefined;
    return {
      passedMs: integerOf(row, 'passed_ms'),
      lastDueMs: row.last_due_ms === null ? null : integerOf(row, 'last_due_ms'),
      lastTask: row.last_task === null ? null : textOf(row, 'last_task'),
    };
  }

  /** Begins to keep a schedule: only what is due later counts. Nothing for one that is kept. */
  add({ id, name }: Schedule, passedMs: number): Promise<void> {
    return this.#database.write((writer) => {
      writer.run('INSERT OR IGNORE INTO schedules (id, name, passed_ms) VALUES (?, ?, ?)', id, name, passedMs);
    });
  }

  /** Its due times up to this are dealt with; with `back`, also when it was further already. */
  pass(id: string, dueMs: number, { back = false }: { readonly back?: boolean } = {}): Promise<void> {
    return this.#database.write((writer) => pass(writer, id, dueMs, back));
  }

  claimOf(schedule: string, dueMs: number): RunClaim | undefined {
    const row = this.#database.get('SELECT owner, state FROM schedule_runs WHERE schedule = ? AND due_ms = ?', schedule, dueMs);
    return row === undefined ? undefined : claimIn(row);
  }

  /**
   * Notes whose run this is, unless it is noted already, and returns what is noted.
   * @throws SkeinError `conflict` when the claim is of a term that is over.
   */
  claim(run: {
    readonly schedule: string;
    readonly dueMs: number;
    readonly owner: PeerId;
    readonly term: number | null;
  }): Promise<RunClaim> {
    const { schedule, dueMs, owner, term } = run;
    return this.#database.write((writer) => {
      if (term !== null) admitTerm(writer, FENCE, term);
      writer.run(
        "INSERT OR IGNORE INTO schedule_runs (schedule, due_ms, owner, state) VALUES (?, ?, ?, 'open')",
        schedule,
        dueMs,
        owner,
      );
      prune(writer, schedule);
      const row = writer.get('SELECT owner, state FROM schedule_runs WHERE schedule = ? AND due_ms = ?', schedule, dueMs);
      return row === undefined ? { owner, final: false } : claimIn(row);
    });
  }

  /** Whose run it is has been found out. `task`: it is this node's, and the task was accepted. */
  settle(run: {
    readonly schedule: string;
    readonly dueMs: number;
    readonly owner: PeerId;
    readonly task?: string;
  }): Promise<void> {
    const { schedule, dueMs, owner, task } = run;
    return this.#database.write((writer) => {
      writer.run(
        "UPDATE schedule_runs SET owner = ?, state = 'final' WHERE schedule = ? AND due_ms = ?",
        owner,
        schedule,
        dueMs,
      );
      pass(writer, schedule, dueMs, false);
      if (task === undefined) return;
      writer.run('UPDATE schedules SET last_due_ms = ?, last_task = ? WHERE id = ?', dueMs, task, schedule);
    });
  }

  /** Gives up a run of which it could not be found out whose it is. */
  drop(schedule: string, dueMs: number): Promise<void> {
    return this.#database.write((writer) => {
      writer.run("UPDATE schedule_runs SET state = 'dropped' WHERE schedule = ? AND due_ms = ?", schedule, dueMs);
      pass(writer, schedule, dueMs, false);
    });
  }

  /** The latest run that somebody claimed, as far as this node knows. */
  lastClaim(schedule: string): { readonly dueMs: number; readonly owner: PeerId } | undefined {
    const row = this.#database.get(
      "SELECT due_ms, owner FROM schedule_runs WHERE schedule = ? AND state <> 'dropped' ORDER BY due_ms DESC LIMIT 1",
      schedule,
    );
    return row === undefined ? undefined : { dueMs: integerOf(row, 'due_ms'), owner: parsePeerId(textOf(row, 'owner')) };
  }

  /** The runs this node has claimed and not finished, the latest first. */
  open(schedule: string, owner: PeerId): readonly number[] {
    return this.#database
      .all(
        "SELECT due_ms FROM schedule_runs WHERE schedule = ? AND owner = ? AND state = 'open' ORDER BY due_ms DESC LIMIT 64",
        schedule,
        owner,
      )
      .map((row) => integerOf(row, 'due_ms'));
  }
}

function claimIn(row: Row): RunClaim {
  return { owner: parsePeerId(textOf(row, 'owner')), final: textOf(row, 'state') === 'final' };
}

function pass(writer: Writer, id: string, dueMs: number, back: boolean): void {
  const later = back ? '' : ' AND passed_ms < ?1';
  writer.run(`UPDATE schedules SET passed_ms = ?1 WHERE id = ?2${later}`, dueMs, id);
}

function prune(writer: Writer, schedule: string): void {
  writer.run(
    'DELETE FROM schedule_runs WHERE schedule = ?1 AND num <= (SELECT num FROM schedule_runs WHERE schedule = ?1 ORDER BY num DESC LIMIT 1 OFFSET ?2)',
    schedule,
    RUNS_MAX.each,
  );
  writer.run(
    'DELETE FROM schedule_runs WHERE num <= (SELECT num FROM schedule_runs ORDER BY num DESC LIMIT 1 OFFSET ?)',
    RUNS_MAX.all,
  );
}
