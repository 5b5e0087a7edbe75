import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { noMoreFiles, temporaryFolder, toolContext, until } from '../../test/tool-fixture.ts';
import { CommandKeeper } from './command-keeper.ts';
import { createMark, endLeftCommands, noteCommand } from './command-marks.ts';
import { findMemoryLimiter } from './memory-limit.ts';
import { createShellExec } from './shell-exec.ts';

const PROGRAM = fileURLToPath(new URL('../../test/run-command.ts', import.meta.url));

async function isAlive(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  return stat !== '' && !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
}

const gone = (pids: readonly number[]) => until(async () => !(await Promise.all(pids.map(isAlive))).includes(true));

/** A node in the middle of a command that writes so many numbers of processes, one a line. */
async function runningCommand(root: string, command: string, count: number) {
  const node = spawn(process.execPath, ['--conditions=skein-source', PROGRAM, root, command], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let written = '';
  for await (const chunk of node.stdout.iterator({ destroyOnReturn: false })) {
    written += String(chunk);
    if (written.split('\n').length > count) break;
  }
  const pids = written.trim().split('\n').map(Number);
  expect(pids).toHaveLength(count);
  return { node, pids };
}

/** A sleeping process with that mark in its environment. */
async function marked(mark: string): Promise<ChildProcess & { readonly pid: number }> {
  const [name = '', value] = mark.split('=');
  const sleeping = spawn('sleep', ['300'], { env: { [name]: value }, stdio: 'ignore' });
  await once(sleeping, 'spawn');
  // Proven: 'spawn' was emitted, so the pid is set.
  return sleeping as ChildProcess & { readonly pid: number };
}

describe.runIf(process.platform === 'linux')('the command of a node that is killed', () => {
  test('ends with it, and so does what it started, in its group or out of it', async () => {
    await using folder = await temporaryFolder();
    const command = 'sleep 300 & echo $!; setsid sh -c "echo \\$\\$; exec sleep 300" & sleep 300 & echo $!; echo $$; wait';
    const { node, pids } = await runningCommand(folder.path, command, 4);
    node.kill('SIGKILL');
    await gone(pids);
  });

  test('is told to end before it is made to', async () => {
    await using folder = await temporaryFolder();
    const { node, pids } = await runningCommand(
      folder.path,
      'trap "echo x > told; exit" TERM; echo $$; while :; do :; done',
      1,
    );
    node.kill('SIGKILL');
    await gone(pids);
    expect(await readFile(`${folder.path}/told`, 'utf8')).toBe('x\n');
  });

  test('ends even when it does not want to', async () => {
    await using folder = await temporaryFolder();
    const { node, pids } = await runningCommand(folder.path, 'trap "" TERM; echo $$; while :; do :; done', 1);
    node.kill('SIGKILL');
    await gone(pids);
  });
});

test('a command that has ended keeps this process no longer than itself', async () => {
  await using folder = await temporaryFolder();
  const node = spawn(process.execPath, ['--conditions=skein-source', PROGRAM, folder.path, 'echo done'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [output, [code]] = await Promise.all([text(node.stdout), once(node, 'exit')]);
  expect([output, code]).toEqual(['done\n', 0]);
});

describe.runIf(process.platform === 'linux')('what a former life of a node left behind', () => {
  test('is ended when the node starts again', async () => {
    await using folder = await temporaryFolder();
    // The number of this process as it was given to another before: nobody living.
    const mark = (await createMark(folder.path)).replace(`.${process.pid}.`, `.${process.pid}.1`);
    const left = await marked(mark);
    noteCommand(folder.path);
    expect(await endLeftCommands(folder.path)).toBe(1);
    await gone([left.pid]);
    expect(await endLeftCommands(folder.path)).toBe(0);
    expect(await readdir(folder.path), 'there is nothing left to look for').toEqual([]);
  });

  test('does not include what runs for a node that lives, or was left by another', async () => {
    await using folder = await temporaryFolder();
    await using other = await temporaryFolder();
    const dead = (mark: string) => mark.replace(`.${process.pid}.`, `.${process.pid}.1`);
    using ofThis = await marked(await createMark(folder.path));
    using ofAnother = await marked(dead(await createMark(other.path)));
    using nonsense = await marked('SKEIN_RUN=nonsense');
    using unmarked = await marked('ELSE=1');
    noteCommand(folder.path);
    expect(await endLeftCommands(folder.path)).toBe(0);
    const kept = [ofThis, ofAnother, nonsense, unmarked].map(({ pid }) => isAlive(pid));
    expect(await Promise.all(kept)).toEqual([true, true, true, true]);
    expect(await readdir(folder.path), 'it is looked for again').toHaveLength(1);
  });

  test('does not include a command of this process', async () => {
    await using folder = await temporaryFolder();
    const running = createShellExec({ root: folder.path, owner: folder.path, shell: true }).run(
      { command: 'sleep 0.5; echo x' },
      toolContext(),
    );
    expect(await endLeftCommands(folder.path)).toBe(0);
    expect(await running).toMatchObject({ exitCode: 0, stdout: 'x\n' });
  });
});

test.skipIf((await findMemoryLimiter()) === undefined)(
  'a command that is started with the last files is not left to itself',
  async () => {
    const keeper = new CommandKeeper();
    await using _ = await noMoreFiles();
    using kept = keeper.keep(2 ** 30, 'SKEIN_RUN=x.1.1.x');
    expect(kept).toBeDefined();
  },
);
