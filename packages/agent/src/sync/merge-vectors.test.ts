import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { createTestLogs, everybody } from '../../test/test-logs.ts';
import type { OperationLog } from './operation-log.ts';

const FILE = fileURLToPath(new URL('../../../protocol/vectors/operations.json', import.meta.url));
const operations = z.array(z.object({ name: z.string(), head: z.string(), body: z.string() })).min(1);
const { conversations, memories } = z
  .object({
    conversations: z.array(z.object({ why: z.string(), session: z.string(), operations, order: z.array(z.string()) })).min(1),
    memories: z
      .array(
        z.object({
          why: z.string(),
          operations,
          facts: z.array(z.object({ fact: z.string(), version: z.string(), text: z.string() })),
        }),
      )
      .min(1),
  })
  .parse(JSON.parse(readFileSync(FILE, 'utf8')));

/** Orders in which operations may come: as they stand, the other way round, and the later half first. */
function orders<T>(all: readonly T[]): readonly (readonly T[])[] {
  const half = Math.ceil(all.length / 2);
  return [all, all.toReversed(), [...all.slice(half), ...all.slice(0, half)]];
}

/** Brings operations one at a time, and what came too early again, until nothing new is taken. */
async function bringAll(log: OperationLog, all: readonly { readonly head: string; readonly body: string }[]): Promise<void> {
  let taken = 0;
  for (let added = 1; added > 0; ) {
    added = 0;
    for (const { head, body } of all) {
      const acceptance = await log.accept([{ head, body }], everybody);
      expect(acceptance).toMatchObject({ refused: [], forks: [] });
      added += acceptance.added;
    }
    taken += added;
  }
  expect(taken).toBe(all.length);
}

test.each(conversations)('a conversation: $why', async ({ session, operations, order }) => {
  for (const coming of orders(operations)) {
    using node = createTestLogs();
    await bringAll(node.sessionLog, coming);
    const said = node.sessions.read(session, { maxChars: 1e9 });
    expect(said.map(({ message }) => (message.role === 'tool' ? message.output : message.text))).toEqual(order);
  }
});

test.each(memories)('the memory: $why', async ({ operations, facts }) => {
  for (const coming of orders(operations)) {
    using node = createTestLogs();
    await bringAll(node.memoryLog, coming);
    const left = node.memory.latest({ limit: 100 }).map(({ id, version, text }) => ({ fact: id, version, text }));
    expect(left).toHaveLength(facts.length);
    expect(left).toEqual(expect.arrayContaining(facts));
  }
});
