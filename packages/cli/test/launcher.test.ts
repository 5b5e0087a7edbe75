import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const RUN = new URL('../bin/run.mjs', import.meta.url).href;
const SKEIN = fileURLToPath(new URL('../bin/skein.mjs', import.meta.url));

/** Options that make the launcher, and what it starts not, believe it runs on a Node 20. */
function asNode20(more = ''): string {
  const code = `if (process.argv[1].endsWith('start.mjs')) {
    Object.defineProperty(process.versions, 'node', { value: '20.19.0' });
    process.execve = undefined;
    ${more}
  }`;
  return `--import=data:text/javascript,${encodeURIComponent(code)}`;
}

/** A program and a launcher of it, in a folder of their own. */
function program(source: string) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'skein-launch-'));
  const write = (name: string, text: string) => {
    writeFileSync(path.join(folder, name), text);
    return path.join(folder, name);
  };
  const file = write('program.ts', source);
  const start = write(
    'start.mjs',
    `import { runProgram } from ${JSON.stringify(RUN)};
     await runProgram(${JSON.stringify(file)}, process.argv.slice(2), { cacheDir: ${JSON.stringify(path.join(folder, 'cache'))}, retry: 'skein' });`,
  );
  return { folder, start, write, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}

const NODES = [
  { as: 'a recent Node', env: {} },
  { as: 'an older Node', env: { NODE_OPTIONS: asNode20() } },
];

test.for(NODES)("from $as: arguments, directory, streams and exit code are the program's", ({ env }) => {
  using place = program(`
    const text: string = JSON.stringify({ args: process.argv.slice(2), cwd: process.cwd(), node: process.versions.node });
    process.stdout.write(text);
    process.stderr.write('told');
    process.exitCode = 7;`);
  const ended = spawnSync(process.execPath, [place.start, 'a', 'b c', '--d'], {
    cwd: os.tmpdir(),
    env: { ...process.env, ...env },
    encoding: 'utf8',
  });
  expect(JSON.parse(ended.stdout)).toEqual({ args: ['a', 'b c', '--d'], cwd: os.tmpdir(), node: process.versions.node });
  expect(ended.stderr).toBe('told');
  expect(ended.status).toBe(7);
});

test.for(NODES.flatMap((node) => (['SIGINT', 'SIGTERM'] as const).map((signal) => ({ ...node, signal }))))(
  'from $as: $signal reaches the program, which ends as it likes',
  async ({ env, signal }) => {
    using place = program(`
    const timer: NodeJS.Timeout = setInterval(() => {}, 1000);
    process.on('${signal}', () => { process.stdout.write('bye\\n'); clearInterval(timer); process.exitCode = 3; });
    process.stdout.write('ready\\n');`);
    const child = spawn(process.execPath, [place.start], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const ended = once(child, 'exit');
    expect((await lines.next()).value).toBe('ready');
    child.kill(signal);
    expect((await lines.next()).value).toBe('bye');
    expect(await ended).toEqual([3, null]);
  },
);

test('from an older Node: a program ends as by SIGTERM when its launcher is killed', async () => {
  using place = program(`
    const timer: NodeJS.Timeout = setInterval(() => {}, 1000);
    process.on('SIGTERM', () => { process.stdout.write('bye\\n'); clearInterval(timer); });
    process.stdout.write(JSON.stringify({ pid: process.pid, execArgv: process.execArgv }) + '\\n');`);
  const child = spawn(process.execPath, [place.start], {
    env: { ...process.env, NODE_OPTIONS: asNode20() },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const { pid, execArgv } = JSON.parse((await lines.next()).value ?? '');
  expect(pid).not.toBe(child.pid);
  expect(execArgv, 'what it starts does not watch this launcher').toEqual(['--conditions=skein-source']);
  child.kill('SIGKILL');
  expect((await lines.next()).value).toBe('bye');
  // Its output ends with it.
  expect((await lines.next()).done).toBe(true);
});

test('from an older Node: a program that does nothing about it ends all the same when its launcher is killed', async () => {
  using place = program(`setInterval(() => {}, 1000); process.stdout.write('ready\\n');`);
  const child = spawn(process.execPath, [place.start], {
    env: { ...process.env, NODE_OPTIONS: asNode20() },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  expect((await lines.next()).value).toBe('ready');
  child.kill('SIGKILL');
  expect((await lines.next()).done).toBe(true);
});

test('from an older Node: a program that a signal ends is told as a shell would', async () => {
  using place = program("process.kill(process.pid, 'SIGKILL');");
  const ended = spawnSync(process.execPath, [place.start], { env: { ...process.env, NODE_OPTIONS: asNode20() } });
  expect(ended.status).toBe(128 + 9);
});

test('where no Node will do, one line says which is needed and what to run', () => {
  using place = program('');
  const env = { ...process.env, NODE_OPTIONS: asNode20("Object.defineProperty(process, 'arch', { value: 'mips' });") };
  const ended = spawnSync(process.execPath, [place.start], { env, encoding: 'utf8' });
  expect(ended.stderr).toMatch(/^Skein needs Node 24 or later, this is 20\.19\.0, .* Run: npx -y -p node@24 skein\n$/);
  expect(ended.status).toBe(1);
});

test('the installed command runs the sources where they are', () => {
  const ended = spawnSync(process.execPath, [SKEIN, '--help'], { cwd: os.tmpdir(), encoding: 'utf8' });
  expect(ended.stderr).toBe('');
  expect(ended.stdout).toContain('Usage: skein');
  expect(ended.status).toBe(0);
});
