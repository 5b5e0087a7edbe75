import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { createNode } from './run-here.ts';
import { SkeinProcess, skein, TempDir } from './skein-process.ts';

async function invite(dir: TempDir, ...args: string[]): Promise<{ process: SkeinProcess; code: string; fingerprint: unknown }> {
  const process = new SkeinProcess(['invite', '--json', '--address', '127.0.0.1:1', ...args], { cwd: dir.path });
  const { code, fingerprint } = await process.line(({ type }) => type === 'invite');
  return { process, code: String(code), fingerprint };
}

/** An invitation of a node that runs, at the port where it does. */
async function runAndInvite(dir: TempDir): Promise<{ node: SkeinProcess; code: string; fingerprint: unknown }> {
  const node = new SkeinProcess(['start', '--json'], { cwd: dir.path });
  const { port } = await node.line(({ type }) => type === 'ready');
  const { lines } = await skein(dir.path, ['invite', '--json', '--address', `127.0.0.1:${String(port)}`]);
  return { node, code: String(lines[0]?.code), fingerprint: lines[0]?.fingerprint };
}

test('invite where no node runs pairs by itself: both sides show the same words, both trust, and it ends', async () => {
  using alpha = await createNode('alpha');
  using beta = await createNode('beta');
  // The address is this machine's own: what a person would use.
  await using inviting = new SkeinProcess(['invite', '--json', '--trust', 'read'], { cwd: alpha.path });
  const { code, fingerprint } = await inviting.line(({ type }) => type === 'invite');
  const joined = await skein(beta.path, ['join', String(code), '--trust', 'tool', '--json']);
  expect(joined.lines.at(-1)).toMatchObject({ type: 'joined', name: 'alpha', trust: 'tool', fingerprint });
  const { code: exit, lines } = await inviting.result();
  expect(exit).toBe(0);
  expect(lines.at(-1)).toMatchObject({
    type: 'joined',
    name: 'beta',
    trust: 'read',
    fingerprint: joined.lines.at(-1)?.ownFingerprint,
  });
  expect(readFileSync(path.join(alpha.path, '.skein/authorized_peers'), 'utf8')).toMatch(/ beta trust=read$/m);
  expect(readFileSync(path.join(beta.path, '.skein/authorized_peers'), 'utf8')).toMatch(/ alpha trust=tool,url=ws:/m);
});

test('after a join through a running node, each calls the tools of the other', async () => {
  using alpha = await createNode('alpha');
  using beta = await createNode('beta');
  const { node, code } = await runAndInvite(alpha);
  await using _node = node;
  expect((await skein(beta.path, ['join', code, '--yes', '--json'])).code).toBe(0);
  await using other = new SkeinProcess(['start', '--json'], { cwd: beta.path });
  await other.line(({ type, name }) => type === 'tools-changed' && name === 'alpha');
  await node.line(({ type, name }) => type === 'tools-changed' && name === 'beta');
  const there = await skein(beta.path, ['call', 'alpha/list_files', '{}', '--json']);
  expect(there.lines.at(-1)).toMatchObject({ type: 'result', name: 'alpha/list_files' });
  const back = await skein(alpha.path, ['ask', 'how much memory is free on beta?', '--json']);
  expect(back.lines.at(-1)).toMatchObject({ type: 'answer', toolCalls: [{ peer: 'beta', ok: true }] });
});

test('a join beside a running node is taken up by it without a restart', async () => {
  using alpha = await createNode('alpha');
  using beta = await createNode('beta');
  await using running = new SkeinProcess(['start', '--json'], { cwd: beta.path });
  await running.line(({ type }) => type === 'ready');
  const { node, code } = await runAndInvite(alpha);
  await using _node = node;
  expect((await skein(beta.path, ['join', code, '--yes', '--json'])).code).toBe(0);
  await running.line(({ type, name }) => type === 'tools-changed' && name === 'alpha');
});

test('an invitation from a key that was revoked here is not used', async () => {
  using alpha = await createNode('alpha');
  using beta = await createNode('beta');
  const { node, code } = await runAndInvite(alpha);
  await using _node = node;
  await skein(beta.path, ['net', 'revoke', (await skein(alpha.path, ['net', 'show-key'])).stdout.trim()]);
  const { lines } = await skein(beta.path, ['join', code, '--yes', '--json']);
  expect(lines.at(-1)).toMatchObject({ type: 'error', code: 'denied', message: expect.stringContaining('revoked') });
  expect(readdirSync(path.join(alpha.path, '.skein/invites'))).toHaveLength(1);
});

