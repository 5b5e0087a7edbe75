import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createIdentity, hybridMs, hybridTime, type PeerId, parseOperationHead } from '@skein/protocol';
import { describe, expect, test } from 'vitest';
import { bring, createTestLogs, everybody, nobody, operationsIn, sign } from '../../test/test-logs.ts';

const AT = hybridTime(1_700_000_000_000, 0);
const factOf = (text: string) => JSON.stringify({ type: 'fact', fact: text, text, tags: [], source: '', trusted: true });

describe('an operation is taken', () => {
  test('once, however often it is brought, and in the order of its chain', async () => {
    using a = createTestLogs();
    using b = createTestLogs();
    for (const text of ['one', 'two', 'three']) await a.remember(text);
    const [first, second, third] = operationsIn(a.memoryLog);
    if (first === undefined || second === undefined || third === undefined) throw new Error('three were written');
    const early = await b.memoryLog.accept([third, second], everybody);
    expect(early).toMatchObject({ added: 0, gaps: [{ author: a.id, from: 1, to: 3 }] });
    expect(await b.memoryLog.accept([first, first, second, third, first], everybody)).toMatchObject({ added: 3, gaps: [] });
    expect(await b.memoryLog.accept([first, second, third], everybody)).toMatchObject({ added: 0, grown: [], refused: [] });
    expect(b.texts()).toEqual(['one', 'three', 'two']);
    expect(b.memoryLog.heads()).toEqual(a.memoryLog.heads());
  });

  test('through any number of hands, byte for byte', async () => {
    using a = createTestLogs();
    using b = createTestLogs();
    using c = createTestLogs();
    await a.remember('passed on');
    await bring(a.memoryLog, b.memoryLog);
    await bring(b.memoryLog, c.memoryLog);
    expect(operationsIn(c.memoryLog, a.id)).toEqual(operationsIn(a.memoryLog));
    expect(c.memory.search('passed')).toMatchObject([{ author: a.id, trusted: false }]);
  });

  test('only when its author may write here, whoever brings it', async () => {
    using a = createTestLogs();
    using b = createTestLogs();
    await a.remember('let me in');
    const result = await b.memoryLog.accept(operationsIn(a.memoryLog), nobody);
    expect(result).toMatchObject({ added: 0, refused: [{ author: a.id, seq: 1, code: 'denied' }] });
    expect(b.texts()).toEqual([]);
    expect(b.memoryLog.heads()).toEqual([]);
  });

  test('only with a clock that is not far ahead, and then its time is taken over', async () => {
    using b = createTestLogs();
    const author = createIdentity();
    const ahead = (ms: number) => sign(author, { time: hybridTime(b.clock.nowMs + ms, 0) }).wire;
    const refused = await b.memoryLog.accept([ahead(6_000)], everybody);
    expect(refused).toMatchObject({ added: 0, refused: [{ code: 'invalid', passing: true }] });
    expect(b.memoryLog.heads()).toEqual([]);
    const taken = ahead(4_900);
    expect(await b.memoryLog.accept([taken], everybody)).toMatchObject({ added: 1 });
    await b.remember('after it');
    const [own] = operationsIn(b.memoryLog, b.id);
    const time = parseOperationHead(Buffer.from(own?.head ?? '', 'base64')).time;
    expect(time > parseOperationHead(Buffer.from(taken.head, 'base64')).time).toBe(true);
    expect(hybridMs(time)).toBeGreaterThan(b.clock.nowMs);
  });

  test('never with a time before that of the one before it', async () => {
    using b = createTestLogs();
    const author = createIdentity();
    const first = sign(author, { time: AT });
    const second = sign(author, { time: AT, seq: 2, previous: first.head.digest });
    expect(await b.memoryLog.accept([first.wire, second.wire], everybody)).toMatchObject({
      added: 1,
      refused: [{ seq: 2, code: 'invalid', passing: false }],
    });
  });

  test('and kept without effect when this build makes no sense of it', async () => {
    using b = createTestLogs();
    using c = createTestLogs();
    const author = createIdentity();
    const bodies = ['{"type":"later"}', 'not json', '[', '{"type":"fact","text":1}', '['.repeat(10_000), 'null'];
    let previous: Buffer = Buffer.alloc(32);
    const operations = bodies.map((body, index) => {
      const { head, wire } = sign(author, { time: hybridTime(hybridMs(AT) + index, 0), seq: index + 1, previous, body });
      previous = head.digest;
      return wire;
    });
    expect(await b.memoryLog.accept(operations, everybody)).toMatchObject({ added: bodies.length });
    await bring(b.memoryLog, c.memoryLog);
    expect(operationsIn(c.memoryLog)).toEqual(operations);
    expect(b.texts()).toEqual([]);
  });

  test('and kept without effect when what it removes can be no operation', async () => {
    using b = createTestLogs();
    const author = createIdentity();
    const dots = [`${author.id}.${'ab'.repeat(8)}.9999999999999999`, `${'7'.repeat(52)}.${'ab'.repeat(8)}.1`];
    for (const [index, dot] of dots.entries()) {
      const body = JSON.stringify({ type: 'forget', fact: 'f', removes: [dot] });
      const { wire } = sign(author, { time: AT, replica: `${index}`.repeat(16), body });
      expect(await b.memoryLog.accept([wire], everybody), dot).toMatchObject({ added: 1, refused: [] });
    }
    await b.remember('goes on');
    expect(b.texts()).toEqual(['goes on']);
  });

  test('and can be read again when a text in it is half of a surrogate pair', async () => {
    using b = createTestLogs();
    const body = JSON.stringify({ type: 'fact', fact: 'f\ud83d', text: 'a \ud83d b', tags: [], source: '', trusted: true });
    await b.memoryLog.accept([sign(createIdentity(), { time: AT, body }).wire], everybody);
    expect(b.texts()).toHaveLength(1);
  });
});

