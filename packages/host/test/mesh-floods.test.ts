import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { createIdentity, formatIdentity, formatKeyLine } from '@skein/protocol';
import { measured } from '@skein/testing';
import { expect, test } from 'vitest';
import { type FaultNode, FaultNodes } from './faults/fault-node.ts';
import type { CallerRequest, CallerResult } from './faults/messages.ts';

const MIB = 1024 * 1024;
/** Addresses of this machine: Linux has all of 127.0.0.0/8. */
const SILENT_FROM = process.platform === 'linux' ? [1, 2, 3, 4, 5].map((host) => `127.0.0.${host}`) : ['127.0.0.1'];
const WEB_SOCKET_UPGRADE =
  'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n' +
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: skein.1\r\n\r\n';

test('300 strangers that flood a node with junk leave its peers answered', { timeout: 60_000 }, async () => {
  await using nodes = new FaultNodes();
  const node = nodes.make('worker');
  await using friend = new Callers(1);
  await startWith(node, friend);
  const paced = { type: 'call', durationMs: 5_000, inFlight: 4, everyMs: 10 } as const;
  await friend.ask({ ...paced, durationMs: 1_000 });
  const before = (await node.stats()).rssBytes;
  await using flood = new Flood(node.port, 300);
  await flood.running;
  const result = await friend.ask(paced);
  const perSecond = flood.sent / flood.seconds;
  const stats = await node.stats();
  const failed = Object.values(result.failures).reduce((sum, count) => sum + count, 0);
  expect(result.answered / (result.answered + failed)).toBeGreaterThanOrEqual(0.99);
  expect(result.p99Ms).toBeLessThan(500);
  expect(perSecond, 'frames of junk a second').toBeGreaterThan(5_000);
  expect(stats.peakRssBytes - before).toBeLessThan(128 * MIB);
  const unansweredPercent = (100 * failed) / (result.answered + failed);
  const growthMiB = (stats.peakRssBytes - before) / MIB;
  measured('flood', { peaks: { junkPerSecond: perSecond, unansweredPercent, growthMiB, p99Ms: result.p99Ms } });
});

test('one peer that calls without measure is told to wait, and nine others hardly notice', { timeout: 60_000 }, async () => {
  await using nodes = new FaultNodes();
  const node = nodes.make('worker', { net: { maxMessagesPerSecond: 2_000 } });
  await using normal = new Callers(9);
  await using abuser = new Callers(1);
  await startWith(node, normal, abuser);
  const paced = { type: 'call', durationMs: 1_500, inFlight: 2, everyMs: 20 } as const;
  await normal.ask({ ...paced, durationMs: 500 });
  // The best of three pairs: what the abuser does to them, not what else this machine does meanwhile.
  const ratios: number[] = [];
  for (let round = 0; round < 3 && Math.max(0, ...ratios) < 0.9; round += 1) {
    const alone = await normal.ask(paced);
    const [beside, abuse] = await Promise.all([
      normal.ask(paced),
      abuser.ask({ type: 'abuse', durationMs: 1_700, inFlight: 3_000, everyMs: 0 }),
    ]);
    expect(beside.failures).toEqual({});
    expect(Object.keys(abuse.failures)).toEqual(['busy']);
    expect(abuse.failures.busy).toBeGreaterThan(2_500);
    expect(abuse.toldWhen, 'each was told when to come back').toBe(abuse.failures.busy);
    ratios.push(beside.answered / alone.answered);
  }
  expect(Math.max(...ratios)).toBeGreaterThanOrEqual(0.9);
});

