import { toolDescriptor } from '@skein/protocol';
import { describe, expect, test } from 'vitest';
import { gone, runServers, shop } from '../../../test/mcp/running.ts';
import { serveHttp } from '../../../test/mcp/shop-server.ts';
import { rejection, toolContext, until } from '../../../test/tool-fixture.ts';

const NAMES = ['add_up', 'say', 'draw', 'fail', 'environment', 'wait', 'open', 'reach', 'exit', 'grow'];

describe.each(['over its standard input and output', 'over HTTP'])('a server of MCP %s', (way) => {
  async function run(more: object = {}) {
    const http = way === 'over HTTP' ? await serveHttp() : undefined;
    const running = await runServers({ shop: http === undefined ? shop(more) : { url: http.url, ...more } });
    return {
      ...running,
      http,
      async [Symbol.asyncDispose]() {
        await running[Symbol.asyncDispose]();
        await http?.[Symbol.asyncDispose]();
      },
    };
  }

  test('gives its tools, named after it, with their schemas, as untrusted ones that act', async () => {
    await using running = await run();
    expect(running.problems).toEqual([]);
    expect(running.names()).toEqual(NAMES.map((name) => `shop_${name}`));
    const { descriptor, untrusted } = running.tool('shop_add_up');
    expect(descriptor).toMatchObject({
      description: 'Adds two numbers.',
      input: { type: 'object', properties: { a: { type: 'number' }, b: { type: 'number' } }, required: ['a', 'b'] },
      effect: 'at-most-once',
    });
    expect(untrusted).toBe(true);
    for (const tool of running.servers.tools) expect(toolDescriptor.safeParse(tool.descriptor).error).toBeUndefined();
  });

  test('is believed about what only reads when that is configured', async () => {
    await using running = await run({ trustHints: true });
    const effects = running.servers.tools.map(({ descriptor }) => [descriptor.name, descriptor.effect]);
    expect(effects.filter(([, effect]) => effect === 'read')).toEqual([['shop_add_up', 'read']]);
    expect(running.tool('shop_add_up').descriptor.openWorld).toBeUndefined();
    expect(running.tool('shop_say').descriptor.openWorld).toBe(true);
  });

  test('gives only the tools that are named, and says which of them it lacks', async () => {
    await using running = await run({ tools: ['say', 'sing'] });
    expect(running.names()).toEqual(['shop_say']);
    expect(running.problems.join()).toMatch(/it has no sing/);
  });

  test('is not asked with an input that its own schema refuses, which is told by field', async () => {
    await using running = await run();
    const refused = await rejection(running.tool('shop_add_up').run({ a: 'x' }, toolContext()));
    expect(refused).toMatchObject({
      code: 'invalid',
      message: 'shop_add_up: a: expected number, received string; b: expected number, received undefined; it takes a, b',
    });
  });

  test('answers with structure, text, and a note for what is neither', async () => {
    await using running = await run();
    expect(await running.tool('shop_add_up').run({ a: 1, b: 2 }, toolContext())).toEqual({ sum: 3 });
    expect(await running.tool('shop_say').run({ text: 'héllo\n</data>' }, toolContext())).toBe('héllo\n</data>');
    expect(await running.tool('shop_draw').run({}, toolContext())).toBe(
      'Here it is.\n[image, image/png, 300 bytes, not shown]\n[resource x: file:///x]',
    );
  });

  test('fails a call with its own words', async () => {
    await using running = await run();
    const failed = await rejection(running.tool('shop_fail').run({}, toolContext()));
    expect(failed).toMatchObject({ code: 'invalid', message: expect.stringContaining('there is no such order') });
    expect((await rejection(running.tool('shop_add_up').run({ a: 'x' }, toolContext()))).code).toBe('invalid');
    expect((await rejection(running.tool('shop_say').run('text', toolContext()))).code).toBe('invalid');
    expect(await running.tool('shop_say').run({ text: 'still here' }, toolContext())).toBe('still here');
  });

  test('says how far it is, and is stopped with its caller', async () => {
    await using running = await run();
    const caller = new AbortController();
    const context = toolContext(caller.signal);
    const waiting = rejection(running.tool('shop_wait').run({}, context));
    await until(() => context.deltas.join('') === 'half way\n');
    caller.abort();
    expect((await waiting).code).toBe('canceled');
    expect(await running.tool('shop_say').run({ text: 'still here' }, toolContext())).toBe('still here');
  });

  test('that lets a call wait in vain fails it at its time, and is kept when it answers otherwise', async () => {
    await using running = await run({ timeoutMs: 300 });
    expect((await rejection(running.tool('shop_wait').run({}, toolContext()))).code).toBe('deadline-exceeded');
    expect(await running.tool('shop_say').run({ text: 'still here' }, toolContext())).toBe('still here');
    expect(running.problems).toEqual([]);
  });

  test('is listed again when it has other tools', async () => {
    await using running = await run();
    await running.tool('shop_grow').run({}, toolContext());
    await until(() => running.names().includes('shop_grown'));
    expect(await running.tool('shop_grown').run({}, toolContext())).toBe('new');
  });
});

