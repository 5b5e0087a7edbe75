import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  connectToRunning,
  dataDir,
  ensureKey,
  findRunning,
  type LoadedConfig,
  listTrusted,
  loadConfig,
  type OwnKey,
  trustPeer,
} from '../packages/host/src/index.ts';

// Makes the keys of a folder's nodes, has those trust each other that name each other's address in their configs, and runs
// each in a process of its own until Ctrl-C.
const CONNECT_MS = 30_000;
const LOOK_MS = 30;
const CONFIG = 'skein.config.json';
const EXAMPLES = fileURLToPath(new URL('.', import.meta.url));
const SKEIN = fileURLToPath(new URL('../packages/cli/src/main.ts', import.meta.url));

interface ExampleNode {
  readonly folder: string;
  readonly loaded: LoadedConfig;
  readonly key: OwnKey;
}

/** A process of a node: it ends when its input is closed, so with this one, however this one ends. */
interface Running {
  readonly node: ExampleNode;
  readonly ended: Promise<void>;
  stop(): void;
}

const { values, positionals } = readArguments();
const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stopping.abort());
// As `skein start` has it: a pipe to a process closes when that process ends, however it ends.
if (values['exit-with-parent']) process.stdin.on('close', () => stopping.abort()).resume();
try {
  if (values.help) write(help());
  else await runExample(positionals[0]);
} catch (error) {
  if (!stopping.signal.aborted) {
    const message = error instanceof Error ? error.message : String(error);
    if (values.json) write({ type: 'error', message });
    else process.stderr.write(`${message}\n`);
    process.exitCode = 1;
  }
}

async function runExample(name: string | undefined): Promise<void> {
  const nodes = findNodes(name).map((folder): ExampleNode => {
    const loaded = loadConfig({ cwd: folder });
    return { folder, loaded, key: ensureKey(loaded).key };
  });
  for (const one of nodes) for (const other of nodes) await trust(one, other);
  const running = nodes.map(start);
  const anyEnded = Promise.race(running.map(({ node, ended }) => ended.then(() => fail(`${node.key.name} ended`))));
  try {
    await Promise.race([untilConnected(nodes), anyEnded]);
    tell(nodes);
    await Promise.all(running.map(({ ended }) => ended));
  } finally {
    for (const child of running) child.stop();
    await Promise.all(running.map(({ ended }) => ended));
    process.stdin.destroy();
  }
}

/** The folders of the nodes: those with a config. */
function findNodes(name: string | undefined): readonly string[] {
  const inside = (folder: string) =>
    readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && existsSync(path.join(folder, entry.name, CONFIG)))
      .map((entry) => path.join(folder, entry.name));
  const folder = [EXAMPLES, process.cwd()].map((base) => path.resolve(base, name ?? '')).find((each) => existsSync(each));
  const found = folder === undefined || name === undefined ? [] : inside(folder);
  if (found.length > 0) return found;
  return fail(name === undefined ? `Say which example.\n\n${help()}` : `There is no example "${name}".\n\n${help()}`);
}

function help(): string {
  const all = readdirSync(EXAMPLES, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return `Usage: npm run -s example -- FOLDER [--json]

Runs all nodes of a network, each in a process of its own, until Ctrl-C. --json prints what they say, one object a line.
FOLDER is a folder of nodes, or one of the examples:
${all.map(({ name }) => `  ${name}`).join('\n')}`;
}

function readArguments() {
  const flag = { type: 'boolean', default: false } as const;
  const options = { json: flag, 'exit-with-parent': flag, help: { ...flag, short: 'h' } } as const;
  try {
    return parseArgs({ options, allowPositionals: true });
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${help()}\n`);
    process.exit(2);
  }
}

/**
 * What `skein net trust` does by hand. Only the key: what a peer may do stands in the config, under its address. One
 * whose trust was taken back stays without.
 */
async function trust(one: ExampleNode, other: ExampleNode): Promise<void> {
  const lists = addressOf(one, other);
  if (one === other || (lists === undefined && addressOf(other, one) === undefined)) return;
  const dir = dataDir(one.loaded.config.dataDir);
  if ((await listTrusted(dir)).some(({ id }) => id === other.key.peerId)) return;
  trustPeer(dir, other.key.line, lists === undefined ? {} : { url: lists });
}

/** Where `one` says that it reaches `other`. */
function addressOf(one: ExampleNode, other: ExampleNode): string | undefined {
  const { port } = other.loaded.config.net;
  return one.loaded.config.net.peers.find(({ url }) => new URL(url).port === String(port))?.url;
}

function start(node: ExampleNode): Running {
  const { name } = node.key;
  const args = [SKEIN, '-C', node.folder, 'start', '--exit-with-parent', ...(values.json ? ['--json'] : [])];
  const child = spawn(process.execPath, [...process.execArgv, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.on('error', () => {}); // It has ended, which is told below.
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      write(values.json ? { node: name, ...parse(line) } : `${name.padEnd(12)} ${line}`);
    });
  }
  const ended = new Promise<void>((resolve) => {
    child.once('error', () => resolve());
    child.once('close', (code, signal) => {
      const how = signal ?? `code ${code}`;
      if (!stopping.signal.aborted)
        write(values.json ? { node: name, type: 'ended', how } : `${name.padEnd(12)} ended: ${how}`);
      resolve();
    });
  });
  const stop = () => child.stdin.destroy();
  stopping.signal.addEventListener('abort', stop, { once: true });
  return { node, ended, stop };
}

/** Resolves when each node has all its peers. */
async function untilConnected(nodes: readonly ExampleNode[]): Promise<void> {
  const { signal } = stopping;
  const startedAtMs = performance.now();
  for (;;) {
    const missing = (await Promise.all(nodes.map((node) => missingOf(node, signal)))).flat();
    if (missing.length === 0) return;
    if (performance.now() - startedAtMs > CONNECT_MS) fail(`Not connected within 30 s: ${missing.join('; ')}`);
    await wait(LOOK_MS, undefined, { signal });
  }
}

async function missingOf({ loaded, key }: ExampleNode, signal: AbortSignal): Promise<readonly string[]> {
  const client = connectToRunning(dataDir(loaded.config.dataDir));
  const peers = await client?.peers({ signal });
  if (peers === undefined) return [`${key.name} does not answer`];
  return peers.flatMap(({ name, state, problem }) =>
    state === 'connected' ? [] : [`${key.name} to ${name}: ${problem ?? 'no answer'}`],
  );
}

function tell(nodes: readonly ExampleNode[]): void {
  const up = nodes.map(({ folder, loaded, key }) => {
    const pid = findRunning(dataDir(loaded.config.dataDir))?.pid ?? null;
    return { name: key.name, pid, folder: path.relative(process.cwd(), folder) || '.' };
  });
  if (values.json) {
    write({ type: 'connected', nodes: up });
    return;
  }
  const lines = up.map(({ name, pid, folder }) => `  ${name.padEnd(12)} npx skein -C ${folder} …   (process ${pid})`);
  write(`\nAll are connected. In another terminal:\n${lines.join('\n')}\nCtrl-C ends them.\n`);
}

function write(line: string | object): void {
  process.stdout.write(`${typeof line === 'string' ? line : JSON.stringify(line)}\n`);
}

/** What a node printed: JSON, but for what it complains of. */
function parse(line: string): object {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === 'object' && value !== null) return value;
  } catch {} // Words, then.
  return { type: 'text', text: line };
}

function fail(message: string): never {
  throw new Error(message);
}
