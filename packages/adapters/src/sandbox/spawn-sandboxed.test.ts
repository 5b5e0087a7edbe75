import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { ISOLATIONS, noBubblewrap } from '../../test/isolations.ts';
import { rejection, temporaryFolder, until } from '../../test/tool-fixture.ts';
import { findProcess, type ProcessRow, ProcessTable } from '../tools/process-table.ts';
import { detectIsolation } from './detect-isolation.ts';
import type { SandboxOptions } from './sandbox.ts';
import { spawnSandboxed } from './spawn-sandboxed.ts';

const HOLDER = fileURLToPath(new URL('../../test/hold-program.ts', import.meta.url));

/** All processes below this one. */
async function descendantsOf(pid: number): Promise<readonly ProcessRow[]> {
  const rows = (await new ProcessTable().list()) ?? [];
  const below = (parent: number): readonly ProcessRow[] =>
    rows.filter((row) => row.parent === parent).flatMap((row) => [row, ...below(row.pid)]);
  return below(pid);
}

async function isAlive({ pid, started }: ProcessRow): Promise<boolean> {
  return (await findProcess(pid))?.started === started;
}

async function run(code: string, options: Partial<SandboxOptions> = {}) {
  const held = await spawnSandboxed({ name: 'The test', file: process.execPath, args: ['-e', code], ...options });
  held.stdin.end();
  const [output, errors, end] = await Promise.all([text(held.stdout), text(held.stderr), held.closed]);
  return { output, errors, end, isolation: held.isolation };
}

test('says what holds foreign code here, and what to do where that is the weaker', async () => {
  const report = await detectIsolation();
  if (noBubblewrap === undefined) expect(report).toEqual({ isolation: 'namespaces', problem: null, fix: null });
  else expect(report).toMatchObject({ isolation: 'permissions', problem: expect.any(String), fix: expect.any(String) });
});

describe.each(ISOLATIONS)('under $isolation', ({ isolation, missing }) => {
  describe.skipIf(missing !== undefined)(`a program${missing === undefined ? '' : ` (left out: ${missing})`}`, () => {
    test('has pipes, its own end, and an environment of four names and what it was given', async () => {
      const { output, end } = await run('console.log(JSON.stringify(process.env)); process.exitCode = 3;', {
        isolation,
        env: { WORD: 'x' },
      });
      const { PWD: _, ...env } = JSON.parse(output);
      expect(Object.keys(env).sort()).toEqual(['HOME', 'LANG', 'PATH', 'TZ', 'WORD']);
      expect(end).toEqual({ code: 3, signal: null, reason: 'ended' });
    });

    test('ends when it is killed', async () => {
      const held = await spawnSandboxed({ name: 'x', file: process.execPath, args: ['-e', 'for (;;);'], isolation });
      held.kill();
      expect(await held.closed).toMatchObject({ reason: 'killed' });
    });

    test.runIf(process.platform === 'linux')(
      'that loops ends with the process that started it, even when that is killed',
      async () => {
        const holder = spawn(process.execPath, ['--conditions=skein-source', HOLDER, isolation], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        await once(holder.stdout, 'data');
        const held = await descendantsOf(holder.pid ?? 0);
        expect(held.length).toBeGreaterThan(0);
        holder.kill('SIGKILL');
        await until(async () => (await Promise.all(held.map(isAlive))).every((alive) => !alive));
      },
    );

    test('is started in a folder it may read, and in no other', async () => {
      await using folder = await temporaryFolder();
      const own = join(folder.path, 'own');
      await mkdir(own);
      const grants = { read: [own] };
      expect((await run('console.log(process.cwd())', { isolation, cwd: own, grants })).output.trim()).toBe(own);
      expect((await rejection(run('', { isolation, cwd: folder.path, grants }))).code).toBe('invalid');
    });

    test.each(['/', '/proc', '/proc/1', '/dev', '/sys'])('is not granted %s', async (path) => {
      const error = await rejection(run('', { isolation, grants: { read: [path] } }));
      expect(error).toMatchObject({ code: 'invalid', message: expect.stringContaining("the system's own") });
    });

    test('is not granted what is not there, or has no place', async () => {
      expect((await rejection(run('', { isolation, grants: { read: ['/no/such/place'] } }))).code).toBe('not-found');
      expect((await rejection(run('', { isolation, grants: { write: ['here'] } }))).code).toBe('invalid');
    });

    test('sees nothing that is hidden in what it was granted, but what was granted in that', async () => {
      await using folder = await temporaryFolder();
      const at = (...names: string[]) => join(folder.path, ...names);
      await mkdir(at('data', 'tools'), { recursive: true });
      await writeFile(at('data', 'key'), 'hunter2');
      await writeFile(at('data', 'tools', 'x'), 'tool');
      await writeFile(at('config'), 'hunter2');
      await writeFile(at('notes'), 'notes');
      const code = `const fs = require('fs');
        const read = (name) => { try { return fs.readFileSync(${JSON.stringify(folder.path)} + '/' + name, 'utf8'); } catch { return ''; } };
        console.log(['notes', 'data/tools/x', 'data/key', 'config'].map(read).join());`;
      const { output } = await run(code, {
        isolation,
        grants: { read: [folder.path, at('data', 'tools')] },
        hidden: [at('data'), at('config')],
      });
      expect(output).toBe('notes,tool,,\n');
    });
  });
});

test.skipIf(noBubblewrap !== undefined)('what its environment says changes nothing that runs before it', async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, 'first.cjs');
  await writeFile(file, "console.log('loaded by', process.argv.length > 1 ? process.argv[1] : 'the program');");
  const { output, errors } = await run('', {
    env: { NODE_OPTIONS: `--require=${file}` },
    grants: { read: [folder.path], network: ['127.0.0.1'] },
  });
  expect([output, errors]).toEqual(['loaded by the program\n', '']);
});

test('a program that is not JavaScript is refused where only its permissions would hold it', async () => {
  const error = await rejection(run('', { file: '/bin/sh', isolation: 'permissions' }));
  expect(error).toMatchObject({ code: 'unsupported', message: expect.stringContaining('bubblewrap') });
});
