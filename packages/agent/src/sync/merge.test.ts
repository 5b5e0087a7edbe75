import type { WireOperation } from '@skein/protocol';
import { measured, sized, sizedTimeout } from '@skein/testing';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { bring, createTestLogs, everybody, operationsIn, type TestLogs } from '../../test/test-logs.ts';
import type { OperationLog } from './operation-log.ts';

const AUTHORS = 3;
const TEXTS = ['plum', 'pear', 'fig', 'PLUM '];

const who = fc.nat({ max: AUTHORS - 1 });
const what = fc.nat({ max: 9 });
const action = fc.oneof(
  fc.record({ type: fc.constant('write' as const), who, text: fc.constantFrom(...TEXTS) }),
  fc.record({ type: fc.constant('edit' as const), who, what, text: fc.constantFrom(...TEXTS) }),
  fc.record({ type: fc.constant('forget' as const), who, what }),
  fc.record({ type: fc.constant('turn' as const), who, what: fc.nat({ max: 1 }), answers: fc.nat({ max: 2 }) }),
  fc.record({ type: fc.constant('delete' as const), who, what: fc.nat({ max: 1 }) }),
  fc.record({ type: fc.constant('meet' as const), who, other: who }),
  fc.record({ type: fc.constant('drift' as const), who, ms: fc.integer({ min: -3_000, max: 3_000 }) }),
);
type Action = typeof action extends fc.Arbitrary<infer A> ? A : never;

/** Three nodes that write, edit, forget, delete, and meet now and then. */
async function live(nodes: readonly TestLogs[], actions: readonly Action[]): Promise<void> {
  let turns = 0;
  for (const step of actions) {
    const node = nodes[step.who];
    if (node === undefined) continue;
    const facts = node.memory.latest({ limit: 100 });
    const fact = 'what' in step ? facts[step.what % Math.max(1, facts.length)] : undefined;
    switch (step.type) {
      case 'write':
        await node.remember(step.text);
        break;
      case 'edit':
        if (fact !== undefined) await node.remember(step.text, { replaces: fact.id });
        break;
      case 'forget':
        if (fact !== undefined) await node.memory.forget(fact.id);
        break;
      case 'turn': {
        turns += 1;
        const id = `s${step.what}`;
        await node.sessions.append(id, [{ message: { role: 'user', text: `q${turns}` }, tainted: false }]);
        for (let answer = 0; answer < step.answers; answer += 1) {
          const text = `a${turns}.${answer}`;
          await node.sessions.append(id, [{ message: { role: 'assistant', text, toolCalls: [] }, tainted: false }]);
        }
        break;
      }
      case 'delete':
        await node.sessions.delete(`s${step.what}`);
        break;
      case 'meet': {
        const other = nodes[step.other];
        if (other === undefined) break;
        await bring(node.memoryLog, other.memoryLog);
        await bring(other.sessionLog, node.sessionLog);
        break;
      }
      case 'drift':
        node.clock.nowMs += step.ms;
    }
  }
}

/** All operations that anybody has, those erased by somebody without their body if it is chosen so. */
function everything(nodes: readonly TestLogs[], log: (node: TestLogs) => OperationLog): WireOperation[] {
  return nodes.flatMap((node) => operationsIn(log(node)));
}

/** Brings operations in an order of its own, again and again, until every chain is whole. */
async function deliver(to: OperationLog, operations: readonly WireOperation[], order: readonly number[]): Promise<void> {
  const pages = order.map((place) => operations[place % Math.max(1, operations.length)]);
  const page = pages.filter((operation) => operation !== undefined);
  for (let at = 0; at < page.length; at += 7) await to.accept(page.slice(at, at + 7), everybody);
  for (let round = 0; round <= operations.length; round += 1) {
    const { added } = await to.accept(operations.toReversed(), everybody);
    if (added === 0) return;
  }
  throw new Error('It does not come to an end');
}