test('strangers that hold every place in silence, and are renewed, keep no peer from coming back', {
  timeout: 60_000,
}, async () => {
  await using nodes = new FaultNodes();
  const node = nodes.make('worker');
  await using friends = new Callers(5);
  node.trusts(...friends.keyLines.map((line) => [line, { trust: 'tool' }] as const));
  await node.start();
  using silence = new Silence(node.port);
  await silence.full;
  await friends.connect(node);
  const result = await friends.ask({ type: 'call', durationMs: 1_000, inFlight: 1, everyMs: 10 });
  expect(silence.openSockets, 'they were there all the while').toBeGreaterThan(60);
  expect(result.failures).toEqual({});
  expect(result.answered).toBeGreaterThan(100);
});

/** Peers of a node in a process of their own. */
class Callers implements AsyncDisposable {
  readonly #identities;
  readonly #child = fork(fileURLToPath(new URL('./faults/callers-process.ts', import.meta.url)), [], {
    execArgv: ['--conditions=skein-source'],
  });

  constructor(count: number) {
    this.#identities = Array.from({ length: count }, createIdentity);
  }

  get keyLines(): readonly string[] {
    return this.#identities.map((identity, index) => formatKeyLine(identity, `caller-${index}`));
  }

  async connect(node: FaultNode): Promise<void> {
    await this.ask({ type: 'connect', url: node.url, identities: this.#identities.map(formatIdentity) });
  }

  async ask(request: CallerRequest): Promise<CallerResult> {
    const answer = once(this.#child, 'message');
    this.#child.send(request);
    // Proven: callers-process.ts answers with one of the two.
    const [{ result, error }] = (await answer) as [{ result: CallerResult; error?: string }];
    if (error !== undefined) throw new Error(error);
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }
}

/** A process full of strangers. */
class Flood implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #startedAtMs = performance.now();
  /** Resolves when it sends. */
  readonly running: Promise<unknown>;
  sent = 0;
  opened = 0;
  seconds = 0;

  constructor(port: number, sockets: number) {
    const program = fileURLToPath(new URL('./faults/flood-process.ts', import.meta.url));
    this.#child = fork(program, [String(port), String(sockets)], { execArgv: ['--conditions=skein-source'] });
    this.running = once(this.#child, 'message');
    this.#child.on('message', ({ sent, opened }: { readonly sent: number; readonly opened: number }) => {
      this.sent = sent;
      this.opened = opened;
      this.seconds = (performance.now() - this.#startedAtMs) / 1_000;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }
}

/** Connections that say nothing once they are open, more than a node has places for, and new ones all the time. */
class Silence implements Disposable {
  readonly #port: number;
  readonly #sockets = new Set<Socket>();
  readonly #full = Promise.withResolvers<void>();
  readonly #renewing: NodeJS.Timeout;
  #opened = 0;

  constructor(port: number) {
    this.#port = port;
    // From each address as many as it may have, the peers' own among them, and in all more than there are places.
    for (let count = 0; count < 64; count += 1) for (const address of SILENT_FROM) this.#open(address);
    let renewed = 0;
    this.#renewing = setInterval(() => this.#open(SILENT_FROM[++renewed % SILENT_FROM.length] ?? ''), 10);
  }

  /** Resolves when the first of them are open. */
  get full(): Promise<void> {
    return this.#full.promise;
  }

  get openSockets(): number {
    return this.#sockets.size;
  }

  #open(localAddress: string): void {
    const socket = connect({ host: '127.0.0.1', port: this.#port, localAddress });
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#sockets.delete(socket));
    socket.write(WEB_SOCKET_UPGRADE);
    socket.once('data', () => {
      this.#sockets.add(socket);
      this.#opened += 1;
      if (this.#opened === 64 * SILENT_FROM.length) this.#full.resolve();
    });
  }

  [Symbol.dispose](): void {
    clearInterval(this.#renewing);
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** A started node that trusts these callers, and all of them connected. */
async function startWith(node: FaultNode, ...callers: readonly Callers[]): Promise<void> {
  node.trusts(...callers.flatMap(({ keyLines }) => keyLines.map((line) => [line, { trust: 'tool' }] as const)));
  await node.start();
  for (const each of callers) await each.connect(node);
}
