import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { openDatabase } from '@skein/engine';
import { measured, sized, sizedTimeout } from '@skein/testing';
import { expect, test } from 'vitest';
import { ME } from '../../test/test-tasks.ts';
import { sessionMigrations } from '../session/session-migrations.ts';
import { SessionStore } from '../session/session-store.ts';
import { TaskJournal } from './task-journal.ts';
import { taskMigrations } from './task-migrations.ts';

const PROGRAM = join(import.meta.dirname, '../../test/task-process.ts');

interface Effect {
  readonly effect: string;
  readonly key: string;
  readonly n: number;
  /** What the brain chose as the input; it would choose otherwise if it were asked again. */
  readonly chance: number;
}

/** One node's directory, and lives of it one after the other. */
class Node {
  readonly #directory = mkdtempSync(join(tmpdir(), 'skein-task-kill-'));
  readonly accepted: string[] = [];
  readonly ended = new Map<string, string>();

  /** Runs to its end or death; `killAfter` kills it once it has printed so many lines. True when it came to its end. */
  async live(order: { submit?: readonly string[]; dieAt?: unknown; killAfter?: number }): Promise<boolean> {
    const child = spawn(process.execPath, ['--conditions=skein-source', PROGRAM], { stdio: ['pipe', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    const { submit = [], dieAt = null, killAfter } = order;
    child.stdin.end(
      `${JSON.stringify({ database: this.#path('a.db'), effects: this.#path('effects'), self: ME, submit, dieAt })}\n`,
    );
    let lines = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      const [what, id = '', state = ''] = line.split(' ');
      if (what === 'accepted') this.accepted.push(id);
      else this.ended.set(id, state);
      lines += 1;
      if (lines === killAfter) child.kill('SIGKILL');
    }
    const [code] = await exited;
    return code === 0;
  }

  /** What its tools did, by task. */
  effects(): Map<string, Effect[]> {
    const text = existsSync(this.#path('effects')) ? readFileSync(this.#path('effects'), 'utf8') : '';
    const effects = text.split('\n').flatMap((line): Effect[] => (line === '' ? [] : [JSON.parse(line)]));
    return Map.groupBy(effects, ({ key }) => key.split(':')[0] ?? '');
  }

  /** Holds every promise against what is on the disk; the states of its tasks. */
  check(): readonly string[] {
    using database = openDatabase({ path: this.#path('a.db'), migrations: [...sessionMigrations, ...taskMigrations] });
    const sessions = new SessionStore({ database, now: Date.now });
    const journal = new TaskJournal({ database, self: ME, sessions, now: Date.now });
    for (const id of this.accepted) expect(journal.get({ origin: ME, id })).toBeDefined();
    const effects = this.effects();
    return journal.list({ limit: 1_000 }).map(({ id, state }) => {
      expect(['done', 'unknown']).toContain(state);
      if (this.ended.has(id)) expect(state).toBe(this.ended.get(id));
      const ofTask = effects.get(id) ?? [];
      for (const n of [0, 1]) {
        const of = (effect: string) => ofTask.filter((one) => one.effect === effect && one.n === n);
        expect(of('at-most-once').length).toBeLessThanOrEqual(1);
        expect(new Set(of('idempotent').map(({ key, chance }) => `${key} ${chance}`)).size).toBeLessThanOrEqual(1);
        if (state === 'done') expect([of('at-most-once').length, of('idempotent').length > 0]).toEqual([1, true]);
      }
      const roles = sessions.read(id, { maxChars: 1e6 }).map(({ message }) => message.role);
      const whole = ['user', 'assistant', 'tool', 'tool', 'tool', 'assistant', 'tool', 'tool', 'tool', 'assistant'];
      if (state === 'done') expect(roles).toEqual(whole);
      else expect(roles[0]).toBe('user');
      return state;
    });
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

test('a node that is not killed does all of it once', async () => {
  using node = new Node();
  const id = randomUUID();
  expect(await node.live({ submit: [id] })).toBe(true);
  expect(node.check()).toEqual(['done']);
  expect(node.effects().get(id)).toHaveLength(6);
});

test('killed at each of its writes, before and after: nothing accepted is lost, nothing that must not be repeated is', {
  timeout: sizedTimeout({ ci: 120_000, full: 600_000 }),
  repeats: sized({ ci: 0, full: 9 }),
}, async () => {
  const ends = new Set<string>();
  let last = 0;
  for (let write = 1; ; write += 1) {
    let finished = false;
    for (const when of ['before', 'after'] as const) {
      using node = new Node();
      finished = await node.live({ submit: [randomUUID()], dieAt: { write, when } });
      if (finished) break;
      expect(await node.live({})).toBe(true);
      const states = node.check();
      // The recovery is the first write, taking it in the second: before that is on the disk, nothing was accepted.
      if (states.length === 0) expect([node.accepted.length, write <= 2]).toEqual([0, true]);
      for (const state of states) ends.add(state);
    }
    if (finished) break;
    last = write;
  }
  // The recovery, the task, its beginning, three answers, two intents, six results, its end.
  expect(last).toBe(15);
  expect([...ends].sort()).toEqual(['done', 'unknown']);
  measured('kills', { counts: { kills: 2 * last }, peaks: { failPoints: 2 * last } });
});

test('killed at any moment, over and over, with many tasks at once: nothing is lost and nothing done twice', {
  timeout: sizedTimeout({ ci: 60_000, full: 600_000 }),
  repeats: sized({ ci: 0, full: 19 }),
}, async () => {
  using node = new Node();
  for (const killAfter of [1, 3, 8, 15, 30, 5]) {
    await node.live({ submit: Array.from({ length: 12 }, () => randomUUID()), killAfter });
    measured('kills', { counts: { kills: 1 } });
  }
  expect(await node.live({})).toBe(true);
  const states = node.check();
  expect(states.length).toBeGreaterThanOrEqual(node.accepted.length);
  expect(states.filter((state) => state === 'done').length).toBeGreaterThan(states.length / 2);
});
