import { execFileSync, spawnSync } from 'node:child_process';
import { chownSync, mkdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { SkeinProcess, TempDir } from './skein-process.ts';

const SETPRIV = '/usr/bin/setpriv';
const NOBODY = 65_534;
const SOURCE = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const isRoot = process.getuid?.() === 0;

/** How a command is run as somebody without rights; as it is where the tests are run so already. */
const asUser = (command: readonly [string, ...string[]]): readonly [string, ...string[]] =>
  isRoot ? [SETPRIV, `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--no-new-privs', ...command] : command;

/** Why another user cannot run what is tested here; null where one can. */
function whyNot(): string | null {
  const [program, ...args] = asUser([process.execPath, '-e', `require('fs').accessSync(${JSON.stringify(SOURCE)})`]);
  const { status, error } = spawnSync(program, args);
  return status === 0 ? null : `another user cannot run it: ${error?.message ?? 'the sources are not readable for all'}`;
}

const leftOut = whyNot();

test.skipIf(leftOut !== null)(
  `an ordinary user makes a node, starts it and asks it something, in a folder of their own${leftOut === null ? '' : ` (left out: ${leftOut})`}`,
  async () => {
    using dir = new TempDir();
    const cwd = path.join(dir.path, 'home');
    mkdirSync(cwd, { mode: 0o700 });
    if (isRoot) {
      chownSync(dir.path, NOBODY, NOBODY);
      chownSync(cwd, NOBODY, NOBODY);
    }
    const env = { HOME: cwd };
    await using init = new SkeinProcess(['init', 'mine', '--yes', '--port', '0', '--brain', 'intents', '--json'], {
      cwd,
      env,
      wrap: asUser,
    });
    expect((await init.result()).lines.at(-1)).toMatchObject({ type: 'initialised', madeKey: true });
    await using node = new SkeinProcess(['start', '--json'], { cwd, env, wrap: asUser });
    await node.line(({ type }) => type === 'ready');
    await using ask = new SkeinProcess(['ask', 'how much memory is free?', '--json'], { cwd, env, wrap: asUser });
    const { code, lines } = await ask.result();
    expect(lines.at(-1)).toMatchObject({ type: 'answer', toolCalls: [{ ok: true }] });
    expect(code).toBe(0);
    const owner = isRoot ? NOBODY : process.getuid?.();
    for (const name of ['key', 'node.db', 'audit.jsonl', 'page_token']) {
      const { uid, mode } = statSync(path.join(cwd, '.skein', name));
      expect([name, uid, mode & 0o077]).toEqual([name, owner, 0]);
    }
    if (!isRoot) return;
    // Proven to be somebody else: it may not do what only root may.
    const [program, ...args] = asUser(['/usr/bin/id', '-u']);
    expect(execFileSync(program, args).toString().trim()).toBe(String(NOBODY));
  },
);
