import { hash } from 'node:crypto';
import { integerOf, type Writer } from '@skein/engine';
import { type ConversationEntry, type PeerId, SkeinError, type TaskOutcome } from '@skein/protocol';
import { parseSessionId } from '../session/session-store.ts';
import { failedOutcome, isFinal, type TaskDraft } from './task.ts';
import { ENDED } from './task-counts.ts';
import {
  dropTexts,
  findRow,
  insertRow,
  insertStep,
  parseTaskRow,
  putText,
  readSteps,
  type TaskRow,
  updateRow,
} from './task-rows.ts';
import { openIntents } from './task-steps.ts';

const TITLE_CHARS = 80;
/** Tasks forgotten in one write. */
const PRUNE_AT_ONCE = 256;
/** After its deadline nobody sends a task any more; clocks may differ. */
const REMEMBERED_PAST_DEADLINE_MS = 600_000;

/** What came of a submission. */
export interface Accepted {
  readonly row: TaskRow;
  readonly duplicate: boolean;
  /** It is one more that is open, one more that is known. */
  readonly open: boolean;
  readonly known: boolean;
}

/** Whether a task can be taken in as it is. @throws SkeinError `invalid`, `deadline-exceeded`, `too-large`. */
export function checkDraft(
  draft: TaskDraft,
  { self, maxRequestChars }: { readonly self: PeerId; readonly maxRequestChars: number },
): void {
  if (draft.text.trim() === '') throw new SkeinError('There is nothing to do: the text is empty', { code: 'invalid' });
  if (draft.origin === self) parseSessionId(draft.session);
  if (draft.path[0] !== draft.origin) {
    throw new SkeinError('The path of a task begins with its origin', { code: 'invalid' });
  }
  if (!(draft.remainingMs > 0)) {
    throw new SkeinError('The time of the task has run out already', { code: 'deadline-exceeded' });
  }
  const chars = JSON.stringify([draft.text, draft.history, draft.steps]).length;
  if (chars <= maxRequestChars) return;
  throw new SkeinError(`A task of ${chars} characters with its conversation is over the ${maxRequestChars} taken`, {
    code: 'too-large',
  });
}

/** Takes a task in, in one write. @throws SkeinError `conflict`. */
export function acceptTask(writer: Writer, draft: TaskDraft, nowMs: number): Accepted {
  const digest = digestOf(draft);
  const known = findRow(writer, draft);
  if (known === undefined) {
    const row = insertRow(writer, newRow(draft, digest, nowMs));
    putDraft(writer, row.num, draft);
    return { row, duplicate: false, open: true, known: true };
  }
  if (known.digest !== digest) {
    throw new SkeinError(`Task ${draft.id} is another one here: make a new id`, { code: 'conflict' });
  }
  if (senderOf(draft) !== known.sender) {
    throw new SkeinError(`Task ${draft.id} was handed over by another node`, { code: 'conflict' });
  }
  if (draft.attempt < known.attempt) {
    throw new SkeinError(`Task ${draft.id} is at attempt ${known.attempt} by now, so attempt ${draft.attempt} is over`, {
      code: 'conflict',
    });
  }
  if (draft.attempt === known.attempt) return { row: known, duplicate: true, open: false, known: false };
  if (known.state === 'done') {
    // The answer is there: whoever asks anew gets it, and who asked before no longer counts.
    const row = updateRow(writer, known, { attempt: draft.attempt });
    return { row, duplicate: true, open: false, known: false };
  }
  return { row: takeOver(writer, known, draft, nowMs), duplicate: false, open: isFinal(known.state), known: false };
}

/** Takes one that ended without an answer up again, from where it was. @throws SkeinError `conflict`, `unsupported`. */
export function retryTask(
  writer: Writer,
  row: TaskRow,
  { nowMs, remainingMs }: { readonly nowMs: number; readonly remainingMs: number },
): TaskRow {
  if (!isFinal(row.state) || row.state === 'done') {
    throw new SkeinError(`Task ${row.id} is ${row.state}: only one that failed, was canceled or is unknown is taken up again`, {
      code: 'conflict',
    });
  }
  if (!row.kept) throw new SkeinError(`The text of task ${row.id} is no longer kept: ask anew`, { code: 'unsupported' });
  const steps = readSteps(writer, row.num);
  const entries = openIntents(steps).map(endNotKnown);
  if (entries.length > 0) {
    const seq = (steps.at(-1)?.seq ?? 0) + 1;
    insertStep(writer, row.num, { seq, event: { type: 'step', entries }, attempt: row.attempt, atMs: nowMs, tokens: 0 });
  }
  return updateRow(writer, row, {
    attempt: row.attempt + 1,
    state: 'queued',
    owner: 'me',
    crashes: 0,
    deadlineAtMs: nowMs + Math.ceil(remainingMs),
    updatedAtMs: nowMs,
  });
}

