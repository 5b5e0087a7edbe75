import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { measured, mountSmallDisk, smallDiskMissing, startLlmServer } from '@skein/testing';
import { expect, test } from 'vitest';
import { Nodes, startPair } from './nodes.ts';

const noSmallDisk = smallDiskMissing();

test.skipIf(noSmallDisk !== null)(
  `a full disk refuses a turn before the model is asked, goes on with all else, and recovers${noSmallDisk === null ? '' : ` (left out: ${noSmallDisk})`}`,
  async () => {
    await using llm = await startLlmServer({ script: () => ({ text: 'Well.' }) });
    await using nodes = new Nodes();
    const boss = nodes.make('boss', {
      brain: { provider: 'openai-compatible', model: 'scripted', baseUrl: `${llm.url}/v1` },
    });
    using disk = mountSmallDisk(boss.file(), 8 * 1024 * 1024);
    const worker = nodes.make('worker', { net: { share: { tools: true } } });
    worker.trusts([boss, { trust: 'tool' }]);
    await nodes.start(worker);
    boss.trusts([worker, { url: worker.url }]);
    await nodes.start(boss);
    await boss.event('tools-changed');
    expect((await boss.ask('one')).at(-1)).toMatchObject({ type: 'answer' });

    disk.fill();
    // What is small may still fit into a page that is there; a long text does not.
    expect((await boss.ask(`two ${'x'.repeat(30_000)}`)).at(-1)).toMatchObject({ type: 'error', code: 'unavailable' });
    expect(llm.count).toBe(1);
    expect(boss.host.backend.history('test').map(({ text }) => text)).toEqual(['one', 'Well.']);
    await expect(boss.call('memory_write', { text: 'y'.repeat(4_000) })).rejects.toMatchObject({ code: 'unavailable' });
    // A peer that comes back while there is no room can still be used, whatever it shows now.
    const left = boss.event('peer-left');
    const { port } = worker.host.backend.status();
    await worker.host[Symbol.asyncDispose]();
    await left;
    const changed = boss.event('tools-changed');
    await nodes.start(nodes.restart(worker, { net: { port, share: { tools: true, toolAllow: ['system_info'] } } }));
    expect((await changed).removed).toContain('shell_exec');
    expect(await boss.call('worker/system_info', {})).toBeDefined();

    disk.free();
    expect((await boss.ask('three')).at(-1)).toMatchObject({ type: 'answer' });
    expect(boss.host.backend.history('test').map(({ text }) => text)).toEqual(['one', 'Well.', 'three', 'Well.']);
    await boss.host[Symbol.asyncDispose]();
  },
);

test('ten tools that run for half a minute leave the event loop, calls and the link to a peer alone', async () => {
  await using nodes = new Nodes();
  const { boss, worker } = await startPair(nodes, { worker: { tools: { shell: { allow: ['sleep'] } } } });
  const stop = new AbortController();
  const slow = Array.from({ length: 10 }, () => boss.call('worker/shell_exec', { command: 'sleep 30' }, stop.signal));
  const ends = Promise.allSettled(slow);
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  for (let call = 0; call < 200; call += 1) expect(await boss.call('worker/list_files', {})).toBeDefined();
  delay.disable();
  // Both nodes and the test share this loop, maybe on a busy machine; a tool that blocked would show as 30 seconds.
  expect(delay.percentile(99) / 1e6).toBeLessThan(500);
  measured('loop-lag', { counts: { tools: slow.length }, peaks: { loopLagP99Ms: delay.percentile(99) / 1e6 } });
  expect(worker.host.backend.peers().find(({ name }) => name === 'boss')?.state).toBe('connected');
  expect(boss.host.backend.peers().find(({ name }) => name === 'worker')?.state).toBe('connected');
  stop.abort();
  for (const end of await ends) expect(end).toMatchObject({ status: 'rejected', reason: { code: 'canceled' } });
});

test('a trust file that does not read is told by its line, what held goes on, and the next good one counts', async () => {
  await using nodes = new Nodes();
  const { boss, worker } = await startPair(nodes);
  const path = worker.file('authorized_peers');
  const good = readFileSync(path, 'utf8');
  const replace = (text: string) => {
    writeFileSync(`${path}.next`, text, { mode: 0o600 });
    renameSync(`${path}.next`, path);
  };
  const told = worker.event('peer-problem', ({ name }) => name === 'authorized_peers');
  replace(`${good}this is no key line\n`);
  expect((await told).problem).toContain('Line 2');
  expect(await boss.call('worker/system_info', {})).toBeDefined();
  const changed = boss.event('tools-changed');
  worker.trusts([boss, { trust: 'tool', denyTools: ['shell_exec'] }]);
  expect((await changed).removed).toEqual(['shell_exec']);
});

test('an emptied trust file takes back the trust it gave', async () => {
  await using nodes = new Nodes();
  const { boss, worker } = await startPair(nodes);
  const left = boss.event('peer-left');
  writeFileSync(worker.file('authorized_peers'), '', { mode: 0o600 });
  expect((await left).reason).toContain('taken back');
});
