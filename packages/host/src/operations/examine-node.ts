import { accessSync, constants, existsSync, readdirSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { detectIsolation } from '@skein/adapters';
import { openDatabase } from '@skein/engine';
import { CheckpointFile, currentRoot, readAuditEnd, TrustStore, verifyAudit } from '@skein/mesh';
import { fingerprintWords, readRotation, SkeinError, shortPeerId } from '@skein/protocol';
import { readCertificate } from '../certificate.ts';
import { chooseBrain } from '../choose-brain.ts';
import { type LoadedConfig, type LoadOptions, loadConfig } from '../config/load-config.ts';
import { dataDir } from '../data-dir.ts';
import { NODE_MIGRATIONS, readWitnesses } from '../node-files.ts';
import { assertKeyNotLost, loadNodeKey } from '../node-key.ts';
import { loadNodeTools, overlookedPlugins, toolFolderProblem } from '../node-tools.ts';
import { findRunning } from '../running.ts';
import { examineLeader } from './examine-leader.ts';
import { examineRestart } from './examine-restart.ts';
import { type Check, type Finding, ok } from './finding.ts';
import { openNode } from './open-node.ts';
import { listTrusted } from './trust-peer.ts';

const NEEDED_MAJOR = 24;
/** A file from further ahead than this was written by a clock that ran before this one. */
const CLOCK_SLACK_MS = 60_000;

/** A node with one of these wrong can still reach its peers. */
const KEEPS_DIALING: ReadonlySet<string> = new Set(['port', 'clock', 'leader', 'restart']);

/** Looks at all that a node needs, one thing after the other. A thing that is wrong is told, not thrown. */
export async function* examineNode(
  options: LoadOptions,
  {
    signal,
    unlock = async (locked) => locked,
  }: {
    readonly signal: AbortSignal;
    /** Asks for the passphrase of the key where one is needed. */
    readonly unlock?: (loaded: LoadedConfig) => Promise<LoadedConfig>;
  },
): AsyncGenerator<Check> {
  yield await check('node', () => examineRuntime());
  let loaded: LoadedConfig | undefined;
  yield await check('config', () => {
    loaded = loadConfig(options);
    return ok(loaded.file ?? 'no file, so the defaults hold', loaded.file === null ? 'skein init writes one' : null);
  });
  if (loaded === undefined) return;
  for (const text of loaded.vole?.notes ?? []) yield { name: 'vole config', ...ok(text) };
  const node = await unlock(loaded);
  const rows: readonly [string, () => Finding | Promise<Finding>][] = [
    ['data directory', () => examineDataDir(node)],
    ['key', () => examineKey(node)],
    ['trust', () => examineTrust(node)],
    ['audit', () => examineAudit(node)],
    ['database', () => examineDatabase(node)],
    ['clock', () => examineClock(node)],
    ['port', () => examinePort(node)],
    ['restart', () => examineRestart(node, signal)],
    ['tools', () => examineTools(node)],
    ['sandbox', () => examineSandbox()],
    ['certificate', () => examineCertificate(node)],
    ['brain', () => examineBrain(node)],
    ['leader', () => examineLeader(node, signal)],
  ];
  let blocked = false;
  for (const [name, examine] of rows) {
    const done = await check(name, examine);
    blocked ||= done.state === 'fail' && !KEEPS_DIALING.has(name);
    yield done;
  }
  if (blocked) yield { name: 'peers', state: 'warn', text: 'not looked at', fix: 'first mend what failed above' };
  else yield* examinePeers(node, signal);
}

async function check(name: string, examine: () => Finding | Promise<Finding>): Promise<Check> {
  try {
    return { name, ...(await examine()) };
  } catch (error) {
    return { name, state: 'fail', text: SkeinError.from(error).message, fix: null };
  }
}

function examineRuntime(): Finding {
  const { node } = process.versions;
  if (Number.parseInt(node, 10) >= NEEDED_MAJOR) return ok(`Node ${node}`);
  return { state: 'fail', text: `Node ${node} is too old`, fix: `install Node ${NEEDED_MAJOR} or later` };
}

function examineDataDir({ config: { dataDir: root } }: LoadedConfig): Finding {
  const stats = statSync(root, { throwIfNoEntry: false });
  if (stats === undefined) {
    const parent = nearestFolder(path.dirname(root));
    return isUsable(parent) ? ok(`${root} will be made at the first start`) : notWritable(parent);
  }
  if (!stats.isDirectory()) return { state: 'fail', text: `${root} is not a folder`, fix: 'choose another with --data-dir' };
  if (!isUsable(root)) return notWritable(root);
  if (process.platform === 'win32' || (stats.mode & 0o077) === 0) return ok(root);
  return { state: 'warn', text: `others may look into ${root}`, fix: `run: chmod 700 ${root}` };
}

/** The folder, or the first above it that is there. */
function nearestFolder(folder: string): string {
  const parent = path.dirname(folder);
  return existsSync(folder) || parent === folder ? folder : nearestFolder(parent);
}

function isUsable(folder: string): boolean {
  try {
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false; // Whatever the reason: a node could keep nothing there.
  }
}

function notWritable(folder: string): Finding {
  const fix = 'give this user the right to read and write it, or choose another folder with --data-dir';
  return { state: 'fail', text: `this user cannot write in ${folder}`, fix };
}

function examineKey(loaded: LoadedConfig): Finding {
  const { keyPath, keyPassphraseFile } = loaded.config.net;
  assertKeyNotLost(loaded);
  if (!existsSync(keyPath))
    return { state: 'warn', text: 'there is no key yet', fix: 'run: skein init (skein start makes one too)' };
  const file = loadNodeKey(loaded);
  const bound = currentRoot(file);
  const words = `${fingerprintWords(file.identity.id)}${bound === undefined ? '' : `, its root ${fingerprintWords(bound.root.id)}`}`;
  if (file.encrypted || keyPassphraseFile === undefined) return ok(file.encrypted ? `${words}, with a passphrase` : words);
  return {
    state: 'warn',
    text: `${keyPath} has no passphrase, although net.keyPassphraseFile names one`,
    fix: `run: skein net passphrase --new-file ${keyPassphraseFile}`,
  };
}

async function examineTrust({ config }: LoadedConfig): Promise<Finding> {
  const dir = dataDir(config.dataDir);
  if (!existsSync(dir.authorizedPeers)) return ok('nobody is trusted yet', 'skein invite lets another node in');
  await using store = new TrustStore({ path: dir.authorizedPeers, ownName: config.name });
  await store.start();
  const trusted = store.list();
  const revoked = trusted.filter((peer) => peer.revoked).length;
  const text = `${trusted.length - revoked} trusted, ${revoked} revoked`;
  const renamed = [...store.renamed].map(([id, written]) => `"${written}" (${shortPeerId(id)}) as ${store.get(id)?.name}`);
  if (renamed.length === 0) return ok(text);
  return {
    state: 'warn',
    text: `${text}; the names of others or of this node are called otherwise here: ${renamed.slice(0, 5).join(', ')}`,
    fix: `give each line of ${dir.authorizedPeers} a name of its own`,
  };
}

function examineAudit(loaded: LoadedConfig): Finding {
  const dir = dataDir(loaded.config.dataDir);
  if (!existsSync(loaded.config.net.keyPath)) return ok('none yet');
  const { identity, rotations } = loadNodeKey(loaded);
  const issuers = [identity.id, ...rotations.map((rotation) => readRotation(rotation).from.id)];
  const witnesses = new CheckpointFile({ path: dir.auditWitnesses });
  witnesses.start();
  // The remembered ends first: what a running node adds meanwhile can only be more.
  const kept = readWitnesses(witnesses, issuers);
  const remembered = readAuditEnd(dir.auditEnd, new Set(issuers));
  const { count } = verifyAudit(dir.audit, [...kept, ...(remembered === undefined ? [] : [remembered])]);
  const peers = kept.length === 0 ? 'no peer keeps its checkpoints' : `as ${kept.length} of its peers keep it`;
  return ok(`${count} records, and none changed or taken out; ${peers}`);
}

function examineDatabase({ config }: LoadedConfig): Finding {
  const dir = dataDir(config.dataDir);
  const file = dir.database;
  if (!existsSync(file)) return ok('none yet');
  if (findRunning(dir) !== undefined) return ok('in use by the node that runs, which checked it when it started');
  // Opening checks every page, and names what is wrong.
  openDatabase({ path: file, migrations: NODE_MIGRATIONS })[Symbol.dispose]();
  return ok(`${file} is whole`);
}

function examineClock({ config: { dataDir: root } }: LoadedConfig): Finding {
  const now = Date.now();
  const names = existsSync(root) ? readdirSync(root) : [];
  const newestMs = Math.max(
    0,
    ...names.map((name) => statSync(path.join(root, name), { throwIfNoEntry: false })?.mtimeMs ?? 0),
  );
  if (newestMs <= now + CLOCK_SLACK_MS) return ok(new Date(now).toISOString());
  return {
    state: 'fail',
    text: `it is ${new Date(now).toISOString()} here, but a file of this node is from ${new Date(newestMs).toISOString()}`,
    fix: 'set the clock: peers refuse messages that are a minute off',
  };
}

async function examinePort({ config: { dataDir: root, net } }: LoadedConfig): Promise<Finding> {
  const running = findRunning(dataDir(root));
  if (running !== undefined) return ok(`this node runs on port ${running.port}, as process ${running.pid}`);
  const problem = await tryPort(net.host, net.port);
  if (problem === undefined) return ok(net.port === 0 ? 'the system will choose one' : `${net.port} is free`);
  return {
    state: 'fail',
    text: `${net.host}:${net.port} cannot be had (${problem})`,
    fix: 'stop what uses it, or set another net.port',
  };
}

function tryPort(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port }, () => server.close(() => resolve(undefined)));
  });
}