/** Lets go of what is over the bounds: of all but the name first, of that once no duplicate can come. How many went whole. */
export function pruneTasks(
  writer: Writer,
  { nowMs, maxEnded, maxEndedAgeMs }: { readonly nowMs: number; readonly maxEnded: number; readonly maxEndedAgeMs: number },
): number {
  const count = writer.get(`SELECT count(*) AS ended FROM tasks WHERE kept = 1 AND ${ENDED}`);
  const over = Math.max(0, (count === undefined ? 0 : integerOf(count, 'ended')) - maxEnded);
  const oldest = writer.all(
    `SELECT * FROM tasks WHERE kept = 1 AND ${ENDED} ORDER BY updated_at_ms, num LIMIT ${PRUNE_AT_ONCE}`,
  );
  for (const [index, stored] of oldest.entries()) {
    const row = parseTaskRow(stored);
    if (index >= over && row.updatedAtMs >= nowMs - maxEndedAgeMs) break;
    dropTexts(writer, row.num);
    updateRow(writer, row, { kept: false });
  }
  return writer.run(
    `DELETE FROM tasks WHERE num IN (SELECT num FROM tasks WHERE kept = 0 AND ${ENDED} AND deadline_at_ms < ?
       ORDER BY updated_at_ms LIMIT ${PRUNE_AT_ONCE})`,
    nowMs - REMEMBERED_PAST_DEADLINE_MS,
  );
}

/** What is said of a task whose outcome is no longer kept. */
export function forgottenOutcome({ state, tokens }: TaskRow): TaskOutcome {
  const error = { code: 'not-found', message: 'What came of it is no longer kept here' } as const;
  if (state === 'done') return { state, toolCalls: [], tokens, error };
  return failedOutcome(isFinal(state) ? state : 'failed', error, tokens);
}

/** Who handed a task over. */
export function senderOf({ path, origin }: Pick<TaskDraft, 'path' | 'origin'>): PeerId {
  return path.at(-1) ?? origin;
}

function newRow(draft: TaskDraft, digest: string, nowMs: number): Omit<TaskRow, 'num'> {
  return {
    origin: draft.origin,
    id: draft.id,
    digest,
    session: draft.session,
    priority: draft.priority,
    title: titleOf(draft.text),
    path: draft.path,
    sender: senderOf(draft),
    acceptedAtMs: nowMs,
    attempt: draft.attempt,
    state: 'queued',
    owner: 'me',
    runs: 0,
    crashes: 0,
    tokens: 0,
    kept: true,
    settledSeq: 0,
    deadlineAtMs: nowMs + Math.ceil(draft.remainingMs),
    updatedAtMs: nowMs,
  };
}

/** The task anew, from the steps that come with it: they are all that was done of it so far. */
function takeOver(writer: Writer, known: TaskRow, draft: TaskDraft, nowMs: number): TaskRow {
  dropTexts(writer, known.num);
  putDraft(writer, known.num, draft);
  return updateRow(writer, known, {
    attempt: draft.attempt,
    state: 'queued',
    owner: 'me',
    crashes: 0,
    kept: true,
    deadlineAtMs: nowMs + Math.ceil(draft.remainingMs),
    updatedAtMs: nowMs,
  });
}

function putDraft(writer: Writer, num: number, { text, interactive, source, history, steps }: TaskDraft): void {
  putText(writer, num, 'request', { text, interactive, ...(source === undefined ? {} : { source }) });
  if (history.length > 0) putText(writer, num, 'history', [...history]);
  if (steps.length > 0) putText(writer, num, 'given', [...steps]);
}

/** What makes a task the same one: a repeat of it may come by another way, with other steps and less time. */
function digestOf({ text, session, source, interactive, priority }: TaskDraft): string {
  return hash('sha256', JSON.stringify([text, session, source ?? null, interactive, priority]), 'base64url');
}

function titleOf(text: string): string {
  const line = text.trim().split('\n', 1)[0] ?? '';
  return (line.length > TITLE_CHARS ? `${line.slice(0, TITLE_CHARS - 1)}…` : line).toWellFormed();
}

/** The result of a call of which nobody knows whether it took effect. */
function endNotKnown({ id, name }: { readonly id: string; readonly name: string }): ConversationEntry {
  const output = {
    error: `${name} was cut off: nobody knows whether it took effect. Find that out before you do it again`,
    code: 'unavailable',
  };
  return { message: { role: 'tool', callId: id, name, output, ok: false }, tainted: false };
}
