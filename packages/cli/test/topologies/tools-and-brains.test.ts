import { expect, test } from 'vitest';
import { ExampleNetwork } from './example-network.ts';

test('1: one brain asks the tools of all nodes, by full name and by plain name with routing', async () => {
  await using network = await ExampleNetwork.start('1-distributed-tools');
  await network.tools('coordinator', 'us-monitor/system_info', 'eu-monitor/system_info');
  expect((await network.readme('how full is the disk')).lines.at(-1)).toMatchObject({
    type: 'answer',
    text: expect.stringContaining('us-monitor'),
    toolCalls: [{ name: 'us-monitor/system_info', peer: 'us-monitor', ok: true }],
  });
  const { toolCalls } = (await network.readme('most free memory')).lines.at(-1) ?? {};
  expect(toolCalls).toHaveLength(2);
  expect(toolCalls).toContainEqual(expect.objectContaining({ name: 'us-monitor/system_info', ok: true }));
  expect(toolCalls).toContainEqual(expect.objectContaining({ name: 'eu-monitor/system_info', ok: true }));
  expect((await network.readme('call us-monitor/read_file')).lines.at(-1)).toMatchObject({
    output: { content: 'This machine stands in the United States.\n' },
  });
  expect((await network.readme('call read_file')).lines.at(-1)).toMatchObject({
    output: { content: 'This machine stands in Europe.\n' },
  });
  expect((await network.readme('call shell_exec')).lines.at(-1)).toMatchObject({ output: { exitCode: 0 } });
  await network.line('us-monitor', ({ type, tool, ok }) => type === 'tool-served' && tool === 'shell_exec' && ok === true);
  // The workers share four tools, with the coordinator alone, and think for nobody.
  const names = (await network.client('coordinator').tools()).map(({ name }) => name);
  expect(names.filter((name) => name.startsWith('us-monitor/'))).toEqual([
    'us-monitor/list_files',
    'us-monitor/read_file',
    'us-monitor/shell_exec',
    'us-monitor/system_info',
  ]);
  expect((await network.client('us-monitor').tools()).filter(({ peer }) => peer !== undefined)).toEqual([]);
  expect(await network.ask('us-monitor', 'hello')).toMatchObject([{ type: 'error', code: 'unsupported' }]);
});

test('1: a plain name that is routed to a node that is away is refused, never run on another', async () => {
  await using network = await ExampleNetwork.start('1-distributed-tools');
  await network.tools('coordinator', 'us-monitor/read_file', 'eu-monitor/read_file');
  await network.kill('eu-monitor');
  const client = network.client('coordinator');
  await expect
    .poll(() => client.call({ name: 'read_file', input: { path: 'about.txt' } }).catch((error: unknown) => error))
    .toMatchObject({ code: 'unavailable', message: expect.stringContaining('eu-monitor') });
  // Nobody routes this one, and one node is left that has it.
  expect(await client.call({ name: 'list_files', input: {} })).toMatchObject({ count: 1 });
});

test('2: two brains answer for themselves, and use those tools of each other that are not denied to them', async () => {
  await using network = await ExampleNetwork.start('2-independent-brains');
  await network.tools('home', 'office/read_file');
  await network.tools('office', 'home/read_file');
  expect((await network.readme('home ask "what does notes.txt say?"')).lines.at(-1)).toMatchObject({
    text: expect.stringContaining('bread'),
    toolCalls: [{ name: 'read_file', peer: null, ok: true }],
  });
  expect((await network.readme('say on office?')).lines.at(-1)).toMatchObject({
    text: expect.stringContaining('printer'),
    toolCalls: [{ name: 'office/read_file', peer: 'office', ok: true }],
  });
  expect((await network.readme('say on home?')).lines.at(-1)).toMatchObject({
    text: expect.stringContaining('bread'),
    toolCalls: [{ name: 'home/read_file', peer: 'home', ok: true }],
  });
  // What one was asked, it answered itself: no task went over.
  expect((await network.client('office').tasks()).map(({ origin, owner }) => [origin, owner])).toEqual([[null, null]]);
  // A tool denied to one peer is neither listed for it nor run.
  const { code, lines } = await network.readme('office tools');
  expect(code).toBe(0);
  expect(JSON.stringify(lines)).toContain('home/read_file');
  expect(JSON.stringify(lines)).not.toContain('home/shell_exec');
  const denied = network.client('office').call({ name: 'home/shell_exec', input: { command: 'uptime' } });
  await expect(denied).rejects.toMatchObject({ code: 'not-found' });
});
