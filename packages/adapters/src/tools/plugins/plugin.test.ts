import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ToolContext } from '@skein/agent';
import { parsePeerId } from '@skein/protocol';
import { describe, expect, test } from 'vitest';
import { ISOLATIONS, noBubblewrap } from '../../../test/isolations.ts';
import { startPlugins } from '../../../test/plugin-fixture.ts';
import { rejection, temporaryFolder, toolContext, until } from '../../../test/tool-fixture.ts';

const COUNTS = "let n = 0; export const count = tool('count', () => (n += 1));";
const CRASHES = "export const crash = tool('crash', () => process.exit(7));";
const PEER = parsePeerId('a'.repeat(52));

describe('a tool of a plug-in', () => {
  test('is told all that a tool in the node is told, and its errors stay what they are', async () => {
    await using plugins = await startPlugins({
      'x.mjs': `import { SkeinError } from '@skein/protocol';
        export const tells = tool('tells', ({ a }, { caller, key, onBehalfOf, turn }) => {
          turn.taint('the moon');
          return { a, caller, key, onBehalfOf, tainted: turn.tainted };
        });
        export const refuses = tool('refuses', () => { throw new SkeinError('the door is shut', { code: 'busy', retryAfterMs: 70 }); });
        export const breaks = tool('breaks', () => { throw new Error('the password is hunter2'); });`,
    });
    const sources: string[] = [];
    const context: ToolContext = {
      ...toolContext(),
      caller: PEER,
      key: 'once',
      onBehalfOf: [PEER],
      turn: { tainted: true, taint: (source) => sources.push(source) },
    };
    expect(await plugins.call('tells', { a: 1 }, context)).toEqual({
      a: 1,
      caller: PEER,
      key: 'once',
      onBehalfOf: [PEER],
      tainted: true,
    });
    expect(sources).toEqual(['the moon']);
    const refused = await rejection(plugins.call('refuses'));
    expect(refused).toMatchObject({ code: 'busy', message: 'the door is shut', retryAfterMs: 70 });
    const broken = await rejection(plugins.call('breaks'));
    expect(broken.code).toBe('internal');
    expect(broken.toPublic().message).not.toContain('hunter2');
  });

  test.each([
    ['fetches', "fetch('https://api.example.com/')", 'fetch failed', 'fetch failed'],
    ['reads', "fs.readFileSync('/etc/hostname/of/mine')", 'ENOENT', '/etc/hostname/of/mine'],
  ])('that %s without a grant fails as denied, and says what to grant', async (name, code, publicly, privately) => {
    await using plugins = await startPlugins({ 'bad.mjs': `export const ${name} = tool('${name}', () => ${code});` });
    const own = await rejection(plugins.call(name));
    expect(own).toMatchObject({ code: 'denied', message: expect.stringContaining(privately) });
    expect(own.message).toMatch(
      /^The plug-in bad\.mjs failed: .* runs without network and files; grant them in tools\.plugins\[\]\.allow$/,
    );
    const asked = await rejection(plugins.call(name, {}, { ...toolContext(), caller: PEER }));
    expect(asked.message).toContain(`failed: ${publicly}. It runs without`);
  });

  test('emits at the speed at which it is read', async () => {
    await using plugins = await startPlugins({
      'x.mjs': `let done = 0;
        export const emits = tool('emits', async (_, { emit }) => {
          for (let n = 0; n < 5; n += 1) { await emit('part ' + n); done = n + 1; }
          return done;
        });
        export const progress = tool('progress', () => done);`,
    });
    const taken: string[] = [];
    const reader = Promise.withResolvers<void>();
    const context: ToolContext = {
      signal: new AbortController().signal,
      async emit(delta) {
        taken.push(delta);
        await reader.promise;
      },
    };
    const call = plugins.call('emits', {}, context);
    await until(() => taken.length > 0);
    expect(await plugins.call('progress')).toBe(0);
    reader.resolve();
    expect(await call).toBe(5);
    expect(taken.join('')).toBe('part 0part 1part 2part 3part 4');
  });

  test('that heeds its signal stops by it, and its process goes on', async () => {
    await using plugins = await startPlugins({
      'x.mjs': `${COUNTS} export const waits = tool('waits', (_, { signal, emit }) => new Promise((ok, no) => {
          void emit('begun');
          signal.addEventListener('abort', () => { n = 100; no(signal.reason); });
        }));`,
    });
    expect(await plugins.call('count')).toBe(1);
    const stop = new AbortController();
    const context = { signal: stop.signal, emit: async () => stop.abort() };
    expect((await rejection(plugins.call('waits', {}, context))).code).toBe('canceled');
    expect(await plugins.call('count')).toBe(101);
  });

  test('that goes on after it was stopped ends with its process, once no other call needs that', async () => {
    await using plugins = await startPlugins({
      'x.mjs': `${COUNTS} export const deaf = tool('deaf', () => new Promise(() => {}));
        export const waits = tool('waits', () => new Promise((ok) => setTimeout(() => ok('waited'), 1_500)));`,
    });
    await plugins.call('count');
    const other = plugins.call('waits');
    expect((await rejection(plugins.call('deaf', {}, toolContext(AbortSignal.timeout(50))))).code).toBe('deadline-exceeded');
    expect(await other).toBe('waited');
    // It counts from one again.
    await until(async () => (await plugins.call('count').catch(() => 0)) === 1);
    expect(plugins.crashes).toEqual([]);
  });

  test('that emits after it failed does no harm to the others of its process', async () => {
    await using plugins = await startPlugins({
      'x.mjs': `let emitted = false;
        export const late = tool('late', (_, { emit }) => {
          setTimeout(() => { void emit('late'); emitted = true; }, 20);
          throw new Error('too slow');
        });
        export const waits = tool('waits', async () => {
          while (!emitted) await new Promise((ok) => setTimeout(ok, 5));
          return 'waited';
        });`,
    });
    const other = plugins.call('waits');
    await rejection(plugins.call('late'));
    expect(await other).toBe('waited');
    expect(await plugins.call('waits')).toBe('waited');
    expect(plugins.crashes).toEqual([]);
  });

  test('is called so often at once and no more', async () => {
    await using plugins = await startPlugins({ 'x.mjs': "export const waits = tool('waits', () => new Promise(() => {}));" });
    const stop = new AbortController();
    const calls = Array.from({ length: 64 }, () => rejection(plugins.call('waits', {}, toolContext(stop.signal))));
    await plugins.call('waits', {}, toolContext(AbortSignal.abort())).catch(() => undefined);
    expect((await rejection(plugins.call('waits'))).code).toBe('busy');
    stop.abort();
    expect(new Set((await Promise.all(calls)).map(({ code }) => code))).toEqual(new Set(['canceled']));
  });
});