async function examineTools(loaded: LoadedConfig): Promise<Finding> {
  const { config } = loaded;
  const dir = dataDir(config.dataDir);
  await using started = new AsyncDisposableStack();
  const tools = await loadNodeTools({ loaded, dir }, started);
  const overlooked = await overlookedPlugins(dir);
  if (overlooked.length > 0) {
    return {
      state: 'warn',
      text: `${overlooked.join(', ')}: not loaded, since a plug-in is one .ts or .mjs file`,
      fix: 'rename it',
    };
  }
  const noFolder = toolFolderProblem(loaded);
  if (noFolder !== undefined) return { state: 'warn', text: noFolder, fix: `run: mkdir -p ${config.tools.root}` };
  const shared = config.net.share.tools ? 'shared with trusted peers' : 'not shared';
  return ok(`${tools.length} built in or plug-ins, ${shared}; skein tools lists those of memory, servers and peers too`);
}

async function examineSandbox(): Promise<Finding> {
  const { isolation, problem, fix } = await detectIsolation();
  if (isolation === 'namespaces') return ok('plug-ins and servers run in namespaces of their own');
  return {
    state: 'warn',
    text: `plug-ins are held by Node's permissions alone${problem === null ? '' : `: ${problem}`}`,
    fix,
  };
}

