import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { OWN_AUTHOR } from '@skein/agent';
import { ensureDirectory, isKeyFileEncrypted, loadKeyFile, readOwnFile, writeFileAtomic } from '@skein/mesh';
import { type PeerId, SkeinError } from '@skein/protocol';
import { type BroughtVole, bringVole } from '../bring-vole.ts';
import { parseConfigText } from '../config/config-text.ts';
import { describeConfig } from '../config/describe-config.ts';
import { type Environment, readEnvironment } from '../config/environment.ts';
import { CONFIG_FILE, type LoadedConfig, loadConfig } from '../config/load-config.ts';
import type { ConfigInput } from '../config/schema.ts';
import { type ConvertedVole, convertVoleConfig, refuseLacking, VOLE_CONFIG_FILE } from '../config/vole/vole-config.ts';
import { leftBehind, type VolePlaces, volePlaces } from '../config/vole/vole-folder.ts';
import { dataDir } from '../data-dir.ts';
import { createLog } from '../log.ts';
import { type NodeFiles, openNodeFiles } from '../node-files.ts';
import { loadNodeKey } from '../node-key.ts';
import { toolFolderProblem } from '../node-tools.ts';
import { assertNotRunning } from '../running.ts';
import { ensureKey, type OwnKey } from './init-node.ts';

const CONFIG_BYTES_MAX = 1_048_576;
const KEY_BYTES_MAX = 16 * 1024;
const MEMORY_BYTES_MAX = 4 * 1024 * 1024;
/** Characters of one fact. */
const FACT_CHARS_MAX = 4_000;
const FACT_SOURCE = 'imported from MEMORY.md';

export interface ImportVoleOptions {
  /** The folder of the `vole.config.json`; nothing in it is changed but, where `to` is the same, by what is added. */
  readonly from: string;
  /** The folder the node is to have. */
  readonly to: string;
  /** Absolute; absent, `.skein` in `to`. */
  readonly dataDir?: string | undefined;
  /** Writes over a config file. A key, a line of trust and a fact are never written over. */
  readonly force: boolean;
  /** Goes on without what this version lacks. */
  readonly withoutMissing: boolean;
  /** Default: this process's environment. */
  readonly env?: Environment;
}

/** What came over from an OpenVole node. */
export interface ImportedVole {
  readonly file: string;
  readonly key: OwnKey;
  /** `kept`: the same key was there already. `made`: there was none to copy. */
  readonly keyCame: 'copied' | 'kept' | 'made';
  readonly trusted: readonly { readonly id: PeerId; readonly name: string; readonly trust: string }[];
  /** Keys that were known here before; they stay as they are. */
  readonly alreadyKnown: number;
  /** Lines of `authorized_voles` that could not be read. */
  readonly skipped: BroughtVole['skipped'];
  /** Facts that came from the memory file, without those that were known. */
  readonly facts: number;
  /** What differs; one line each. */
  readonly notes: readonly string[];
  /** What this version lacks, and what to do instead. */
  readonly leftOut: readonly string[];
}

/**
 * Makes a node of ours out of the folder of an OpenVole node: config, key, trust and memory.
 * @throws SkeinError `not-found` without a `vole.config.json`; `unsupported` for what is lacking here, unless it is to go
 * without; `conflict` for a config file that is there, another key, or a node that runs; `invalid`, `corrupt`, `denied`.
 */
export async function importVole(options: ImportVoleOptions): Promise<ImportedVole> {
  const { from, to, force, withoutMissing, env = readEnvironment() } = options;
  const converted = readVole(from, env);
  const places = volePlaces(from, converted.keyPath);
  if (!withoutMissing) refuseLacking(converted.refused, VOLE_CONFIG_FILE);
  const file = path.join(to, CONFIG_FILE);
  if (existsSync(file) && !force) {
    throw new SkeinError(`${file} is there already; write over it with --force, or choose another folder with --to`, {
      code: 'conflict',
    });
  }
  const root = options.dataDir ?? path.join(to, '.skein');
  assertNotRunning(dataDir(root));
  checkKey(places.key, path.join(root, 'key'));
  const place = options.dataDir === undefined ? {} : { dataDir: options.dataDir };
  mkdirSync(to, { recursive: true });
  writeFileSync(file, describeConfig({ ...valuesFor(converted.config, { from, to }), ...place }));
  const loaded = loadConfig({ file, env });
  const isCopied = copyKey(places.key, loaded.config.net.keyPath);
  const { key, madeKey } = ensureKey(loaded);
  const brought = await bring(loaded, places, converted);
  return {
    file,
    key,
    keyCame: isCopied ? 'copied' : madeKey ? 'made' : 'kept',
    ...brought,
    notes: [
      ...(madeKey ? [] : ['the key is that of the OpenVole node: stop it before this one starts']),
      ...converted.notes,
      ...noteFolder(loaded),
      ...leftBehind(places),
    ],
    leftOut: converted.refused,
  };
}

function noteFolder(loaded: LoadedConfig): readonly string[] {
  const problem = toolFolderProblem(loaded);
  return problem === undefined ? [] : [problem];
}

