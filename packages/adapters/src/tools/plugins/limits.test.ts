import { readdir, readFile } from 'node:fs/promises';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { measured } from '@skein/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ISOLATIONS, noBubblewrap } from '../../../test/isolations.ts';
import { startPlugins } from '../../../test/plugin-fixture.ts';
import { rejection, toolContext, until } from '../../../test/tool-fixture.ts';

const FINE = "export const fine = tool('fine', () => 'fine');";
const LOOP_LAG_MS = 50;

/** Of this process, while all of them do what they do; of one alone there is too little to say. */
const lag = monitorEventLoopDelay({ resolution: 5 });
beforeAll(() => void lag.enable());
afterAll(() => void lag.disable());

/** What a tool does, and in which words its call ends. */
const ENDS: Readonly<Record<string, readonly [code: string, words: RegExp]>> = {
  exits: ['process.exit(3);', /ended by itself \(exit code 3\)/],
  aborts: ['process.abort();', /ended by itself/],
  'rejects where nobody looks': [
    "Promise.reject(new Error('x')); return new Promise(() => {});",
    /ended by itself \(exit code 1\)/,
  ],
  'throws outside its promise': [
    "setTimeout(() => { throw new Error('x'); }); return new Promise(() => {});",
    /ended by itself \(exit code 1\)/,
  ],
  'takes a gigabyte': [
    'const held = []; for (let n = 0; n < 64; n += 1) { held.push(Buffer.alloc(16_777_216, 1)); await new Promise(setImmediate); } return held.length;',
    /took more memory|ended by itself/,
  ],
  'takes a gigabyte without a pause': [
    'const held = []; for (let n = 0; n < 64; n += 1) held.push(Buffer.alloc(16_777_216, 1)); for (;;) held[0][0] += 1;',
    /took more memory|ended by itself/,
  ],
  'leaks objects': [
    'const held = []; for (;;) held.push(new Array(10_000).fill(held.length));',
    /took more memory|ended by itself/,
  ],
  'floods its output': ["flood(1, 'x'.repeat(65_536));", /wrote (more than it may|a line of more)/],
  'floods its output with lines': ["flood(1, '\\n'.repeat(65_536));", /wrote something to its node that is no message/],
  'floods its error stream': ["flood(2, 'x'.repeat(65_536));", /wrote more than it may/],
  'prints to the node what is no message': ["fs.writeSync(1, 'hello\\n'); return new Promise(() => {});", /no message/],
  'answers a call of nobody': [
    'fs.writeSync(1, \'{"type":"result","id":999,"output":1}\\n\'); return new Promise(() => {});',
    /a call that was not made/,
  ],
  'says again which tools it has': [
    "fs.writeSync(1, JSON.stringify({ type: 'ready', tools: [{ descriptor: { name: 'x', description: '', input: {}, effect: 'read', examples: [] }, untrusted: false }] }) + '\\n'); return new Promise(() => {});",
    /twice/,
  ],
  'sends more than it is asked for': [
    'fs.writeSync(1, \'{"type":"delta","id":1,"text":"x"}\\n\'.repeat(2)); return new Promise(() => {});',
    /before it was asked/,
  ],
  'sends what nests too deep': [
    'fs.writeSync(1, \'{"type":"result","id":1,"output":\' + \'[\'.repeat(10_000) + \']\'.repeat(10_000) + \'}\\n\'); return new Promise(() => {});',
    /no message/,
  ],
};