describe('a plug-in that fails', () => {
  test('five times within thirty seconds is off, and says so', async () => {
    await using plugins = await startPlugins({ 'x.mjs': CRASHES });
    const messages: string[] = [];
    for (let n = 0; n < 5; n += 1) messages.push((await rejection(plugins.call('crash'))).message);
    expect(new Set(messages)).toEqual(new Set(['The plug-in x.mjs ended by itself (exit code 7)']));
    const error = await rejection(plugins.call('crash'));
    expect(error).toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/failed 5 times within 30 s and is off until its node starts again; .*exit code 7/),
    });
    expect(plugins.crashes).toHaveLength(5);
  });

  test('is started again once, also when it is called before it has ended', async () => {
    await using notes = await temporaryFolder();
    const note = join(notes.path, 'starts');
    {
      await using plugins = await startPlugins(
        {
          'x.mjs': `fs.appendFileSync(process.env.NOTE, 'x');
            export const breaks = tool('breaks', () => { fs.writeSync(1, 'no message\\n'); return new Promise(() => {}); });
            ${COUNTS}`,
        },
        { allow: { env: ['NOTE'], write: [notes.path] }, environment: { NOTE: note } },
      );
      expect((await rejection(plugins.call('breaks'))).message).toContain('wrote something to its node that is no message');
      expect(await plugins.call('count')).toBe(1);
      expect(await plugins.call('count')).toBe(2);
      expect(plugins.crashes).toHaveLength(1);
    }
    expect(await readFile(note, 'utf8')).toBe('xx');
  });

  test('and whose file has changed is not started again', async () => {
    await using plugins = await startPlugins({ 'x.mjs': CRASHES });
    await writeFile(join(plugins.path, 'x.mjs'), `${await readFile(join(plugins.path, 'x.mjs'), 'utf8')}\n// more`);
    await rejection(plugins.call('crash'));
    const error = await rejection(plugins.call('crash'));
    expect(error).toMatchObject({ code: 'conflict', message: expect.stringMatching(/has changed since this node started/) });
    expect(await rejection(plugins.call('crash'))).toBe(error);
  });

  test('and comes back with other tools is not used', async () => {
    await using plugins = await startPlugins({
      'x.mjs': `${CRASHES} if (fs.existsSync(new URL('./later', import.meta.url))) crash.descriptor.description = 'Something else';`,
    });
    await writeFile(join(plugins.path, 'later'), '');
    await rejection(plugins.call('crash'));
    expect(await rejection(plugins.call('crash'))).toMatchObject({ message: expect.stringContaining('shows other tools') });
  });
});