test('a code whose address leads to another node pairs with nobody', async () => {
  using alpha = await createNode('alpha');
  using beta = await createNode('beta');
  using rogue = await createNode('rogue');
  // It takes everybody, so that only the key can tell.
  await skein(rogue.path, ['net', 'trust', (await skein(beta.path, ['net', 'show-key'])).stdout.trim()]);
  await using listening = new SkeinProcess(['start', '--json'], { cwd: rogue.path });
  const { port } = await listening.line(({ type }) => type === 'ready');
  const { process, code } = await invite(alpha, '--address', `127.0.0.1:${String(port)}`);
  await using _process = process;
  const { code: exit, lines } = await skein(beta.path, ['join', code, '--yes', '--json']);
  expect({ exit, last: lines.at(-1) }).toMatchObject({ exit: 1, last: { type: 'error' } });
  expect(existsSync(path.join(beta.path, '.skein/authorized_peers'))).toBe(false);
});

test('a code that was used lets no second machine in', async () => {
  using alpha = await createNode('alpha');
  using beta = await createNode('beta');
  using thief = await createNode('thief');
  const { node, code } = await runAndInvite(alpha);
  await using _node = node;
  await skein(beta.path, ['join', code, '--yes']);
  const { code: exit, lines } = await skein(thief.path, ['join', code, '--yes', '--json']);
  expect(exit).toBe(1);
  expect(lines).toEqual([{ type: 'error', code: 'denied', message: expect.stringContaining('used') }]);
  expect(readFileSync(path.join(alpha.path, '.skein/authorized_peers'), 'utf8')).not.toContain('thief');
  expect(existsSync(path.join(thief.path, '.skein/authorized_peers'))).toBe(false);
});

test('an invitation nobody uses ends in time, and leaves nothing open', async () => {
  using alpha = await createNode('alpha');
  const { process } = await invite(alpha, '--ttl', '1s');
  await using _process = process;
  const { code, lines } = await process.result();
  expect({ code, last: lines.at(-1) }).toMatchObject({ code: 1, last: { type: 'error', code: 'deadline-exceeded' } });
  expect(readdirSync(path.join(alpha.path, '.skein/invites'))).toEqual([]);
});

test('Ctrl-C takes an invitation back, with exit code 130', async () => {
  using alpha = await createNode('alpha');
  const { process } = await invite(alpha);
  await using _process = process;
  expect(readdirSync(path.join(alpha.path, '.skein/invites'))).toHaveLength(1);
  process.child.kill('SIGINT');
  expect((await process.result()).code).toBe(130);
  expect(readdirSync(path.join(alpha.path, '.skein/invites'))).toEqual([]);
});

test('Ctrl-C takes an invitation back also where the node runs', async () => {
  using alpha = await createNode('alpha');
  await using node = new SkeinProcess(['start', '--json'], { cwd: alpha.path });
  await node.line(({ type }) => type === 'ready');
  const { process } = await invite(alpha, '--wait');
  await using _process = process;
  process.child.kill('SIGINT');
  expect((await process.result()).code).toBe(130);
  expect(readdirSync(path.join(alpha.path, '.skein/invites'))).toEqual([]);
});

test('a code with no one at its address, and one that is mistyped, each say what to do', async () => {
  using alpha = await createNode('alpha');
  using beta = await createNode('beta');
  const { process, code } = await invite(alpha);
  await using _process = process;
  const away = await skein(beta.path, ['join', code, '--yes', '--json']);
  expect(away.lines.at(-1)).toMatchObject({ code: 'unavailable', message: expect.stringContaining('127.0.0.1:1') });
  const torn = await skein(beta.path, ['join', code.slice(0, -4), '--yes', '--json']);
  expect(torn.lines.at(-1)).toMatchObject({ code: 'invalid', message: expect.stringContaining('Copy it again') });
  expect(existsSync(path.join(beta.path, '.skein/authorized_peers'))).toBe(false);
});

test('join does not choose a trust level by itself where nobody can be asked', async () => {
  using alpha = await createNode('alpha');
  using beta = await createNode('beta');
  const { process, code } = await invite(alpha);
  await using _process = process;
  expect((await skein(beta.path, ['join', code, '--json'])).lines.at(-1)).toMatchObject({
    code: 'invalid',
    message: expect.stringContaining('--trust'),
  });
});