function readVole(from: string, env: Environment): ConvertedVole {
  const file = path.join(from, VOLE_CONFIG_FILE);
  const text = readText(file, CONFIG_BYTES_MAX);
  if (text !== undefined) return convertVoleConfig(parseConfigText(text, file), env);
  throw new SkeinError(`There is no ${file}; say the folder of the OpenVole node: skein import vole DIR`, {
    code: 'not-found',
  });
}

/** Undefined where there is no such file. */
function readText(file: string, maxBytes: number): string | undefined {
  const size = statSync(file, { throwIfNoEntry: false })?.size;
  if (size === undefined) return undefined;
  if (size <= maxBytes) return readFileSync(file, 'utf8');
  throw new SkeinError(`${file} has ${size} bytes, at most ${maxBytes} are read`, { code: 'too-large' });
}

/** Paths that were meant from one folder, so that they mean the same from the other. */
function valuesFor(config: ConfigInput, { from, to }: { readonly from: string; readonly to: string }): ConfigInput {
  if (from === to) return config;
  const { net = {}, tools = {} } = config;
  const absolute = (file: string) => path.resolve(from, file);
  const { tls } = net;
  return {
    ...config,
    net: { ...net, ...(tls === undefined ? {} : { tls: { cert: absolute(tls.cert), key: absolute(tls.key) } }) },
    tools: { ...tools, root: absolute(tools.root ?? '.') },
  };
}

/** Before anything is written: the key reads, and no other is in its place. */
function checkKey(source: string, target: string): void {
  if (!existsSync(source)) return;
  const id = idOf(source);
  if (!existsSync(target) || idOf(target) === id) return;
  throw new SkeinError(`${target} holds another key than ${source}; move it away, or import into another folder with --to`, {
    code: 'conflict',
  });
}

/** Whether it was copied; false where there is none, or one is there. */
function copyKey(source: string, target: string): boolean {
  const text = readOwnFile(source, { maxBytes: KEY_BYTES_MAX, secret: true });
  if (text === undefined || existsSync(target)) return false;
  ensureDirectory(path.dirname(target));
  writeFileAtomic(target, text);
  return true;
}

function idOf(file: string): PeerId {
  if (!isKeyFileEncrypted(file)) return loadKeyFile(file).identity.id;
  throw new SkeinError(`${file} has a passphrase: take it off with skein net passphrase, import, and set it anew`, {
    code: 'unsupported',
  });
}

async function bring(
  loaded: LoadedConfig,
  places: VolePlaces,
  { trustUnlisted }: ConvertedVole,
): Promise<Pick<ImportedVole, 'trusted' | 'alreadyKnown' | 'skipped' | 'facts'>> {
  const dir = dataDir(loaded.config.dataDir);
  await using stack = new AsyncDisposableStack();
  const told: SkeinError[] = [];
  const fail = (error: SkeinError) => void told.push(error);
  const files = await openNodeFiles(
    { dir, key: loadNodeKey(loaded), name: loaded.config.name, onAuditError: fail, onTrustError: fail },
    stack,
  );
  const log = createLog({ level: 'silent' });
  const { added, kept, skipped } = bringVole({ vole: { places, trustUnlisted, notes: [] }, files, dir, log });
  const facts = await remember(files, places);
  const [error] = told;
  if (error !== undefined) throw error;
  const trusted = added.map(({ identity: { id }, name, trust }) => ({ id, name, trust }));
  return { trusted, alreadyKnown: kept, skipped, facts };
}

/** A model wrote it, from whatever it read: it is remembered as text from outside. */
async function remember({ memory }: NodeFiles, { memory: file }: VolePlaces): Promise<number> {
  const text = readText(file, MEMORY_BYTES_MAX) ?? '';
  const drafts = factsOf(text).map((fact) => {
    return { text: fact, author: OWN_AUTHOR, source: FACT_SOURCE, trusted: false };
  });
  const written = await Promise.all(drafts.map((draft) => memory.write(draft)));
  return written.filter(({ added }) => added).length;
}

/** Each paragraph without its headings, and each point of a list in it; one that is too long for a fact in several. */
function factsOf(markdown: string): readonly string[] {
  return markdown
    .split(/\r?\n[ \t]*\r?\n/)
    .map((paragraph) => paragraph.replaceAll(/^\s*(#.*|-{3,}|={3,})$/gm, ''))
    .flatMap(pointsOf)
    .flatMap((text) =>
      Array.from({ length: Math.ceil(text.length / FACT_CHARS_MAX) }, (_, i) =>
        text.slice(i * FACT_CHARS_MAX, (i + 1) * FACT_CHARS_MAX),
      ),
    );
}

/** What stands in front of a list, where it ends with a colon, goes with each of its points; what is indented under one, too. */
function pointsOf(paragraph: string): readonly string[] {
  const [before = '', ...points] = paragraph.split(/^(?:[-*+]|\d{1,9}[.)])[ \t]+/m).map((text) => text.trim());
  const lead = before.endsWith(':') && points.length > 0 ? `${before} ` : '';
  return [...(lead === '' ? [before] : []), ...points.map((point) => `${lead}${point}`)].filter((text) => text !== '');
}
