import { integerOf, type Reader, type Row, rowChecksum, textOf, verifyRow, type Writer } from '@skein/engine';
import {
  conversationEntry,
  type PeerId,
  parsePeerId,
  SkeinError,
  taskEvent,
  taskOutcome,
  taskPriority,
  taskState,
} from '@skein/protocol';
import { z } from 'zod';
import type { TaskInfo, TaskRef, TaskStep } from './task.ts';

/** A row of `tasks`: what a list shows, and what the journal needs beside it. */
export interface TaskRow extends TaskInfo {
  readonly num: number;
  readonly digest: string;
  /** How often it was begun on this node. */
  readonly runs: number;
  /** How often the process ended while it ran. */
  readonly crashes: number;
  /** Its text, steps and outcome are still kept. */
  readonly kept: boolean;
  /** Up to which event its steps are in the session. */
  readonly settledSeq: number;
}

const requestText = z.object({ text: z.string(), interactive: z.boolean(), source: z.string().optional() });
const entriesText = z.array(conversationEntry);
const pathText = z.array(z.string());

/** What is kept of a task beside its row, and how it is read. */
const TEXTS = { request: requestText, history: entriesText, given: entriesText, outcome: taskOutcome };
type TextKind = keyof typeof TEXTS;

const COLUMNS = [
  'origin',
  'id',
  'digest',
  'session',
  'priority',
  'title',
  'path',
  'sender',
  'accepted_at_ms',
  'attempt',
  'state',
  'owner',
  'runs',
  'crashes',
  'tokens',
  'kept',
  'settled_seq',
  'deadline_at_ms',
  'updated_at_ms',
] as const;

/** The first columns change only with the key of the node they name. */
const FIXED = 9;

const INSERT = `INSERT INTO tasks (${COLUMNS.join(', ')}, sum) VALUES (${COLUMNS.map(() => '?').join(', ')}, ?) RETURNING num`;
const UPDATE = `UPDATE tasks SET (${COLUMNS.slice(FIXED).join(', ')}, sum) = (${COLUMNS.slice(FIXED)
  .map(() => '?')
  .join(', ')}, ?) WHERE num = ?`;

const READDRESS = 'UPDATE tasks SET (origin, path, sender, sum) = (?, ?, ?, ?) WHERE num = ?';

/** The row of a task, undefined when it is not known. @throws SkeinError `corrupt`. */
export function findRow(reader: Reader, ref: TaskRef): TaskRow | undefined {
  const row = reader.get('SELECT * FROM tasks WHERE origin = ? AND id = ?', ref.origin, ref.id);
  return row === undefined ? undefined : parseTaskRow(row);
}

/** @throws SkeinError `corrupt` when it is not what was written. */
export function parseTaskRow(row: Row): TaskRow {
  verifyRow(
    row,
    'A stored task',
    COLUMNS.map((column) => row[column] ?? null),
  );
  const owner = textOf(row, 'owner');
  return {
    num: integerOf(row, 'num'),
    origin: parsePeerId(textOf(row, 'origin')),
    id: textOf(row, 'id'),
    digest: textOf(row, 'digest'),
    session: textOf(row, 'session'),
    priority: taskPriority.parse(textOf(row, 'priority')),
    title: textOf(row, 'title'),
    path: parseBody(pathText, textOf(row, 'path')).map(parsePeerId),
    sender: parsePeerId(textOf(row, 'sender')),
    acceptedAtMs: integerOf(row, 'accepted_at_ms'),
    attempt: integerOf(row, 'attempt'),
    state: taskState.parse(textOf(row, 'state')),
    owner: owner === 'me' ? 'me' : parsePeerId(owner),
    runs: integerOf(row, 'runs'),
    crashes: integerOf(row, 'crashes'),
    tokens: integerOf(row, 'tokens'),
    kept: integerOf(row, 'kept') !== 0,
    settledSeq: integerOf(row, 'settled_seq'),
    deadlineAtMs: integerOf(row, 'deadline_at_ms'),
    updatedAtMs: integerOf(row, 'updated_at_ms'),
  };
}

/** Adds a row, whose number it returns with it. */
export function insertRow(writer: Writer, row: Omit<TaskRow, 'num'>): TaskRow {
  const values = valuesOf(row);
  const inserted = writer.get(INSERT, ...values, rowChecksum(values));
  if (inserted === undefined) throw new SkeinError('The database gave a new task no number', { code: 'internal' });
  return { ...row, num: integerOf(inserted, 'num') };
}

/** Writes what has changed of a row, and returns it so. */
export function updateRow(writer: Writer, row: TaskRow, change: RowChange): TaskRow {
  const changed = { ...row, ...change };
  const values = valuesOf(changed);
  writer.run(UPDATE, ...values.slice(FIXED), rowChecksum(values), row.num);
  return changed;
}

