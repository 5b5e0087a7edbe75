import { randomUUID } from 'node:crypto';
import { openDatabase } from '@skein/engine';
import { SkeinError, type TaskState } from '@skein/protocol';
import { measured, sized, sizedTimeout } from '@skein/testing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { done, draft, ME } from '../../test/test-tasks.ts';
import { failedOutcome, isFinal, type TaskInfo } from './task.ts';
import { type Fence, TaskJournal } from './task-journal.ts';
import { taskMigrations } from './task-migrations.ts';

/** What a journal should say of a task. */
interface Expected {
  text: string;
  state: TaskState;
  attempt: number;
  /** Begun so often. */
  runs: number;
  /** Steps that are kept, by their text. */
  steps: number;
}

const number = fc.nat({ max: 2 });
const operation = fc.oneof(
  fc.record({
    type: fc.constant('submit' as const),
    task: number,
    attempt: fc.integer({ min: 1, max: 4 }),
    other: fc.boolean(),
  }),
  fc.record({ type: fc.constant('begin' as const), task: number, far: fc.boolean(), next: fc.boolean() }),
  fc.record({ type: fc.constant('step' as const), run: fc.nat() }),
  fc.record({
    type: fc.constant('finish' as const),
    run: fc.nat(),
    state: fc.constantFrom('done', 'failed', 'unknown' as const),
  }),
  fc.record({ type: fc.constant('cancel' as const), task: number }),
  fc.record({ type: fc.constant('release' as const), run: fc.nat() }),
  fc.record({ type: fc.constant('retry' as const), task: number }),
  fc.record({ type: fc.constant('reopen' as const) }),
);
type Operation = (typeof operation extends fc.Arbitrary<infer T> ? T : never) & { readonly type: string };

/** The journal beside the model of it; each operation must do to both the same. */
class Pair {
  readonly #ids = [randomUUID(), randomUUID(), randomUUID()];
  readonly #expected = new Map<string, Expected>();
  readonly #database = openDatabase({ path: ':memory:', migrations: taskMigrations });
  readonly #fences: { readonly fence: Fence; seq: number }[] = [];
  #journal = this.#open();

