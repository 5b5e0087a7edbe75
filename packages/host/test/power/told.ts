import { type AuditEnd, loadKeyFile, verifyAudit } from '@skein/mesh';
import { leaderTerm, openAuditCheckpoint, peerId, readRotation, SkeinError, taskState } from '@skein/protocol';
import { z } from 'zod';
import { readElectionRecord } from '../../src/features/election-file.ts';
import { auditPathIn, dataDirIn, keyPathIn, type OpenedNode } from './opened-node.ts';

/** What a node told somebody, who counts on it from then on. */
export const told = z.discriminatedUnion('type', [
  z.object({ type: z.literal('key'), id: peerId }),
  z.object({ type: z.literal('task'), origin: peerId, id: z.string(), state: taskState, steps: z.int() }),
  z.object({ type: z.literal('fact'), text: z.string() }),
  z.object({ type: z.literal('said'), text: z.string() }),
  /** How far the operations of a log go that a peer has. */
  z.object({
    type: z.literal('head'),
    log: z.enum(['memory', 'sessions']),
    author: peerId,
    replica: z.string(),
    seq: z.int(),
    digest: z.string(),
  }),
  z.object({ type: z.literal('trusted'), id: peerId }),
  z.object({ type: z.literal('revoked'), id: peerId }),
  z.object({ type: z.literal('held'), id: peerId, checkpoint: z.string() }),
  z.object({ type: z.literal('checkpoint'), log: z.enum(['node', 'fast']), text: z.string() }),
  z.object({ type: z.literal('invited'), id: z.string() }),
  /** Is about to be used or taken back: from here on it may be open or not. */
  z.object({ type: z.literal('invite-ending'), id: z.string() }),
  z.object({ type: z.literal('invite-gone'), id: z.string() }),
  z.object({ type: z.literal('vote'), term: leaderTerm, candidate: peerId }),
]);
export type Told = z.infer<typeof told>;

type Of<T extends Told['type']> = Extract<Told, { type: T }>;

function allOf<T extends Told['type']>(type: T, all: readonly Told[]): readonly Of<T>[] {
  // Proven: the type was compared.
  return all.filter((one) => one.type === type) as Of<T>[];
}

/** What is wrong with the files before the node opens them, and mends what it may. */
export function faultsOfFiles(root: string, all: readonly Told[]): readonly string[] {
  const faults: string[] = [];
  const key = allOf('key', all).at(-1);
  if (key !== undefined) {
    const { identity, rotations } = loadKeyFile(keyPathIn(root));
    const ids = [identity.id, ...rotations.map((text) => readRotation(text).from.id)];
    if (!ids.includes(key.id)) faults.push('the key is another');
  }
  const vote = allOf('vote', all).at(-1);
  const record = readElectionRecord(dataDirIn(root).election);
  if (vote !== undefined && (record?.term ?? 0) < vote.term) faults.push(`the term fell from ${vote.term} to ${record?.term}`);
  if (vote !== undefined && record?.term === vote.term && record.votedFor !== vote.candidate) {
    faults.push(`the vote of term ${vote.term} is forgotten`);
  }
  for (const log of ['node', 'fast'] as const) {
    const path = log === 'node' ? dataDirIn(root).audit : auditPathIn(root);
    const known: readonly AuditEnd[] = checkpointsOf(all, log).map((text) => openAuditCheckpoint(text));
    try {
      verifyAudit(path, known);
    } catch (error) {
      faults.push(SkeinError.from(error).message);
    }
  }
  return faults;
}

export function checkpointsOf(all: readonly Told[], log: 'node' | 'fast'): readonly string[] {
  return allOf('checkpoint', all).flatMap((one) => (one.log === log ? [one.text] : []));
}

/** What is missing of what was told. */
export function faultsOfNode(node: OpenedNode, all: readonly Told[]): readonly string[] {
  const integrity = node.files.database.get('PRAGMA integrity_check')?.integrity_check;
  return [
    ...(integrity === 'ok' ? [] : [`integrity_check: ${String(integrity)}`]),
    ...node.errors.map(({ message }) => message),
    ...faultsOfTasks(node, all),
    ...faultsOfLogs(node, all),
    ...faultsOfTrust(node, all),
  ];
}

function faultsOfTasks({ journal, files }: OpenedNode, all: readonly Told[]): readonly string[] {
  const ranks = ['queued', 'running', 'done'];
  return allOf('task', all).flatMap(({ origin, id, state, steps }) => {
    // Its own are those of the key it has now.
    const owner = files.formerIds.some((former) => former === origin) ? files.identity.id : origin;
    const task = journal.get({ origin: owner, id });
    if (task === undefined) return [`task ${id} is lost`];
    if (ranks.indexOf(task.state) < ranks.indexOf(state)) return [`task ${id} was ${state} and is ${task.state}`];
    if (journal.steps(task).length < steps) return [`task ${id} has lost a step`];
    return task.state === 'done' && task.outcome?.text !== `done ${id}` ? [`task ${id} has lost its answer`] : [];
  });
}

function faultsOfLogs({ files }: OpenedNode, all: readonly Told[]): readonly string[] {
  const facts = new Set(files.memory.latest({ limit: 10_000 }).map(({ text }) => text));
  const said = new Set(files.sessions.read('chat', { maxChars: 1e6 }).map(({ message }) => JSON.stringify(message)));
  const heads = allOf('head', all).flatMap(({ log, author, replica, seq, digest }) => {
    const [operations, name] = log === 'memory' ? [files.memoryLog, 'memory'] : [files.sessionLog, 'sessions'];
    const head = operations.headOf({ author, replica });
    if (head === undefined || head.seq < seq) return [`the ${name} log has lost operation ${seq}`];
    return head.seq === seq && head.digest !== digest ? [`operation ${seq} of the ${name} log is another than was told`] : [];
  });
  return [
    ...allOf('fact', all).flatMap(({ text }) => (facts.has(text) ? [] : [`the fact "${text}" is lost`])),
    ...allOf('said', all).flatMap(({ text }) =>
      said.has(JSON.stringify({ role: 'user', text })) ? [] : [`what was said, "${text}", is lost`],
    ),
    ...heads,
  ];
}

function faultsOfTrust({ files, invites }: OpenedNode, all: readonly Told[]): readonly string[] {
  const open = new Set(invites.list().map(({ id }) => id));
  const ending = new Set(allOf('invite-ending', all).map(({ id }) => id));
  return [
    ...allOf('trusted', all).flatMap(({ id }) => (files.trust.get(id) === undefined ? [`the trust in ${id} is lost`] : [])),
    ...allOf('revoked', all).flatMap(({ id }) => (files.trust.get(id)?.revoked ? [] : [`${id} is trusted again`])),
    ...allOf('invited', all).flatMap(({ id }) => (open.has(id) || ending.has(id) ? [] : [`invitation ${id} is lost`])),
    ...allOf('invite-gone', all).flatMap(({ id }) => (open.has(id) ? [`invitation ${id} is open again`] : [])),
    ...allOf('held', all).flatMap(({ id, checkpoint }) =>
      countOf(files.heldCheckpoints.get(id)) < countOf(checkpoint) ? [`the checkpoint of ${id} is an older one`] : [],
    ),
  ];
}

function countOf(checkpoint: string | undefined): number {
  return checkpoint === undefined ? 0 : openAuditCheckpoint(checkpoint).count;
}
