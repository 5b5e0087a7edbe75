import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { voleLineOf } from '@skein/dialects';
import { currentRoot, isKeyFileEncrypted, type KeyFile } from '@skein/mesh';
import { fingerprintWords, formatKeyLine, type PeerId, SkeinError } from '@skein/protocol';
import { describeConfig } from '../config/describe-config.ts';
import { explain } from '../config/explain.ts';
import { type LoadedConfig, type LoadOptions, loadConfig } from '../config/load-config.ts';
import { invalidConfig } from '../config/problems.ts';
import { type ConfigInput, config as configSchema } from '../config/schema.ts';
import { VOLE_CONFIG_FILE } from '../config/vole/vole-config.ts';
import { dataDir } from '../data-dir.ts';
import { assertKeyNotLost, createNodeKey, loadNodeKey } from '../node-key.ts';

/** What a node shows of itself to those who should trust it. */
export interface OwnKey {
  readonly name: string;
  readonly peerId: PeerId;
  readonly fingerprint: string;
  /** The line others give to `skein net trust`. */
  readonly line: string;
  /** The line OpenVole nodes take, in `vole net trust` or in `authorized_voles`; null where this node meets none. */
  readonly voleLine: string | null;
  /** The words of its root; null where it has none. */
  readonly root: string | null;
  readonly keyPath: string;
}

/** What `initNode` did. */
export interface InitResult {
  readonly key: OwnKey;
  readonly file: string;
  readonly wroteConfig: boolean;
  readonly madeKey: boolean;
}

export interface InitOptions extends LoadOptions {
  /** What the config file is to say. */
  readonly values: ConfigInput;
  /** Writes over a config file. A key is never written over. */
  readonly force: boolean;
  /** A key is made also where a node was that had another. */
  readonly isAnew?: boolean;
  /** Of the key: it is made with it, or, where there is one, opened. */
  readonly keyPassphrase?: () => string;
}

/**
 * Writes a commented config file and makes the key.
 * @throws SkeinError `conflict` when there is a config file, ours or VoleNet's, and not `force`; `invalid` for values that do not fit.
 */
export function initNode(options: InitOptions): InitResult {
  const { values, force, isAnew = false, keyPassphrase, cwd = process.cwd(), file: named, ...rest } = options;
  const file = path.resolve(cwd, named ?? 'skein.config.json');
  if (existsSync(file) && !force) {
    throw new SkeinError(`${file} is there already; edit it, or write over it with --force (the key stays)`, {
      code: 'conflict',
    });
  }
  const vole = path.join(cwd, VOLE_CONFIG_FILE);
  if (named === undefined && existsSync(vole) && !force) {
    throw new SkeinError(
      `${vole} is there, which skein start runs as it is, and ${path.basename(file)} would take its place; make that from it with: skein import vole; or write a new one with --force`,
      { code: 'conflict' },
    );
  }
  checkValues(values);
  mkdirSync(path.dirname(file), { recursive: true });
  const before = existsSync(file) ? readFileSync(file) : undefined;
  writeFileSync(file, describeConfig(values));
  try {
    const loaded = loadConfig({ ...rest, cwd, file });
    if (keyPassphrase !== undefined) refuseOpenKey(loaded);
    const { key, madeKey } = ensureKey({ ...loaded, ...(keyPassphrase === undefined ? {} : { keyPassphrase }) }, { isAnew });
    return { key, file, wroteConfig: true, madeKey };
  } catch (error) {
    // All or nothing: what was there before is what the key is used with.
    if (before === undefined) rmSync(file, { force: true });
    else writeFileSync(file, before);
    throw error;
  }
}

/**
 * Makes the key of a node, and a config file with its name where there is none.
 * @throws SkeinError `conflict` when there is a config file that gives another name.
 */
export function initNetwork(
  options: LoadOptions & Pick<LoadedConfig, 'keyPassphrase'> & { readonly name: string; readonly isAnew?: boolean },
): {
  readonly key: OwnKey;
  readonly madeKey: boolean;
} {
  const { name, isAnew = false, keyPassphrase, ...load } = options;
  const unlocking = keyPassphrase === undefined ? {} : { keyPassphrase };
  const loaded = { ...loadConfig(load), ...unlocking };
  if (loaded.file === null)
    return initNode({ ...load, ...unlocking, values: { ...load.overrides, name }, force: false, isAnew });
  if (loaded.config.name !== name) {
    throw new SkeinError(
      `${loaded.file} calls this node "${loaded.config.name}"; change its name there, or say: skein net init ${loaded.config.name}`,
      {
        code: 'conflict',
      },
    );
  }
  return ensureKey(loaded, { isAnew });
}

/**
 * The key of a node, made when there is none. A key that is there is never touched. `isAnew`: also where a node was that
 * had another. @throws SkeinError `corrupt` there without it, and as `ownKey`.
 */
export function ensureKey(
  loaded: LoadedConfig,
  { isAnew = false }: { readonly isAnew?: boolean } = {},
): { readonly key: OwnKey; readonly madeKey: boolean } {
  const { keyPath } = loaded.config.net;
  if (!isAnew) assertKeyNotLost(loaded);
  const madeKey = !existsSync(keyPath);
  if (madeKey) createNodeKey(loaded);
  return { key: ownKey(loaded), madeKey };
}

/** @throws SkeinError `not-found` when there is no key; `denied`, `corrupt` or `unauthenticated` when it cannot be used. */
export function ownKey(loaded: LoadedConfig): OwnKey {
  return describeKey(loaded, loadNodeKey(loaded));
}

function describeKey({ config, vole }: LoadedConfig, file: KeyFile): OwnKey {
  const { identity } = file;
  const { volenet, peers, keyPath } = config.net;
  const meetsVoles = volenet || peers.some(({ dialect }) => dialect !== 'skein');
  const directories = [dataDir(config.dataDir).volenet, ...(vole === undefined ? [] : [path.dirname(vole.places.key)])];
  const bound = currentRoot(file);
  return {
    name: config.name,
    peerId: identity.id,
    fingerprint: fingerprintWords(identity.id),
    line: formatKeyLine(identity, config.name),
    voleLine: meetsVoles ? voleLineOf(identity, config.name, directories) : null,
    root: bound === undefined ? null : fingerprintWords(bound.root.id),
    keyPath,
  };
}

/** A passphrase that would not count must not be taken for one that does. */
function refuseOpenKey({ config: { net } }: LoadedConfig): void {
  if (!existsSync(net.keyPath) || isKeyFileEncrypted(net.keyPath)) return;
  throw new SkeinError(`${net.keyPath} is there already, without a passphrase; set one with: skein net passphrase`, {
    code: 'conflict',
  });
}

/** A file that would not load again is not written. */
function checkValues(values: ConfigInput): void {
  const parsed = configSchema.safeParse(values);
  if (parsed.success) return;
  throw invalidConfig(explain(configSchema, parsed.error.issues, values).map(({ text }) => text));
}
