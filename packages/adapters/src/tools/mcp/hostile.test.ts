import { monitorEventLoopDelay } from 'node:perf_hooks';
import { toolDescriptor } from '@skein/protocol';
import { describe, expect, test } from 'vitest';
import { gone, hostile, runServers, shop, spawnPlain } from '../../../test/mcp/running.ts';
import { rejection, toolContext, until } from '../../../test/tool-fixture.ts';

/** The longest this thread was held up while something ran, as a 99th percentile in milliseconds. */
async function lagDuring(work: () => Promise<unknown>): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await work();
  delay.disable();
  return delay.percentile(99) / 1e6;
}

/** A good server beside the bad one keeps working whatever that does. */
async function withShop(how: string, more: object = {}) {
  const running = await runServers({ bad: hostile(how, more), shop: shop() });
  return {
    ...running,
    shopWorks: async () => expect(await running.tool('shop_say').run({ text: 'fine' }, toolContext())).toBe('fine'),
  };
}

describe('a server', () => {
  test('that never answers at all is left at its start time', async () => {
    await using running = await withShop('never-answers', { startTimeoutMs: 500 });
    expect(running.problems[0]).toMatch(/bad: The MCP server bad did not list its tools within 500 ms/);
    await running.shopWorks();
    await gone(running.pids[0] ?? 0);
  });

  test('that ends at once is said so, and tried again later each time', async () => {
    await using running = await withShop('exits');
    await until(() => running.problems.length >= 4);
    await running.shopWorks();
  });

  test('that is no program at all is said so', async () => {
    await using running = await runServers({ bad: { command: ['/no/such/program'] } });
    expect(running.problems[0]).toMatch(/bad: The MCP server bad did not start/);
  });

  test('that answers no calls fails each at its time, and is started again when it answers no ping either', async () => {
    await using running = await withShop('never-answers-calls');
    const startedAt = performance.now();
    expect((await rejection(running.tool('bad_work').run({}, toolContext()))).code).toBe('deadline-exceeded');
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    await until(() => running.problems.some((problem) => problem.includes('does not answer any more')));
    await until(() => running.pids.length === 3);
  });

  test('has so many calls at once', async () => {
    await using running = await withShop('never-answers-calls');
    const calls = Array.from({ length: 40 }, () => rejection(running.tool('bad_work').run({}, toolContext())));
    const codes = (await Promise.all(calls)).map(({ code }) => code);
    expect(codes.filter((code) => code === 'busy')).toHaveLength(8);
  });

  test('that dies in the middle of a call fails it at once, with its last words told', async () => {
    await using running = await withShop('dies-mid-call');
    // At its time it would be `deadline-exceeded`.
    expect((await rejection(running.tool('bad_work').run({}, toolContext()))).code).toBe('unavailable');
    await until(() => running.problems.some((problem) => problem.includes('out of paper')));
    await running.shopWorks();
  });

  test('that writes what is no message among its messages is understood', async () => {
    await using running = await withShop('garbage');
    expect(await running.tool('bad_work').run({}, toolContext())).toBe('work done');
    expect(running.problems).toEqual([]);
  });

  test.each(['flood', 'noise', 'endless-line'])(
    'that writes without end (%s) holds up nothing, and is stopped with its call',
    async (how) => {
      await using running = await withShop(how);
      const before = process.memoryUsage.rss();
      const lag = await lagDuring(async () => {
        const failed = await rejection(running.tool('bad_work').run({}, toolContext()));
        expect(['deadline-exceeded', 'unavailable']).toContain(failed.code);
      });
      expect(lag).toBeLessThan(200);
      expect(process.memoryUsage.rss() - before).toBeLessThan(128 * 2 ** 20);
      await running.shopWorks();
    },
  );

  test('that tells without end how far it is has only so much of it passed on', async () => {
    await using running = await withShop('progress-flood', { timeoutMs: 20_000 });
    const context = toolContext();
    const lag = await lagDuring(async () => {
      await running
        .tool('bad_work')
        .run({}, context)
        .catch(() => undefined);
    });
    expect(lag).toBeLessThan(200);
    expect(context.deltas.join('').length).toBeLessThan(70_000);
  });

  test('that says without end that its tools have changed is listed once a second', async () => {
    await using running = await withShop('list-flood');
    const lag = await lagDuring(() => rejection(running.tool('shop_wait').run({}, toolContext(AbortSignal.timeout(1_500)))));
    expect(lag).toBeLessThan(200);
    expect(running.changes()).toBe(2);
    expect(await running.tool('bad_work').run({}, toolContext())).toBe('work done');
  });

  test.each(['huge-result', 'deep-result', 'wrong-result'])('with a %s gives a bounded answer or an error', async (how) => {
    await using running = await withShop(how);
    const outcome: unknown = await running
      .tool('bad_work')
      .run({}, toolContext())
      .catch((error: unknown) => error);
    expect(JSON.stringify(outcome).length).toBeLessThan(300_000);
    if (how === 'huge-result') expect(String(outcome)).toMatch(/\[cut here at 262144 characters\]$/);
    else expect(outcome).toBeInstanceOf(Error);
    await running.shopWorks();
  });

  test('cannot answer a call it was not asked', async () => {
    await using running = await withShop('other-id');
    expect(await running.tool('bad_work').run({}, toolContext())).toBe('work done');
  });

  test('is refused what it asks of this node', async () => {
    await using running = await withShop('asks-back');
    expect(await running.tool('bad_work').run({}, toolContext())).toBe('work done');
  });

  test('has no pattern of its own run here', async () => {
    await using running = await withShop('evil-pattern');
    const lag = await lagDuring(async () => {
      expect(await running.tool('bad_pattern').run({}, toolContext())).toEqual({ a: `${'a'.repeat(40)}!` });
    });
    expect(lag).toBeLessThan(200);
  });
});