test('the name given to join is the one it starts with, and peers know it by', async () => {
  using alpha = await createNode('alpha');
  using beta = new TempDir();
  const { node, code } = await runAndInvite(alpha);
  await using _node = node;
  expect((await skein(beta.path, ['join', code, '--yes', '--name', 'beta'])).code).toBe(0);
  await using other = new SkeinProcess(['start', '--json', '--port', '0', '--brain', 'intents'], { cwd: beta.path });
  expect(await other.line(({ type }) => type === 'ready')).toMatchObject({ name: 'beta' });
});

test('one that joined and went is shown as away, not as dialled', async () => {
  using alpha = await createNode('alpha');
  using beta = await createNode('beta');
  const { node, code } = await runAndInvite(alpha);
  await using _node = node;
  expect((await skein(beta.path, ['join', code, '--yes'])).code).toBe(0);
  await node.line(({ type, name }) => type === 'peer-left' && name === 'beta');
  const { lines } = await skein(alpha.path, ['net', 'peers', '--json']);
  expect(lines).toMatchObject([{ name: 'beta', state: 'disconnected' }]);
});

test('a key that calls itself otherwise than the trust file is shown, and revoked, by the name that stands there', async () => {
  using alpha = await createNode('alpha');
  using beta = await createNode('beta');
  const { node, code } = await runAndInvite(alpha);
  await using _node = node;
  expect((await skein(beta.path, ['join', code, '--yes'])).code).toBe(0);
  await using other = new SkeinProcess(['start', '--json', '--name', 'renamed'], { cwd: beta.path });
  await node.line(({ type, name }) => type === 'peer-joined' && name === 'beta');
  const wrong = await skein(alpha.path, ['net', 'revoke', 'bet', '--json']);
  expect(wrong.lines).toMatchObject([{ code: 'not-found', message: expect.stringContaining('nearest name is "beta"') }]);
  const { lines } = await skein(alpha.path, ['net', 'revoke', 'beta', '--json']);
  expect(lines).toMatchObject([{ type: 'revoked', name: 'beta', revoked: true }]);
  await other.line(({ type, name }) => type === 'peer-left' && name === 'alpha');
});

test('a peer that takes the name of another has that one neither revoked in its place nor its own trust kept by it', async () => {
  using alpha = await createNode('alpha');
  using beta = await createNode('beta');
  const { node, code } = await runAndInvite(alpha);
  await using _node = node;
  expect((await skein(beta.path, ['join', code, '--yes'])).code).toBe(0);
  const victim = 'skein-ed25519 tQ9z8ne/Y+bZHjZP31mdNW2USR3t63YkiVyJhMWQZAY= victim';
  await skein(alpha.path, ['net', 'trust', victim]);
  await using _other = new SkeinProcess(['start', '--json', '--name', 'victim'], { cwd: beta.path });
  await node.line(({ type, name }) => type === 'peer-joined' && name === 'beta');
  const { lines } = await skein(alpha.path, ['net', 'revoke', 'victim', '--json']);
  expect(lines).toMatchObject([{ type: 'revoked', name: 'victim' }]);
  const file = readFileSync(path.join(alpha.path, '.skein/authorized_peers'), 'utf8');
  expect(file).toContain(`${victim} revoked`);
  expect(file).toMatch(/ beta trust=tool$/m);
});

test('one that joins under a name that is taken there is called otherwise, and both sides say so', async () => {
  using alpha = await createNode('alpha');
  using twin = await createNode('alpha');
  const { node, code } = await runAndInvite(alpha);
  await using _node = node;
  const { lines } = await skein(twin.path, ['join', code, '--yes', '--json']);
  // Each has the name of the other itself.
  const joined = lines.at(-1);
  expect(joined).toMatchObject({ type: 'joined', givenName: 'alpha' });
  const name = String(joined?.name);
  expect(name).toMatch(/^[a-z2-7]{4}-alpha$/);
  expect(readFileSync(path.join(twin.path, '.skein/authorized_peers'), 'utf8')).toContain(` ${name} trust=tool`);
  await node.line(({ type, problem }) => type === 'peer-problem' && String(problem).includes('calls itself alpha'));
});
