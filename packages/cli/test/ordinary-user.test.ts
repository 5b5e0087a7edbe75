import { execFileSync } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { noOrdinaryUser, OrdinaryUser } from './ordinary-user.ts';
import { SkeinProcess, TempDir } from './skein-process.ts';

test.skipIf(noOrdinaryUser !== null)(
  `an ordinary user makes a node, starts it and asks it something, in a folder of their own${noOrdinaryUser === null ? '' : ` (left out: ${noOrdinaryUser})`}`,
  async () => {
    using user = new OrdinaryUser();
    using dir = new TempDir();
    const cwd = path.join(dir.path, 'home');
    mkdirSync(cwd, { mode: 0o700 });
    user.owns(dir.path);
    user.owns(cwd);
    const env = { HOME: cwd };
    await using init = new SkeinProcess(['init', 'mine', '--yes', '--port', '0', '--brain', 'intents', '--json'], {
      cwd,
      env,
      wrap: user.run,
    });
    expect((await init.result()).lines.at(-1)).toMatchObject({ type: 'initialised', madeKey: true });
    await using node = new SkeinProcess(['start', '--json'], { cwd, env, wrap: user.run });
    await node.line(({ type }) => type === 'ready');
    await using ask = new SkeinProcess(['ask', 'how much memory is free?', '--json'], { cwd, env, wrap: user.run });
    const { code, lines } = await ask.result();
    expect(lines.at(-1)).toMatchObject({ type: 'answer', toolCalls: [{ ok: true }] });
    expect(code).toBe(0);
    for (const name of ['key', 'node.db', 'audit.jsonl', 'page_token']) {
      const { uid, mode } = statSync(path.join(cwd, '.skein', name));
      expect([name, uid, mode & 0o077]).toEqual([name, user.uid, 0]);
    }
    // Proven to be somebody else: it may not do what only root may.
    const [program, ...args] = user.run(['/usr/bin/id', '-u']);
    expect(execFileSync(program, args).toString().trim()).toBe(String(user.uid));
  },
);