function examineCertificate({ config: { net } }: LoadedConfig): Finding {
  if (net.tls === undefined) return ok('none; sessions of peers are sealed without');
  readCertificate(net.tls);
  return ok(net.tls.cert);
}

async function examineBrain(loaded: LoadedConfig): Promise<Finding> {
  const chosen = await chooseBrain(loaded);
  return chosen === undefined ? ok('none, as the configuration says') : ok(chosen.brain.name, chosen.hint);
}

/** Opens the node where there is somebody to reach, and makes nothing for nobody. */
async function* examinePeers(loaded: LoadedConfig, signal: AbortSignal): AsyncGenerator<Check> {
  const { dataDir: root, net } = loaded.config;
  const dir = dataDir(root);
  try {
    const isTrusting = existsSync(dir.authorizedPeers) && (await listTrusted(dir)).some(({ revoked }) => !revoked);
    if (!existsSync(net.keyPath) || !(isTrusting || net.peers.length > 0)) {
      yield { name: 'peers', ...ok('none to reach yet', 'skein invite lets another node in') };
      return;
    }
    await using node = await openNode(loaded, { signal });
    for (const { name, state, problem, latencyMs, tools } of await node.client.peers({ signal })) {
      const label = `peer ${name}`;
      if (state === 'connected') {
        yield {
          name: label,
          ...ok(`connected${latencyMs === null ? '' : `, ${latencyMs.toFixed(1)} ms`}, ${tools.length} tools`),
        };
      } else if (state === 'disconnected') {
        yield {
          name: label,
          state: 'warn',
          text: problem ?? 'not connected, and it has no address to dial',
          fix: problem === null ? 'it must dial this node' : 'is it running, and does it trust this node?',
        };
      } else {
        yield {
          name: label,
          state: 'fail',
          text: problem ?? 'no answer yet',
          fix: 'is it running, and does its port let this machine through?',
        };
      }
    }
  } catch (error) {
    if (signal.aborted) throw error;
    yield { name: 'peers', state: 'fail', text: SkeinError.from(error).message, fix: null };
  }
}