describe.each(ISOLATIONS)('under $isolation', ({ isolation, missing }) => {
  describe.skipIf(missing !== undefined)(`a plug-in that${missing === undefined ? '' : ` (left out: ${missing})`}`, () => {
    test.each(Object.entries(ENDS))(
      '%s fails its calls at once, harms no other tool, and is there again',
      async (_, [code, words]) => {
        const bad = `const flood = (fd, text) => { for (;;) try { fs.writeSync(fd, text); } catch {} };
        export const bad = tool('bad', async () => { ${code} }); export const waits = tool('waits', () => new Promise(() => {}));`;
        await using plugins = await startPlugins(
          { 'bad.mjs': bad.concat("export const again = tool('again', () => 'again');"), 'fine.mjs': FINE },
          { isolation },
        );
        const failed = rejection(plugins.call('bad', {}, toolContext(AbortSignal.timeout(20_000))));
        expect(await plugins.call('fine')).toBe('fine');
        const error = await failed;
        expect(error).toMatchObject({ code: 'unavailable', message: expect.stringMatching(words) });
        expect(await plugins.call('again')).toBe('again');
        expect(await plugins.call('fine')).toBe('fine');
        expect(plugins.crashes).toHaveLength(1);
      },
    );

    test('loops without end ends with its call, and the others of its process are told', async () => {
      await using plugins = await startPlugins(
        {
          'bad.mjs': `export const loop = tool('loop', () => { for (;;); }); ${FINE.replaceAll('fine', 'mate')}`,
          'fine.mjs': FINE,
        },
        { isolation },
      );
      const stop = new AbortController();
      const looping = rejection(plugins.call('loop', {}, toolContext(stop.signal)));
      const other = rejection(plugins.call('mate'));
      expect(await plugins.call('fine')).toBe('fine');
      const stoppedAt = performance.now();
      stop.abort();
      expect(await looping).toMatchObject({ code: 'canceled' });
      expect(performance.now() - stoppedAt).toBeLessThan(1_000);
      expect(await other).toMatchObject({ code: 'unavailable', message: expect.stringContaining('did not answer') });
      expect(await plugins.call('mate')).toBe('mate');
      expect(plugins.crashes).toEqual([]);
    });
  });
});