describe.each(ISOLATIONS)('under $isolation', ({ isolation, missing }) => {
  test.skipIf(missing !== undefined)('a plug-in may do what it was allowed, and no more of it', async () => {
    await using folder = await temporaryFolder();
    const at = (...names: string[]) => join(folder.path, ...names);
    await mkdir(at('project', 'data'), { recursive: true });
    await mkdir(at('out'));
    await writeFile(at('project', 'notes.txt'), 'notes');
    await writeFile(at('project', 'data', 'key'), 'hunter2');
    await using plugins = await startPlugins(
      {
        'x.mjs': `export const read = tool('read', ({ path }) => fs.readFileSync(path, 'utf8'));
          export const write = tool('write', ({ path }) => fs.writeFileSync(path, 'x'));
          export const env = tool('env', () => process.env);`,
      },
      {
        isolation,
        hidden: [at('project', 'data')],
        environment: { TOKEN: 'abc', OTHER: 'def' },
        allow: { read: [at('project')], write: [at('out')], env: ['TOKEN'] },
      },
    );
    expect(await plugins.call('read', { path: at('project', 'notes.txt') })).toBe('notes');
    expect(await plugins.call('write', { path: at('out', 'made') })).toBeNull();
    expect(await readdir(at('out'))).toEqual(['made']);
    expect(await plugins.call('env')).toMatchObject({ TOKEN: 'abc' });
    expect(await plugins.call('env')).not.toHaveProperty('OTHER');
    await expect(plugins.call('write', { path: at('project', 'made') })).rejects.toThrow();
    await expect(plugins.call('read', { path: at('project', 'data', 'key') })).rejects.toThrow();
  });

  test.skipIf(missing !== undefined)('a plug-in that is allowed the network has it', async () => {
    const { createServer } = await import('node:http');
    const server = createServer((_, response) => response.end('hello'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    await using _ = { [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())) };
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    await using plugins = await startPlugins(
      { 'x.mjs': "export const get = tool('get', async ({ url }) => (await fetch(url)).text());" },
      { isolation, allow: { network: true } },
    );
    expect(await plugins.call('get', { url: `http://127.0.0.1:${port}/` })).toBe('hello');
  });

  test.skipIf(missing !== undefined || process.platform !== 'linux')(
    'a plug-in in a loop ends with its node, however that ends',
    async () => {
      await using folder = await temporaryFolder();
      const word = `loops-${process.pid}-${isolation}`;
      await writeFile(
        join(folder.path, `${word}.mjs`),
        `export const loop = { descriptor: { name: 'loop', description: '', input: {}, effect: 'read', examples: [] }, untrusted: false,
           run: async () => { for (;;); } };`,
      );
      const node = `import { loadToolPlugins } from ${JSON.stringify(join(import.meta.dirname, '../tool-plugins.ts'))};
        const { tools } = await loadToolPlugins([${JSON.stringify(folder.path)}], { isolation: '${isolation}' });
        tools[0].run({}, { signal: new AbortController().signal, emit: async () => {} }).catch(() => {});
        setTimeout(() => console.log('loops'), 100);`;
      const child = spawn(process.execPath, ['--conditions=skein-source', '--input-type=module', '--eval', node], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await once(child.stdout, 'data');
      expect(await processesNaming(word)).not.toBe(0);
      child.kill('SIGKILL');
      await until(async () => (await processesNaming(word)) === 0);
    },
  );
});

test.skipIf(noBubblewrap !== undefined)(
  `a plug-in may start processes where it was allowed to${noBubblewrap === undefined ? '' : ` (left out: ${noBubblewrap})`}`,
  async () => {
    await using plugins = await startPlugins(
      {
        'x.mjs':
          "import { execFileSync } from 'node:child_process'; export const run = tool('run', () => execFileSync('echo', ['hello']) + '');",
      },
      { allow: { childProcess: true } },
    );
    expect(await plugins.call('run')).toBe('hello\n');
  },
);

test('without bubblewrap a plug-in that may start processes is refused', async () => {
  const error = await rejection(startPlugins({ 'x.mjs': COUNTS }, { isolation: 'permissions', allow: { childProcess: true } }));
  expect(error).toMatchObject({ code: 'unsupported', message: expect.stringContaining('bubblewrap') });
});

test('a plug-in that is to get a variable that is not set is an error that names it', async () => {
  const error = await rejection(startPlugins({ 'x.mjs': COUNTS }, { allow: { env: ['NO_SUCH_TOKEN'] } }));
  expect(error).toMatchObject({ code: 'not-found', message: expect.stringContaining('NO_SUCH_TOKEN') });
});

async function processesNaming(word: string): Promise<number> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')));
  return lines.filter((line) => line.includes(word) && !line.includes('--eval')).length;
}
