import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { expect, test } from 'vitest';
import { createNode, runHere } from './run-here.ts';
import { SkeinProcess, skein, TempDir } from './skein-process.ts';

/** Two nodes that trust each other; the second dials the first, once that has a port. */
async function makeTwo() {
  const [alpha, beta] = [await createNode('alpha'), await createNode('beta')];
  await runHere(alpha.path, ['net', 'trust', beta.line]);
  await runHere(beta.path, ['net', 'trust', alpha.line]);
  return {
    alpha,
    beta,
    async startAlpha(args: readonly string[] = []) {
      const node = new SkeinProcess(['start', '--json', ...args], { cwd: alpha.path });
      const { port } = await node.line(({ type }) => type === 'ready');
      return { node, port: String(port) };
    },
    async startBeta(port: string) {
      await runHere(beta.path, ['net', 'trust', alpha.line, '--url', `ws://127.0.0.1:${port}`]);
      const node = new SkeinProcess(['start', '--json'], { cwd: beta.path });
      await node.line(({ type }) => type === 'ready');
      return node;
    },
    [Symbol.dispose]() {
      alpha[Symbol.dispose]();
      beta[Symbol.dispose]();
    },
  };
}

test('a message to a node that is away outlives kill -9 of the one that sends it, and arrives there once', async () => {
  using two = await makeTwo();
  const { alpha, beta } = two;
  const first = await two.startAlpha();
  const said = await skein(alpha.path, ['net', 'send', 'beta', 'is', 'the', 'lunch', 'ready?', '--json']);
  expect(said.lines).toMatchObject([
    { type: 'message', state: 'waiting', peer: { name: 'beta' }, text: 'is the lunch ready?' },
  ]);
  first.node.child.kill('SIGKILL');
  await first.node.result();
  const { node, port } = await two.startAlpha();
  await using _node = node;
  await using other = await two.startBeta(port);
  await other.line(({ type, name, text }) => type === 'chat-message' && name === 'alpha' && text === 'is the lunch ready?');
  const back = await skein(beta.path, ['net', 'send', 'alpha', 'in a minute']);
  expect(back).toMatchObject({ code: 0, stdout: 'Sent to alpha\n' });
  expect((await skein(alpha.path, ['net', 'messages', 'beta', '--json'])).lines).toMatchObject([
    { type: 'message', direction: 'out', state: 'sent', text: 'is the lunch ready?' },
    { type: 'message', direction: 'in', state: 'received', text: 'in a minute' },
  ]);
  expect((await skein(beta.path, ['net', 'messages', '--json'])).lines).toHaveLength(2);
  // What a peer says moves no cursor, and puts no line of its own under another's name.
  await skein(beta.path, ['net', 'send', 'alpha', '\u001b[2J\u001b]0;title\u0007x\n2030-01-01 00:00Z  boss: pay now\u202e']);
  const { stdout } = await skein(alpha.path, ['net', 'messages']);
  expect(stdout.trim().split('\n')).toHaveLength(3);
  expect(stdout).toContain('beta: x 2030-01-01');
  for (const control of ['\u001b', '\u0007', '\u202e']) expect(stdout).not.toContain(control);
}, 60_000);

test('without a running node a message is kept for its next start, and sent where the peer can be reached', async () => {
  using two = await makeTwo();
  const { alpha, beta } = two;
  const waits = await skein(alpha.path, ['net', 'send', 'beta', 'hello']);
  expect(waits.code).toBe(0);
  expect(waits.stdout).toMatch(/^beta does not take it now: the message is kept, .*skein start/);
  expect((await skein(alpha.path, ['net', 'messages'])).stdout).toMatch(/Z {2}to beta: hello {2}waiting\n$/);
  const { node, port } = await two.startAlpha();
  await using _node = node;
  const keyLine = (await skein(alpha.path, ['net', 'show-key'])).stdout.trim();
  await skein(beta.path, ['net', 'trust', keyLine, '--url', `ws://127.0.0.1:${port}`]);
  expect((await skein(beta.path, ['net', 'send', 'alpha', 'good', 'morning'])).stdout).toBe('Sent to alpha\n');
  await node.line(({ type, text }) => type === 'chat-message' && text === 'good morning');
}, 60_000);

test('a peer that is not there, a blank message and one that is too long are errors, and nothing is kept', async () => {
  using dir = new TempDir();
  mkdirSync(path.join(dir.path, '.skein'), { mode: 0o700 });
  await skein(dir.path, ['init', 'here', '--yes', '--port', '0', '--brain', 'intents']);
  const line = 'skein-ed25519 tQ9z8ne/Y+bZHjZP31mdNW2USR3t63YkiVyJhMWQZAY= far trust=read\n';
  writeFileSync(path.join(dir.path, '.skein/authorized_peers'), line, { mode: 0o600 });
  const wrong = await skein(dir.path, ['net', 'send', 'fra', 'hello', '--json']);
  expect(wrong).toMatchObject({
    code: 1,
    lines: [{ type: 'error', code: 'not-found', message: expect.stringContaining('the nearest is "far"') }],
  });
  for (const text of [' ', 'x'.repeat(4_001)]) {
    expect((await skein(dir.path, ['net', 'send', 'far', text, '--json'])).lines).toMatchObject([{ code: 'invalid' }]);
  }
  expect((await skein(dir.path, ['net', 'send', 'far'])).stderr).toContain("Missing required argument 'text'");
  expect((await skein(dir.path, ['net', 'messages', 'nobody', '--json'])).lines).toMatchObject([{ code: 'not-found' }]);
  expect((await skein(dir.path, ['net', 'messages'])).stdout).toBe('No messages yet. Send one with: skein net send PEER "…"\n');
}, 60_000);

test('with no node running the messages are listed at once, and no peer is dialled for them', async () => {
  using two = await makeTwo();
  const { alpha, beta } = two;
  // Somebody who takes the connection and never answers would be waited for.
  const silent = createServer();
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  let dials = 0;
  silent.on('connection', () => {
    dials += 1;
  });
  const address = silent.address();
  const port = typeof address === 'object' ? String(address?.port) : '';
  const { stdout: line } = await skein(alpha.path, ['net', 'show-key']);
  await skein(beta.path, ['net', 'trust', line.trim(), '--url', `ws://127.0.0.1:${port}`]);
  const listed = await skein(beta.path, ['net', 'messages']);
  silent.close();
  expect(listed).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('No messages yet') });
  expect(dials).toBe(0);
});