describe.skipIf(noBubblewrap !== undefined)(
  `under namespaces, a plug-in that${noBubblewrap === undefined ? '' : ` (left out: ${noBubblewrap})`}`,
  () => {
    const run = (code: string) =>
      `import { execFileSync, spawn, spawnSync } from 'node:child_process';
      const perl = (code) => { const { status } = spawnSync('perl', ['-e', code]); if (status !== 0) throw new Error('status ' + status); };
      export const run = tool('run', async () => { ${code} });`;

    test('starts processes without end is refused the first', async () => {
      await using plugins = await startPlugins({
        'x.mjs': run(
          "spawn('/bin/sh', ['-c', ':'], { stdio: 'ignore' }).on('error', () => {}); return execFileSync('/bin/true');",
        ),
      });
      await expect(plugins.call('run')).rejects.toMatchObject({ message: expect.stringContaining('EPERM') });
    });

    test('may start processes and starts them without end is ended with all of them', async () => {
      await using plugins = await startPlugins(
        {
          'x.mjs': run(
            "spawn('/bin/sh', ['-c', 'n=0; while [ $n -lt 3000 ]; do sleep 60 & n=$((n + 1)); done; wait'], { stdio: 'ignore' }); return new Promise(() => {});",
          ),
          'fine.mjs': FINE,
        },
        { allow: { childProcess: true } },
      );
      const failed = rejection(plugins.call('run'));
      expect(await plugins.call('fine')).toBe('fine');
      expect(await failed).toMatchObject({ code: 'unavailable', message: expect.stringContaining('more processes') });
      expect(await plugins.call('fine')).toBe('fine');
    });

    test('spreads its memory over processes is ended all the same', async () => {
      const child =
        'const held = []; for (let n = 0; n < 12; n += 1) held.push(Buffer.alloc(16_777_216, 1)); setTimeout(() => held, 60_000);';
      await using plugins = await startPlugins(
        {
          'x.mjs': run(
            `for (let n = 0; n < 8; n += 1) spawn(process.execPath, ['-e', ${JSON.stringify(child)}], { stdio: 'ignore' }); return new Promise(() => {});`,
          ),
        },
        { allow: { childProcess: true } },
      );
      await expect(plugins.call('run')).rejects.toMatchObject({ message: expect.stringContaining('more memory') });
    });

    test('fills the folders in memory finds them small', async () => {
      const fill = (path: string) =>
        `const file = fs.openSync('${path}', 'w'); for (let n = 0; n < 64; n += 1) fs.writeSync(file, Buffer.alloc(16_777_216));`;
      for (const path of ['/tmp/x', '/dev/shm/x']) {
        await using plugins = await startPlugins({ 'x.mjs': run(fill(path)) });
        await expect(plugins.call('run')).rejects.toMatchObject({ message: expect.stringContaining('ENOSPC') });
      }
      for (const path of ['/x', '/dev/x', '/usr/x']) {
        await using plugins = await startPlugins({ 'x.mjs': run(fill(path)) });
        await expect(plugins.call('run')).rejects.toMatchObject({ message: expect.stringMatching(/EROFS|EACCES/) });
      }
    });

    test.each([
      ['mounts', "execFileSync('mount', ['-t', 'tmpfs', 'x', '/tmp'])", /EPERM|permission|must be superuser/i],
      [
        'makes namespaces',
        "execFileSync('unshare', ['--user', '--map-root-user', '--mount', 'true'])",
        /not permitted|EPERM|No space/i,
      ],
      [
        'looks into a process',
        "perl('exit(syscall(' + (process.arch === 'x64' ? 101 : 117) + ', 16, getppid, 0, 0) == 0 ? 0 : $!)')",
        /status 1$/,
      ],
      ['opens a socket to the machine around this one', "perl('socket(S, 40, 1, 0) or exit($!)')", /status 97$/],
      ['sets the clock', "execFileSync('date', ['-s', '2001-01-01'])", /not permitted|cannot set/i],
    ])('%s is refused that, even where it may start processes', async (_, code, words) => {
      await using plugins = await startPlugins(
        { 'x.mjs': run(`${code}; return 'it got through';`) },
        { allow: { childProcess: true } },
      );
      await expect(plugins.call('run')).rejects.toMatchObject({ message: expect.stringMatching(words) });
    });

    test('looks for anything of the kernel that it may write finds nothing', async () => {
      const code = `const found = [];
        const walk = (folder) => {
          for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
            const path = folder + '/' + entry.name;
            if (folder === '/proc' && Number(entry.name) > 0) continue;
            try {
              if (entry.isDirectory()) walk(path);
              else if (entry.isFile()) {
                fs.closeSync(fs.openSync(path, 'r+'));
                found.push(path);
              }
            } catch {}
          }
        };
        walk('/proc');
        if (fs.existsSync('/sys')) walk('/sys');
        return found;`;
      await using plugins = await startPlugins({ 'x.mjs': run(code) }, { allow: { childProcess: true, network: true } });
      expect(await plugins.call('run')).toEqual([]);
    });

    test('runs as root still has none of its rights', async () => {
      await using plugins = await startPlugins({ 'x.mjs': run("return fs.readFileSync('/proc/self/status', 'utf8');") });
      expect(await plugins.call('run')).toMatch(/CapPrm:\t0+\nCapEff:\t0+\nCapBnd:\t0+\n/);
    });

    test('leaves processes behind takes them along when it is ended', async () => {
      const plugins = await startPlugins(
        {
          'x.mjs': run(
            "const { pid } = spawn('/bin/sh', ['-c', 'sleep 3600 & exec setsid sleep 3601'], { detached: true, stdio: 'ignore' }); return pid;",
          ),
        },
        { allow: { childProcess: true } },
      );
      await plugins.call('run');
      await plugins[Symbol.asyncDispose]();
      await until(
        async () =>
          !(await commandLines()).some((line) => line.includes('sleep\u00003601') || line.includes('sleep\u00003600')),
      );
    });
  },
);

test('while they do all that, the node is not held up', () => {
  expect(lag.count).toBeGreaterThan(100);
  expect(lag.percentile(99) / 1e6).toBeLessThan(LOOP_LAG_MS);
  measured('loop-lag', { peaks: { loopLagP99Ms: lag.percentile(99) / 1e6 } });
});

async function commandLines(): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  return Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')));
}