/** What a node shows, but for whose own words they are. */
function stateOf(node: TestLogs) {
  const own = (author: string) => (author === 'me' ? node.id : author);
  const sessions = node.sessions.list().map(({ id, title }) => ({ id, title }));
  return {
    facts: node.database
      .all('SELECT fact_id, dot, author, body FROM facts WHERE forgotten_at_ms IS NULL ORDER BY dot')
      .map(({ fact_id, dot, author, body }) => [fact_id, dot, own(String(author)), JSON.parse(String(body)).text]),
    removals: node.database.all('SELECT dot FROM fact_removals ORDER BY dot'),
    sessions: sessions.sort((one, other) => (one.id < other.id ? -1 : 1)),
    messages: sessions.map(({ id }) => node.sessions.read(id, { maxChars: 1e9 }).map(({ message }) => message)),
    found: node.memory
      .search('plum pear fig', { limit: 50 })
      .map(({ text }) => text.trim().toLowerCase())
      .sort(),
    operations: node.database.all(
      `SELECT author, replica, o.seq, head, body FROM operations o JOIN operation_chains c ON c.id = chain
       ORDER BY log, author, replica, o.seq`,
    ),
  };
}

test('whatever the order, the pages and the repetitions, everybody ends with the same', {
  timeout: sizedTimeout({ ci: 120_000, full: 3_600_000 }),
}, async () => {
  const seeds = sized({ ci: 100, full: 3_000 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(action, { minLength: 5, maxLength: 40 }),
      fc.array(fc.nat({ max: 500 }), { maxLength: 60 }),
      fc.array(fc.nat({ max: 500 }), { maxLength: 60 }),
      async (actions, one, other) => {
        using a = createTestLogs();
        using b = createTestLogs();
        using c = createTestLogs();
        using first = createTestLogs();
        using second = createTestLogs();
        const nodes = [a, b, c];
        await live(nodes, actions);
        // Whoever's clock was behind: nobody's is ahead of these any more.
        for (const node of [...nodes, first, second]) node.clock.nowMs = 1_800_000_000_000;
        const facts = everything(nodes, (node) => node.memoryLog);
        const messages = everything(nodes, (node) => node.sessionLog);
        await deliver(first.memoryLog, facts, one);
        await deliver(first.sessionLog, messages, other);
        await deliver(second.sessionLog, messages.toReversed(), one);
        await deliver(second.memoryLog, facts.toReversed(), other);
        for (const node of nodes) {
          await deliver(node.memoryLog, facts, one);
          await deliver(node.sessionLog, messages, other);
        }
        const state = stateOf(first);
        expect(stateOf(second)).toEqual(state);
        const shown = ({ messages: read, ...rest }: ReturnType<typeof stateOf>) => ({ ...rest, read: withoutTaint(read) });
        for (const node of nodes) expect(shown(stateOf(node))).toEqual(shown(state));
      },
    ),
    { numRuns: seeds },
  );
  measured('simulation', { counts: { seeds } });
});

function withoutTaint(messages: unknown): unknown {
  return JSON.parse(JSON.stringify(messages, (key, value: unknown) => (key === 'untrusted' ? undefined : value)));
}

test('turns stay whole, and each author’s in their order', {
  timeout: sizedTimeout({ ci: 30_000, full: 3_600_000 }),
}, async () => {
  const seeds = sized({ ci: 40, full: 2_000 });
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 5, maxLength: 40 }), async (actions) => {
      using a = createTestLogs();
      using b = createTestLogs();
      using c = createTestLogs();
      const nodes = [a, b, c];
      await live(
        nodes,
        actions.filter(({ type }) => type !== 'delete'),
      );
      a.clock.nowMs = 1_800_000_000_000;
      const messages = everything(nodes, (node) => node.sessionLog);
      await deliver(a.sessionLog, messages, []);
      for (const { id } of a.sessions.list()) {
        const read = a.sessions.read(id, { maxChars: 1e9 }).map(({ message }) => (message.role === 'tool' ? '' : message.text));
        const turn = (text: string) => text.slice(1).split('.')[0];
        for (const [index, text] of read.entries()) {
          if (text.startsWith('a')) expect(turn(read[index - 1] ?? '')).toBe(turn(text));
        }
      }
    }),
    { numRuns: seeds },
  );
  measured('simulation', { counts: { seeds } });
});