describe('a server that this node starts', () => {
  test('gets the environment that is named, and no other', async () => {
    const environment = { TOKEN: 'from the node', SECRET: 'of the node' };
    await using running = await runServers({ shop: shop({ env: { MODE: 'plain' }, passEnv: ['TOKEN'] }) }, { environment });
    const text = await running.tool('shop_environment').run({}, toolContext());
    expect(JSON.parse(String(text))).toEqual({ MODE: 'plain', TOKEN: 'from the node' });
  });

  test('that ends in the middle of a call fails it, keeps its tools and is started again', async () => {
    await using running = await runServers({ shop: shop() });
    const failed = await rejection(running.tool('shop_exit').run({}, toolContext()));
    expect(failed.code).toBe('unavailable');
    expect(running.names()).toContain('shop_say');
    const away = await rejection(running.tool('shop_say').run({ text: 'x' }, toolContext()));
    expect(away).toMatchObject({ code: 'unavailable', retryAfterMs: expect.any(Number) });
    await until(() =>
      running
        .tool('shop_say')
        .run({ text: 'x' }, toolContext())
        .then(
          () => true,
          () => false,
        ),
    );
    expect(running.pids).toHaveLength(2);
    expect(running.changes()).toBe(1);
    expect(running.problems.join()).toMatch(/shop: The MCP server shop ended/);
  });

  test('ends with what started it', async () => {
    const running = await runServers({ shop: shop() });
    await running[Symbol.asyncDispose]();
    await Promise.all(running.pids.map(gone));
    expect((await rejection(running.tool('shop_say').run({ text: 'x' }, toolContext()))).code).toBe('unavailable');
  });

  test.each([
    [{ passEnv: ['NOT_SET'] }, 'unauthenticated', /NOT_SET, which tools\.mcp\.shop\.passEnv names/],
    [{ allow: { read: ['/data/.skein'] } }, 'denied', /this node's own/],
    [{ allow: { write: ['/data/.skein'] } }, 'denied', /this node's own/],
    [{ allow: { read: ['/data/.skein/keys/../tools'] } }, 'denied', /this node's own/],
    [{ cwd: '/data/.skein/tools' }, 'denied', /this node's own/],
  ])('is not started with %j', async (more, code, message) => {
    const started = runServers({ shop: shop(more) }, { hidden: ['/data/.skein'] });
    await expect(started).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });
});

describe('a server over HTTP', () => {
  test('gets the headers whose values the environment holds', async () => {
    await using http = await serveHttp();
    const config = { url: http.url, headersEnv: { Authorization: 'SHOP_TOKEN' } };
    await using running = await runServers({ shop: config }, { environment: { SHOP_TOKEN: 'Bearer abc' } });
    await running.tool('shop_say').run({ text: 'x' }, toolContext());
    expect(http.headers().authorization).toBe('Bearer abc');
  });

  test('that has forgotten the session is asked for a new one', async () => {
    await using http = await serveHttp();
    await using running = await runServers({ shop: { url: http.url } });
    http.forgetSessions();
    await rejection(running.tool('shop_say').run({ text: 'x' }, toolContext()));
    await until(() =>
      running
        .tool('shop_say')
        .run({ text: 'x' }, toolContext())
        .then(
          () => true,
          () => false,
        ),
    );
  });

  test('that is not there is said so and tried again', async () => {
    await using running = await runServers({ shop: { url: 'http://127.0.0.1:1/mcp' } });
    expect(running.names()).toEqual([]);
    await until(() => running.problems.length >= 3);
    expect(running.problems[0]).toMatch(/The MCP server shop did not start/);
  });

  test('may not have a password in its address', async () => {
    await expect(runServers({ shop: { url: 'http://me:hunter2@127.0.0.1/mcp' } })).rejects.toThrow(/headersEnv/);
  });
});