describe('forged', () => {
  test('in any single bit of its head or with another body, nothing of what came with it is taken', async () => {
    using a = createTestLogs();
    using b = createTestLogs();
    await a.remember('true words');
    const [operation] = operationsIn(a.memoryLog);
    const head = Buffer.from(operation?.head ?? '', 'base64');
    for (let bit = 0; bit < head.length * 8; bit += 1) {
      const forged = Buffer.from(head);
      forged[bit >> 3] = (forged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const wire = { head: forged.toString('base64'), body: operation?.body ?? '' };
      await expect(b.memoryLog.accept([wire], everybody), `bit ${bit}`).rejects.toMatchObject({
        code: expect.stringMatching(/^(invalid|unauthenticated)$/),
      });
    }
    const other = { head: operation?.head ?? '', body: operation?.body?.replace('true', 'fake') ?? '' };
    await expect(b.memoryLog.accept([other], everybody)).rejects.toMatchObject({ code: 'invalid' });
    expect(b.memoryLog.heads()).toEqual([]);
    expect(b.texts()).toEqual([]);
  });

  test('in another’s name, it is not taken', async () => {
    using a = createTestLogs();
    using b = createTestLogs();
    const { head } = sign(createIdentity(), { time: AT });
    const forged = Buffer.from(head.bytes);
    forged.set(a.identity.bytes, 68);
    const wire = { head: forged.toString('base64'), body: factOf('x') };
    await expect(b.memoryLog.accept([wire], everybody)).rejects.toThrow();
    expect(b.memoryLog.heads()).toEqual([]);
  });

  test('by an author who is let in while it is looked at, it is not taken', async () => {
    using a = createTestLogs();
    using b = createTestLogs();
    const { head } = sign(createIdentity(), { time: AT, body: factOf('x') });
    const forged = Buffer.from(head.bytes);
    forged.set(a.identity.bytes, 68);
    let isTrusted = false;
    const wire = { head: forged.toString('base64'), body: factOf('x') };
    const accepted = b.memoryLog.accept([wire], { mayWrite: () => isTrusted });
    isTrusted = true;
    expect(await accepted).toMatchObject({ added: 0, refused: [{ author: a.id, code: 'denied', passing: true }] });
    expect(b.texts()).toEqual([]);
  });

  test('as one of another log, it is not taken', async () => {
    using a = createTestLogs();
    using b = createTestLogs();
    await a.remember('a fact');
    await expect(b.sessionLog.accept(operationsIn(a.memoryLog), everybody)).rejects.toMatchObject({ code: 'invalid' });
  });
});

describe('an author that writes two histories', () => {
  const author = createIdentity();
  const first = sign(author, { time: AT, body: factOf('first') });
  const at = (ms: number) => hybridTime(hybridMs(AT) + ms, 0);

  test.each([
    ['two operations with one number', sign(author, { time: at(1), body: factOf('other first') }), 1],
    ['one that follows another past', sign(author, { time: at(9), seq: 2, previous: Buffer.alloc(32, 7) }), 1],
  ])('by %s is found out, and nothing more of it is taken', async (_, forked, kept) => {
    using b = createTestLogs();
    using other = createTestLogs();
    await b.memoryLog.accept([first.wire], everybody);
    const result = await b.memoryLog.accept([forked.wire], everybody);
    expect(result).toMatchObject({ added: 0, forks: [{ author: author.id }] });
    expect(b.memoryLog.quarantined()).toMatchObject([{ author: author.id }]);
    const next = sign(author, { time: at(20), seq: 2, previous: first.head.digest, body: factOf('second') });
    const elsewhere = sign(author, { time: at(21), replica: 'cd'.repeat(8) });
    expect(await b.memoryLog.accept([next.wire, elsewhere.wire], everybody)).toMatchObject({
      added: 0,
      refused: [{ code: 'denied' }, { code: 'denied' }],
    });
    expect(operationsIn(b.memoryLog)).toHaveLength(kept);
    await other.remember('of another');
    await bring(other.memoryLog, b.memoryLog);
    expect(b.texts()).toEqual(['first', 'of another']);
    expect(await b.memoryLog.pardon(author.id)).toBe(true);
    expect(await b.memoryLog.accept([next.wire], everybody)).toMatchObject({ added: 1 });
  });

  test('is not accused on another’s word: the second history must be signed', async () => {
    using b = createTestLogs();
    await b.memoryLog.accept([first.wire], everybody);
    const forged = Buffer.from(sign(author, { time: at(1), body: factOf('other') }).head.bytes);
    forged[0] = (forged[0] ?? 0) ^ 1;
    await expect(
      b.memoryLog.accept([{ head: forged.toString('base64'), body: factOf('other') }], everybody),
    ).rejects.toMatchObject({ code: 'unauthenticated' });
    expect(b.memoryLog.quarantined()).toEqual([]);
  });

  test('that is this node, set back to an earlier copy, goes on in a new chain', async () => {
    const identity = createIdentity();
    using before = createTestLogs({ identity });
    using peer = createTestLogs();
    await before.remember('kept');
    const [kept] = operationsIn(before.memoryLog);
    await before.remember('lost with the disk');
    await bring(before.memoryLog, peer.memoryLog);
    using restored = createTestLogs({ identity });
    await restored.memoryLog.accept(kept === undefined ? [] : [kept], everybody);
    // As a copy of the database would have it: the same chain.
    const [chain] = restored.memoryLog.heads();
    await restored.database.write((writer) => writer.run('UPDATE operation_logs SET replica = ?', chain?.replica ?? ''));
    await restored.remember('written after the restore');
    const result = await restored.memoryLog.accept(operationsIn(peer.memoryLog), everybody);
    expect(result.forks).toMatchObject([{ author: identity.id }]);
    expect(restored.memoryLog.quarantined()).toEqual([]);
    await restored.remember('in a new chain');
    expect(new Set(restored.memoryLog.heads().map(({ replica }) => replica)).size).toBe(2);
  });
});

test('a node that lost its store gets its own words back, and still trusts them', async () => {
  const identity = createIdentity();
  using peer = createTestLogs();
  {
    using before = createTestLogs({ identity });
    await before.remember('my own');
    await bring(before.memoryLog, peer.memoryLog);
  }
  using after = createTestLogs({ identity });
  await bring(peer.memoryLog, after.memoryLog);
  expect(after.memory.search('own')).toMatchObject([{ author: 'me', trusted: true }]);
  await after.remember('new');
  await bring(after.memoryLog, peer.memoryLog);
  expect(peer.texts()).toEqual(['my own', 'new']);
});

describe('an author that floods', () => {
  const flood = (bytes: number) => 'x'.repeat(bytes);

  test('is told that its share is full, and stops nobody else', async () => {
    using b = createTestLogs({ limits: { maxAuthorBytes: 10_000 } });
    using loud = createTestLogs();
    using quiet = createTestLogs();
    for (let count = 0; count < 20; count += 1) await loud.remember(`${count} ${flood(1_000)}`);
    await quiet.remember('quiet');
    const result = await b.memoryLog.accept([...operationsIn(loud.memoryLog), ...operationsIn(quiet.memoryLog)], everybody);
    expect(result.added).toBeLessThan(10);
    expect(result.refused[0]).toMatchObject({ author: loud.id, code: 'busy', passing: true });
    expect(b.memory.search('quiet')).toHaveLength(1);
    await b.remember('my own goes on');
  });

  test('with many keys meets the bound of all peers, and this node’s own words have room', async () => {
    using b = createTestLogs({ limits: { maxForeignBytes: 5_000 }, memoryLimits: { maxFacts: 10 } });
    const codes = new Set<string>();
    for (let author = 0; author < 12; author += 1) {
      using loud = createTestLogs();
      await loud.remember(`${author} ${flood(500)}`);
      const { refused } = await b.memoryLog.accept(operationsIn(loud.memoryLog), everybody);
      for (const { code } of refused) codes.add(code);
    }
    expect([...codes]).toEqual(['busy']);
    expect(b.memory.latest({ limit: 100 }).length).toBeLessThanOrEqual(8);
    await b.remember('one');
    await b.remember('two');
  });

  test('with chains without end meets their bound', async () => {
    using b = createTestLogs({ limits: { maxChainsPerAuthor: 3 } });
    const author = createIdentity();
    const codes: string[] = [];
    for (let chain = 0; chain < 5; chain += 1) {
      const { wire } = sign(author, { time: AT, replica: `0${chain}`.repeat(8), body: factOf(`${chain}`) });
      const { refused } = await b.memoryLog.accept([wire], everybody);
      codes.push(refused[0]?.code ?? 'taken');
    }
    expect(codes).toEqual(['taken', 'taken', 'taken', 'busy', 'busy']);
  });

  test('has room again for what was erased', async () => {
    using b = createTestLogs({ limits: { maxAuthorBytes: 2_000 } });
    using a = createTestLogs();
    const { id } = await a.remember(flood(1_000));
    await a.remember(`y${flood(900)}`);
    await bring(a.memoryLog, b.memoryLog);
    expect(b.texts()).toHaveLength(1);
    await b.memory.forget(id);
    await bring(a.memoryLog, b.memoryLog);
    expect(b.texts()).toHaveLength(1);
    expect(b.texts()[0]).toMatch(/^y/);
  });
});

describe('a body that did not come', () => {
  test('is asked for elsewhere and filled in, once', async () => {
    using a = createTestLogs();
    using b = createTestLogs();
    await a.remember('held back');
    const [operation] = operationsIn(a.memoryLog);
    const stripped = { head: operation?.head ?? '' };
    expect(await b.memoryLog.accept([stripped], everybody)).toMatchObject({ added: 1 });
    expect(b.texts()).toEqual([]);
    expect(await b.memoryLog.takeHoles(10)).toMatchObject([{ author: a.id, from: 1, to: 1 }]);
    for (let times = 0; times < 40; times += 1) await b.memoryLog.takeHoles(10);
    expect(await b.memoryLog.takeHoles(10), 'not without end').toEqual([]);
    await bring(a.memoryLog, b.memoryLog);
    expect(b.texts()).toEqual(['held back']);
    expect(await b.memoryLog.takeHoles(10)).toEqual([]);
    expect(await b.memoryLog.accept(operationsIn(a.memoryLog), everybody)).toMatchObject({ added: 0 });
  });

  test('stays out when it was erased for good', async () => {
    using a = createTestLogs();
    using b = createTestLogs();
    const { id } = await a.remember('secret plum');
    const [before] = operationsIn(a.memoryLog);
    await a.memory.forget(id);
    await bring(a.memoryLog, b.memoryLog);
    expect(await b.memoryLog.takeHoles(10)).toEqual([]);
    await b.memoryLog.accept(before === undefined ? [] : [before], everybody);
    expect(JSON.stringify([operationsIn(b.memoryLog), b.database.all('SELECT * FROM facts')])).not.toContain('plum');
  });
});

test('what was acknowledged is there when the file is opened again, and the clock goes on', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'skein-operations-'));
  const identity = createIdentity();
  const path = join(directory, 'skein.db');
  try {
    let heads: unknown;
    {
      using a = createTestLogs({ path, identity });
      a.clock.nowMs += 1_000_000;
      await a.remember('one');
      heads = a.memoryLog.heads();
    }
    using a = createTestLogs({ path, identity });
    expect(a.memoryLog.heads()).toEqual(heads);
    await a.remember('two');
    expect(a.memoryLog.ownHead()).toMatchObject({ author: identity.id as PeerId, seq: 2 });
    const [one, two] = operationsIn(a.memoryLog).map(({ head }) => parseOperationHead(Buffer.from(head, 'base64')).time);
    expect((two ?? '') > (one ?? '')).toBe(true);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test('an operation that was changed on the disk is found to be when it is passed on', async () => {
  using a = createTestLogs();
  await a.remember('true words');
  await a.database.write((writer) => writer.run(`UPDATE operations SET body = replace(body, 'true', 'fake')`));
  expect(() => operationsIn(a.memoryLog)).toThrow(expect.objectContaining({ code: 'corrupt' }));
});