describe('the list of a server', () => {
  test('with ten thousand tools is cut, and says so', async () => {
    await using running = await withShop('many');
    expect(running.names().filter((name) => name.startsWith('bad_'))).toHaveLength(128);
    expect(running.problems.join()).toMatch(/name those wanted in "tools"/);
    await running.shopWorks();
  });

  test('with ten thousand tools gives those that are named', async () => {
    await using running = await withShop('many', { tools: ['tool-9999'] });
    expect(running.names()).toContain('bad_tool-9999');
  });

  test.each(['huge-schema', 'deep-schema'])('with a %s leaves that tool out, by name', async (how) => {
    await using running = await withShop(how);
    expect(running.names().filter((name) => name.startsWith('bad_'))).toEqual(['bad_small']);
    expect(running.problems.join()).toMatch(/too large: (huge|deep)/);
  });

  test('without end is given up', async () => {
    await using running = await withShop('endless-pages');
    expect(running.problems.join()).toMatch(/more than 16 pages/);
    await running.shopWorks();
  });

  test('with long descriptions has them cut', async () => {
    await using running = await withShop('long-description');
    expect(running.tool('bad_long').descriptor.description).toHaveLength(1_500);
  });

  test('has names every provider takes, none of them another’s', async () => {
    const servers = {
      bad: hostile('names'),
      shell: hostile('names', { tools: ['exec'] }),
      bad_a: hostile('names', { tools: ['exec'] }),
    };
    await using running = await runServers(servers, { taken: ['shell_exec'] });
    const names = running.names();
    expect(new Set(names).size).toBe(names.length);
    expect(names).toContain('bad_a_b');
    expect(names).not.toContain('shell_exec');
    expect(names.filter((name) => /^(shell_exec|bad_a_b)_[0-9a-f]{6}$/.test(name))).toHaveLength(3);
    for (const { descriptor } of running.servers.tools) expect(toolDescriptor.safeParse(descriptor).error).toBeUndefined();
  });
});

test('a name stays with the tool that has it when another server comes by a tool of that name', async () => {
  await using running = await runServers({ a: hostile('late-twin'), a_b: hostile('default') });
  const named = running.tool('a_b_work');
  await running.tool('a_work').run({}, toolContext());
  await until(() => running.names().length === 3);
  expect(running.tool('a_b_work').descriptor).toEqual(named.descriptor);
  expect(await running.tool('a_b_work').run({}, toolContext())).toBe('work done');
  expect(running.names().filter((name) => /^a_b_work_[0-9a-f]{6}$/.test(name))).toHaveLength(1);
});

test('a server that was started again is listed again when it has other tools, however soon that is', async () => {
  const lives = ['changes-and-dies', 'changes-again'];
  await using running = await runServers(
    { bad: hostile('default') },
    { spawn: (program) => spawnPlain({ ...program, command: [...program.command.slice(0, -1), lives.shift() ?? 'default'] }) },
  );
  await rejection(running.tool('bad_work').run({}, toolContext()));
  // The first one's pause between two listings is not over.
  await until(
    async () =>
      (await running
        .tool('bad_work')
        .run({}, toolContext())
        .catch(() => '')) === 'work done',
  );
  await until(() => running.names().includes('bad_new'));
});