/** Writes whose a row is and who handed it over. */
export function readdressRow(
  writer: Writer,
  row: TaskRow,
  { origin, path, sender }: { readonly origin: PeerId; readonly path: readonly PeerId[]; readonly sender: PeerId },
): void {
  const sum = rowChecksum(valuesOf({ ...row, origin, path, sender }));
  writer.run(READDRESS, origin, JSON.stringify(path), sender, sum, row.num);
}

export type RowChange = Partial<
  Pick<
    TaskRow,
    'attempt' | 'state' | 'owner' | 'runs' | 'crashes' | 'tokens' | 'kept' | 'settledSeq' | 'deadlineAtMs' | 'updatedAtMs'
  >
>;

function valuesOf(row: Omit<TaskRow, 'num'>): (string | number)[] {
  return [
    row.origin,
    row.id,
    row.digest,
    row.session,
    row.priority,
    row.title,
    JSON.stringify(row.path),
    row.sender,
    row.acceptedAtMs,
    row.attempt,
    row.state,
    row.owner,
    row.runs,
    row.crashes,
    row.tokens,
    row.kept ? 1 : 0,
    row.settledSeq,
    row.deadlineAtMs,
    row.updatedAtMs,
  ];
}

/** Keeps a text of a task, in place of the one of its kind. */
export function putText<Kind extends TextKind>(
  writer: Writer,
  num: number,
  kind: Kind,
  value: z.input<(typeof TEXTS)[Kind]>,
): void {
  const body = JSON.stringify(value);
  const sum = rowChecksum([num, kind, body]);
  writer.run('INSERT OR REPLACE INTO task_texts (task, kind, body, sum) VALUES (?, ?, ?, ?)', num, kind, body, sum);
}

/** The texts of a task that are kept. */
export type TaskTexts = { readonly [Kind in TextKind]?: z.output<(typeof TEXTS)[Kind]> };

/** All texts of a task. @throws SkeinError `corrupt`. */
export function readTexts(reader: Reader, num: number): TaskTexts {
  const texts: { [Kind in TextKind]?: unknown } = {};
  for (const row of reader.all('SELECT kind, body, sum FROM task_texts WHERE task = ?', num)) {
    const [kind, body] = [textOf(row, 'kind'), textOf(row, 'body')];
    verifyRow(row, `The ${kind} of a stored task`, [num, kind, body]);
    if (isTextKind(kind)) texts[kind] = parseBody<unknown>(TEXTS[kind], body);
  }
  // Proven: each was parsed by the schema of its kind.
  return texts as TaskTexts;
}

function isTextKind(kind: string): kind is TextKind {
  return Object.hasOwn(TEXTS, kind);
}

/** A step with the tokens that were used since the one before. */
export interface StepRow extends TaskStep {
  readonly tokens: number;
}

/** Adds a step. */
export function insertStep(writer: Writer, num: number, step: StepRow): void {
  const values = [num, step.seq, step.attempt, step.atMs, step.tokens, JSON.stringify(step.event)] as const;
  writer.run(
    'INSERT INTO task_steps (task, seq, attempt, at_ms, tokens, body, sum) VALUES (?, ?, ?, ?, ?, ?, ?)',
    ...values,
    rowChecksum(values),
  );
}

/** Steps of a task after an event's number, in order. @throws SkeinError `corrupt`. */
export function readSteps(reader: Reader, num: number, after = 0): readonly StepRow[] {
  return reader.all('SELECT * FROM task_steps WHERE task = ? AND seq > ? ORDER BY seq', num, after).map((row) => {
    const [seq, attempt, atMs, tokens, body] = [
      integerOf(row, 'seq'),
      integerOf(row, 'attempt'),
      integerOf(row, 'at_ms'),
      integerOf(row, 'tokens'),
      textOf(row, 'body'),
    ];
    verifyRow(row, 'A stored step of a task', [num, seq, attempt, atMs, tokens, body]);
    return { seq, attempt, atMs, tokens, event: parseBody(taskEvent, body) };
  });
}

/** Removes what is kept of a task beside its row. */
export function dropTexts(writer: Writer, num: number): void {
  writer.run('DELETE FROM task_texts WHERE task = ?', num);
  writer.run('DELETE FROM task_steps WHERE task = ?', num);
}

/** The task as others see it, without what only the journal needs. */
export function infoOf(row: TaskRow): TaskInfo {
  const { num: _num, digest: _digest, runs: _runs, crashes: _crashes, kept: _kept, settledSeq: _settled, ...info } = row;
  return info;
}

function parseBody<T>(schema: z.ZodType<T>, body: string): T {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (thrown) {
    throw new SkeinError('What is stored of a task is damaged: it is not JSON', { code: 'corrupt', cause: thrown });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new SkeinError(`What is stored of a task is damaged: ${z.prettifyError(parsed.error)}`, { code: 'corrupt' });
}