  async apply(operation: Operation): Promise<void> {
    switch (operation.type) {
      case 'submit':
        return this.#submit(this.#id(operation.task), operation.attempt, operation.other ? 'other' : 'text');
      case 'begin':
        return this.#begin(this.#id(operation.task), operation);
      case 'step':
        return this.#byRun(operation.run, async (run, expected) => {
          await this.#journal.step(run.fence, { seq: run.seq, event: { type: 'intent', id: 'x', name: 'x' }, tokens: 1 });
          run.seq += 1;
          expected.steps += 1;
        });
      case 'finish':
        return this.#byRun(operation.run, async (run, expected) => {
          const error = { code: 'internal', message: 'x' } as const;
          await this.#journal.finish(run.fence, operation.state === 'done' ? done() : failedOutcome(operation.state, error));
          expected.state = operation.state;
        });
      case 'release':
        return this.#byRun(operation.run, async (run, expected) => {
          await this.#journal.release(run.fence);
          expected.state = 'queued';
        });
      case 'cancel': {
        const id = this.#id(operation.task);
        const expected = this.#expected.get(id);
        const allowed = expected !== undefined && !isFinal(expected.state);
        const canceled = failedOutcome('canceled', { code: 'canceled', message: 'x' });
        await this.#either(allowed, this.#journal.finish({ origin: ME, id }, canceled));
        if (allowed) expected.state = 'canceled';
        return;
      }
      case 'retry': {
        const id = this.#id(operation.task);
        const expected = this.#expected.get(id);
        const allowed = expected !== undefined && isFinal(expected.state) && expected.state !== 'done';
        await this.#either(allowed, this.#journal.retry({ origin: ME, id }, { remainingMs: 1_000 }));
        if (!allowed) return;
        // The call whose end is not known is given one.
        expected.steps += expected.steps > 0 && !this.#closed(id) ? 1 : 0;
        expected.state = 'queued';
        expected.attempt += 1;
        return;
      }
      case 'reopen':
        this.#journal = this.#open();
    }
  }

  check(): void {
    const listed = this.#journal.list();
    expect(listed).toHaveLength(this.#expected.size);
    for (const [id, { text, state, attempt, steps }] of this.#expected) {
      expect(this.#journal.get({ origin: ME, id })).toMatchObject({ text, state, attempt });
      expect(this.#journal.steps({ origin: ME, id }).length).toBeGreaterThanOrEqual(Math.min(steps, 1));
    }
  }

  close(): void {
    this.#database.close();
  }

  async #submit(id: string, attempt: number, text: string): Promise<void> {
    const expected = this.#expected.get(id);
    const allowed = expected === undefined || (expected.text === text && attempt >= expected.attempt);
    const made = await this.#either(allowed, this.#journal.submit(draft({ id, attempt, text })));
    if (!allowed) return;
    const duplicate = expected !== undefined && (attempt === expected.attempt || expected.state === 'done');
    expect(made?.duplicate).toBe(duplicate);
    if (expected === undefined) this.#expected.set(id, { text, state: 'queued', attempt, runs: 0, steps: 0 });
    else if (duplicate) expected.attempt = attempt;
    else Object.assign(expected, { state: 'queued', attempt, steps: 0 });
  }

  async #begin(id: string, { far, next }: { readonly far: boolean; readonly next: boolean }): Promise<void> {
    const expected = this.#expected.get(id);
    const info: TaskInfo | undefined = this.#journal.get({ origin: ME, id });
    if (expected === undefined || info === undefined) return;
    const allowed = !isFinal(expected.state);
    const begun = await this.#either(allowed, this.#journal.begin(info, { owner: far ? ME : 'me', next }));
    if (begun === undefined) return;
    expected.state = far ? 'forwarded' : 'running';
    expected.attempt += next ? 1 : 0;
    expected.runs += 1;
    // Numbers only grow, over all runs.
    for (const { fence, seq } of this.#fences) if (fence.id === id) expect(begun.nextSeq).toBeGreaterThan(seq);
    this.#fences.push({ fence: begun.fence, seq: begun.nextSeq });
  }

  /** By one of all runs there ever were: only the latest of a task that runs may write. */
  async #byRun(chosen: number, work: (run: { fence: Fence; seq: number }, expected: Expected) => Promise<void>): Promise<void> {
    const run = this.#fences[chosen % Math.max(1, this.#fences.length)];
    const expected = run === undefined ? undefined : this.#expected.get(run.fence.id);
    if (run === undefined || expected === undefined) return;
    const { attempt, run: number } = run.fence;
    const running = expected.state === 'running' || expected.state === 'forwarded';
    await this.#either(running && expected.runs === number && expected.attempt === attempt, work(run, expected));
  }

  async #either<T>(allowed: boolean, work: Promise<T>): Promise<T | undefined> {
    if (allowed) return work;
    const refused = await work.then(
      () => 'nothing',
      (thrown: unknown) => SkeinError.from(thrown).code,
    );
    expect(['conflict', 'not-found']).toContain(refused);
    return undefined;
  }

  #closed(id: string): boolean {
    return this.#journal.steps({ origin: ME, id }).at(-1)?.event.type === 'step';
  }

  #id(task: number): string {
    return this.#ids[task] ?? '';
  }

  #open(): TaskJournal {
    return new TaskJournal({ database: this.#database, self: ME, now: () => 0 });
  }
}

test('whatever is asked of a journal, in whatever order, it does as its model does', {
  timeout: sizedTimeout({ ci: 30_000, full: 1_800_000 }),
}, async () => {
  const seeds = sized({ ci: 150, full: 5_000 });
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 40 }), async (operations) => {
      const pair = new Pair();
      try {
        for (const one of operations) {
          await pair.apply(one);
          pair.check();
        }
      } finally {
        pair.close();
      }
    }),
    { numRuns: seeds },
  );
  measured('simulation', { counts: { seeds } });
});
