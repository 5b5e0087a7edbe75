import { spawn } from 'node:child_process';
import { chmod, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { SkeinError } from '@skein/protocol';
import { describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { noMoreFiles, rejection, temporaryFolder, toolContext, until } from '../../test/tool-fixture.ts';
import { findMemoryLimiter } from './memory-limit.ts';
import { createShellExec } from './shell-exec.ts';

const result = z.strictObject({
  exitCode: z.int().nullable(),
  signal: z.string().nullable(),
  stdout: z.string(),
  stderr: z.string(),
  truncated: z.boolean(),
  ms: z.int(),
});

async function run(tool: ReturnType<typeof createShellExec>, input: unknown, context = toolContext()) {
  return result.parse(await tool.run(input, context));
}

async function isAlive(pid: number): Promise<boolean> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  const state = text.slice(text.lastIndexOf(')') + 2).charAt(0);
  return state !== '' && state !== 'Z' && state !== 'X';
}

async function assertGone(pids: readonly number[]): Promise<void> {
  expect(pids.length).toBeGreaterThan(0);
  expect(await Promise.all(pids.map(isAlive))).toEqual(pids.map(() => false));
}

describe('a command', () => {
  test('runs by its command line and by its arguments, and returns what it wrote', async () => {
    await using folder = await temporaryFolder();
    const tool = createShellExec({ root: folder.path });
    const context = toolContext();
    const output = await run(tool, { command: "echo 'a  b' c" }, context);
    expect(output).toMatchObject({ exitCode: 0, signal: null, stdout: 'a  b c\n', stderr: '', truncated: false });
    expect(context.deltas.join('')).toBe('a  b c\n');
    expect((await run(tool, { argv: ['echo', '$HOME', ';', '*'] })).stdout).toBe('$HOME ; *\n');
    expect((await run(tool, { command: 'df -h' })).stdout).toMatch(/Filesystem/);
  });

  test('that exits nonzero is a result, not an error', async () => {
    await using folder = await temporaryFolder();
    const output = await run(createShellExec({ root: folder.path }), { command: 'ls missing' });
    expect(output.exitCode).not.toBe(0);
    expect(output.stderr).toMatch(/missing/);
  });

  test('that is not allowed is denied, naming the nearest that is', async () => {
    await using folder = await temporaryFolder();
    const error = await rejection(createShellExec({ root: folder.path }).run({ command: 'upptime' }, toolContext()));
    expect(error.code).toBe('denied');
    expect(error.message).toMatch(/nearest that is allowed: uptime\./);
  });

  test('that is allowed and not installed is not found', async () => {
    await using folder = await temporaryFolder();
    const tool = createShellExec({ root: folder.path, allow: ['no-such-program'] });
    expect((await rejection(tool.run({ command: 'no-such-program' }, toolContext()))).code).toBe('not-found');
  });

  test.each([
    {},
    { command: 'df', argv: ['df'] },
    { argv: [] },
    { argv: ['df', 'a\0b'] },
    { command: 'df\0' },
    { command: 'df', shell: true },
    { command: 7 },
    { command: 'df', timeoutMs: -1 },
  ])('is refused as %j', async (input) => {
    await using folder = await temporaryFolder();
    expect((await rejection(createShellExec({ root: folder.path }).run(input, toolContext()))).code).toBe('invalid');
  });

  test('has no input to wait for', async () => {
    await using folder = await temporaryFolder();
    expect(await run(createShellExec({ root: folder.path }), { command: 'cat' })).toMatchObject({ exitCode: 0, stdout: '' });
  });

  test('gets an environment with nothing of this process', async () => {
    await using folder = await temporaryFolder();
    vi.stubEnv('OPENAI_API_KEY', 'canary-of-the-environment');
    try {
      const tool = createShellExec({ root: folder.path, allow: ['env'] });
      const { stdout } = await run(tool, { command: 'env' });
      expect(stdout).not.toContain('canary');
      const names = stdout
        .trim()
        .split('\n')
        .map((line) => line.split('=')[0]);
      expect(names.sort()).toEqual(['HOME', 'LANG', 'PATH', 'SKEIN_RUN', 'TZ']);
      expect(stdout).toContain(`HOME=${folder.path}\n`);
    } finally {
      vi.unstubAllEnvs();
    }
  });

  test('is looked for in the system folders only, never where it runs', async () => {
    await using folder = await temporaryFolder();
    for (const name of ['df', 'only-here']) {
      await writeFile(join(folder.path, name), '#!/bin/sh\necho planted\n');
      await chmod(join(folder.path, name), 0o755);
    }
    const tool = createShellExec({ root: folder.path, allow: ['df', 'only-here'] });
    expect((await run(tool, { command: 'df' })).stdout).not.toContain('planted');
    expect((await rejection(tool.run({ command: 'only-here' }, toolContext()))).code).toBe('not-found');
    expect((await rejection(tool.run({ command: './only-here' }, toolContext()))).code).toBe('denied');
  });

  test('runs in the folder asked for, inside the root', async () => {
    await using folder = await temporaryFolder();
    await mkdir(join(folder.path, 'a/b'), { recursive: true });
    expect((await run(createShellExec({ root: folder.path }), { command: 'pwd', cwd: 'a/b' })).stdout).toBe(
      `${folder.path}/a/b\n`,
    );
  });

  test.each(['..', '/', '/etc', '../root-x', 'out', 'out/etc', 'a/../../root-x', 'secret'])(
    'does not run in %s, which is outside or hidden',
    async (cwd) => {
      await using folder = await temporaryFolder();
      const root = join(folder.path, 'root');
      await mkdir(join(root, 'secret'), { recursive: true });
      await mkdir(join(folder.path, 'root-x'));
      await symlink('/', join(root, 'out'));
      const tool = createShellExec({ root, hidden: [join(root, 'secret')] });
      expect((await rejection(tool.run({ command: 'pwd', cwd }, toolContext()))).code).toBe('denied');
    },
  );

  test('is one of so many at once; the next is told to come back', async () => {
    await using folder = await temporaryFolder();
    const tool = createShellExec({ root: folder.path, allow: ['sleep'], maxConcurrent: 1 });
    const caller = new AbortController();
    const first = rejection(tool.run({ command: 'sleep 30' }, toolContext(caller.signal)));
    const second = await rejection(tool.run({ command: 'sleep 30' }, toolContext()));
    expect(second).toMatchObject({ code: 'busy', retryAfterMs: expect.any(Number) });
    caller.abort();
    expect((await first).code).toBe('canceled');
  });
});

test('the effect is read only while nothing but the read-only table is allowed', () => {
  const effect = (options: object) => createShellExec({ root: '/', ...options }).descriptor.effect;
  expect(effect({})).toBe('read');
  expect(effect({ allow: ['df', 'ps'] })).toBe('read');
  expect(effect({ allow: ['df', 'touch'] })).toBe('at-most-once');
  expect(effect({ allow: ['date *'] })).toBe('at-most-once');
  expect(effect({ allow: ['*'] })).toBe('at-most-once');
  expect(effect({ shell: true })).toBe('at-most-once');
});

test('a shell runs where it is granted, and only there', async () => {
  await using folder = await temporaryFolder();
  const command = 'echo one | tr a-z A-Z; echo $((1 + 1))';
  expect((await rejection(createShellExec({ root: folder.path }).run({ command }, toolContext()))).code).toBe('denied');
  expect((await run(createShellExec({ root: folder.path, shell: true }), { command })).stdout).toBe('ONE\n2\n');
});

describe.runIf(process.platform === 'linux')('the end of a command', () => {
  /** Starts a shell script that writes pids a line each, waits for so many, cancels it, and returns them. */
  async function cancelAfterPids(script: string, count: number): Promise<number[]> {
    await using folder = await temporaryFolder();
    const caller = new AbortController();
    const context = toolContext(caller.signal);
    const pids = () => context.deltas.join('').split('\n').slice(0, -1).map(Number);
    const ended = rejection(createShellExec({ root: folder.path, shell: true }).run({ command: script }, context));
    await until(() => pids().length === count);
    for (const pid of pids()) expect(await isAlive(pid)).toBe(true);
    caller.abort();
    expect((await ended).code).toBe('canceled');
    return pids();
  }

  test('by a cancel takes its children and grandchildren along', async () => {
    const script = 'echo $$; (sleep 300 & echo $!; (sleep 300 & echo $!; wait) & wait)';
    await assertGone(await cancelAfterPids(script, 3));
  });

  test('by a cancel takes along what left the process group', async () => {
    const script = `echo $$; setsid sh -c 'echo $$; sleep 300 & echo $!; wait' & wait`;
    await assertGone(await cancelAfterPids(script, 3));
  });

  test('by a cancel takes along what was orphaned in a group of its own', async () => {
    const script = `sh -c 'setsid sleep 300 & echo $!'; echo $$; sleep 300`;
    await assertGone(await cancelAfterPids(script, 2));
  });

  test('by a cancel takes along what cleared its environment', async () => {
    const script = `echo $$; env -i setsid sleep 300 & echo $!; wait`;
    await assertGone(await cancelAfterPids(script, 2));
  });

  test('by a cancel does not depend on its consent', async () => {
    const startedAt = performance.now();
    await assertGone(await cancelAfterPids(`trap '' TERM INT HUP; echo $$; while :; do sleep 300; done`, 1));
    // A second of grace and what a busy machine adds; with its consent awaited it would be 300.
    expect(performance.now() - startedAt).toBeLessThan(15_000);
  });

  test('by itself takes along what it left behind', async () => {
    await using folder = await temporaryFolder();
    const tool = createShellExec({ root: folder.path, shell: true });
    const command = `sleep 300 & echo $!; setsid sleep 300 & echo $!; (setsid sh -c 'echo $$; exec sleep 300' &); sleep 0.2`;
    const { stdout, exitCode } = await run(tool, { command });
    expect(exitCode).toBe(0);
    await assertGone(stdout.trim().split('\n').map(Number));
  });

  test('comes at its deadline, with what it wrote by then', async () => {
    await using folder = await temporaryFolder();
    const tool = createShellExec({ root: folder.path, shell: true });
    const error = await rejection(tool.run({ command: 'echo $$; sleep 300', timeoutMs: 200 }, toolContext()));
    expect(error.code).toBe('deadline-exceeded');
    await assertGone([Number(/at last: (\d+)$/.exec(error.message)?.[1])]);
  });

  test('comes at the longest time set for the node, whatever is asked', async () => {
    await using folder = await temporaryFolder();
    const tool = createShellExec({ root: folder.path, allow: ['sleep'], maxTimeoutMs: 100 });
    const error = await rejection(tool.run({ command: 'sleep 300', timeoutMs: 60_000 }, toolContext()));
    expect(error.code).toBe('deadline-exceeded');
  });

  test('comes with the failure of whoever receives its output', async () => {
    await using folder = await temporaryFolder();
    const tool = createShellExec({ root: folder.path, shell: true });
    const pids: number[] = [];
    const emit = async (delta: string) => {
      pids.push(Number(delta));
      throw new SkeinError('gone', { code: 'unavailable' });
    };
    const error = await rejection(tool.run({ command: 'echo $$; sleep 300' }, { signal: new AbortController().signal, emit }));
    expect(error.code).toBe('unavailable');
    await assertGone(pids);
  });

  test('comes before its start when the caller has stopped already', async () => {
    await using folder = await temporaryFolder();
    const tool = createShellExec({ root: folder.path, allow: ['touch'] });
    const error = await rejection(tool.run({ command: 'touch made' }, toolContext(AbortSignal.abort())));
    expect(error.code).toBe('canceled');
    await expect(readFile(join(folder.path, 'made'))).rejects.toThrow();
  });
});

describe('output', () => {
  test('beyond the bound ends the command and is cut with a note', async () => {
    await using folder = await temporaryFolder();
    const tool = createShellExec({ root: folder.path, allow: ['yes'], maxOutputBytes: 4_096 });
    const context = toolContext();
    const output = await run(tool, { command: 'yes' }, context);
    expect(output.truncated).toBe(true);
    expect(output.exitCode).toBeNull();
    expect(output.stdout).toMatch(/^(y\n){2048}\n\[output cut at 4096 bytes; the command was stopped\]\n$/);
    expect(context.deltas.join('')).toBe(output.stdout);
  });

  test('to standard error counts too', async () => {
    await using folder = await temporaryFolder();
    const tool = createShellExec({ root: folder.path, shell: true, maxOutputBytes: 4_096 });
    const output = await run(tool, { command: 'yes >&2' });
    expect(output.truncated).toBe(true);
    expect(output.stderr.length).toBeLessThan(4_200);
  });

  test('nobody takes is not read, and the command still ends at its deadline', async () => {
    await using folder = await temporaryFolder();
    const tool = createShellExec({ root: folder.path, allow: ['yes'], maxOutputBytes: 1_073_741_824 });
    let emitted = 0;
    const emit = (delta: string) => {
      emitted += delta.length;
      return new Promise<void>(() => undefined);
    };
    const before = process.memoryUsage().rss;
    const error = await rejection(
      tool.run({ command: 'yes', timeoutMs: 1_000 }, { signal: new AbortController().signal, emit }),
    );
    expect(error.code).toBe('deadline-exceeded');
    expect(emitted).toBeLessThanOrEqual(16_384);
    expect(process.memoryUsage().rss - before).toBeLessThan(33_554_432);
  });

  test('keeps characters whole across reads', async () => {
    await using folder = await temporaryFolder();
    const tool = createShellExec({ root: folder.path, shell: true });
    const output = await run(tool, { command: `printf '\\303'; sleep 0.1; printf '\\244'` });
    expect(output.stdout).toBe('ä');
  });
});

test('the event loop keeps its time while ten commands block', async () => {
  await using folder = await temporaryFolder();
  const tool = createShellExec({ root: folder.path, allow: ['sleep'] });
  const caller = new AbortController();
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  const blocked = Array.from({ length: 10 }, () => rejection(tool.run({ command: 'sleep 30' }, toolContext(caller.signal))));
  await run(tool, { command: 'sleep 2' });
  caller.abort();
  for (const error of await Promise.all(blocked)) expect(error.code).toBe('canceled');
  delay.disable();
  // Other tests share the processors; a command that blocked the loop would show as two seconds or more.
  expect(delay.percentile(99) / 1e6).toBeLessThan(500);
});

test.runIf((await findMemoryLimiter()) !== undefined)('a command gets no more memory than set', async () => {
  await using folder = await temporaryFolder();
  const command = 'x=aaaaaaaa; while :; do x=$x$x; echo $\u007b#x}; done';
  const output = await run(createShellExec({ root: folder.path, shell: true, memoryBytes: 67_108_864 }), { command });
  expect(output.exitCode).not.toBe(0);
  const largest = Math.max(...output.stdout.trim().split('\n').map(Number));
  expect(largest).toBeGreaterThan(1_048_576);
  expect(largest).toBeLessThan(67_108_864);
});

test.runIf(process.platform === 'linux')('ps shows no environment in any form that is let through', async () => {
  await using folder = await temporaryFolder();
  using victim = spawn('sleep', ['300'], { env: { API_KEY: 'canary-of-a-neighbour' } });
  const tool = createShellExec({ root: folder.path });
  const words = [
    'aux',
    'e',
    '-e',
    '-ef',
    '-auxe',
    'auxe',
    '-aux',
    '-u',
    'x',
    '-eo',
    'axo',
    'pid,args',
    '-p',
    `${victim.pid}`,
    '9999999',
    'f',
  ];
  let accepted = 0;
  for (const first of words) {
    for (const second of ['', ...words]) {
      const argv = ['ps', first, ...(second === '' ? [] : [second])];
      const output = await run(tool, { argv }).catch((error: unknown) => {
        expect(SkeinError.from(error).code).toBe('denied');
        return undefined;
      });
      if (output === undefined) continue;
      accepted += 1;
      expect(output.stdout, argv.join(' ')).not.toContain('canary');
    }
  }
  expect(accepted).toBeGreaterThan(10);
  expect((await run(createShellExec({ root: folder.path, allow: ['ps *'] }), { command: 'ps auxe' })).stdout).toContain(
    'canary',
  );
});

test.skipIf((await findMemoryLimiter()) === undefined)('a command runs again once this node can open files again', async () => {
  await using folder = await temporaryFolder();
  const tool = createShellExec({ root: folder.path });
  {
    await using _ = await noMoreFiles();
    await expect(tool.run({ command: 'uname' }, toolContext())).rejects.toThrow();
  }
  expect((await run(tool, { command: 'uname' })).stdout).toBe('Linux\n');
});
