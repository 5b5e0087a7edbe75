import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { ensureDirectory, readOwnFile, writeFileAtomic } from '@skein/mesh';
import { type Identity, parseIdentity, SkeinError } from '@skein/protocol';
import type { BoxKeys } from './seal.ts';
import { asName, formatVoleLine, parseVoleLine, type VoleLine, voleIdOf } from './vole-id.ts';

const KEY_FILE_BYTES_MAX = 16 * 1024;
const TRUST_FILE_BYTES_MAX = 16 * 1024 * 1024;

/** The keys this node has beside its identity: to be sealed to, and to sign with against quantum computers. */
export interface VoleKeys extends BoxKeys {
  readonly mlDsa: KeyObject;
}

/** An identity of VoleNet's own, as its directory holds it. */
export interface VoleIdentity {
  readonly identity: Identity;
  readonly name: string;
  readonly mlDsa: KeyObject | undefined;
  readonly x25519: KeyObject | undefined;
  readonly mlKem: KeyObject | undefined;
}

type KeyType = 'x25519' | 'ml-kem-768' | 'ml-dsa-65';

/**
 * The keys in the directory, each in a file of mode 0600; what is not there is made.
 * @throws SkeinError `denied` when others may read a file, `corrupt` for one that holds something else; it is left as it is.
 */
export function loadVoleKeys(directory: string): VoleKeys {
  ensureDirectory(directory);
  const load = (type: KeyType) => {
    const file = keyFile(directory, type);
    return readKey(file, type) ?? makeKey(file, type);
  };
  return { x25519: load('x25519'), mlKem: load('ml-kem-768'), mlDsa: load('ml-dsa-65') };
}

/**
 * What VoleNet's directory (`.openvole/net`, the folder of its `keyPath`) holds as identity; undefined when there is none.
 * @throws SkeinError `denied`, `corrupt`.
 */
export function readVoleKeys(directory: string): VoleIdentity | undefined {
  const file = path.join(directory, 'vole_key');
  const pem = readOwnFile(file, { maxBytes: KEY_FILE_BYTES_MAX, secret: true });
  if (pem === undefined) return undefined;
  const identity = parseIdentity(pem);
  const line = readOwnFile(`${file}.pub`, { maxBytes: KEY_FILE_BYTES_MAX, secret: false });
  const id = voleIdOf(identity);
  return {
    identity,
    name: asName(line?.trim().split(/\s+/)[2] ?? '', id),
    mlDsa: readKey(`${file}.pq`, 'ml-dsa-65'),
    x25519: readKey(`${file}.x25519`, 'x25519'),
    mlKem: readKey(`${file}.mlkem`, 'ml-kem-768'),
  };
}

/** The files of a VoleNet directory that hold further keys, and which key each is. */
const FURTHER_KEYS = { 'vole_key.pq': 'ml-dsa-65', 'vole_key.x25519': 'x25519', 'vole_key.mlkem': 'ml-kem-768' } as const;

/**
 * Copies the further keys of VoleNet's directory `from` into the one that `loadVoleKeys` reads, where it has none: peers
 * that know this node's ML-DSA key take messages with no other. The files they come from are only read.
 * @throws SkeinError `denied`, `corrupt`.
 */
export function adoptVoleKeys(from: string, directory: string): void {
  for (const [name, type] of Object.entries(FURTHER_KEYS)) {
    const key = readKey(path.join(from, name), type);
    const file = keyFile(directory, type);
    if (key === undefined || existsSync(file)) continue;
    ensureDirectory(directory);
    writeFileAtomic(file, key.export({ type: 'pkcs8', format: 'pem' }));
  }
}

/**
 * This node's key line as VoleNet nodes read it, with the ML-DSA key that one of these directories holds, the first that
 * does: its own, or one of VoleNet's that it will take over. None is made.
 * @throws SkeinError `denied`, `corrupt`.
 */
export function voleLineOf(identity: Identity, name: string, directories: readonly string[]): string {
  const files = directories.flatMap((directory) => [keyFile(directory, 'ml-dsa-65'), path.join(directory, 'vole_key.pq')]);
  for (const file of files) {
    const key = readKey(file, 'ml-dsa-65');
    if (key !== undefined) return formatVoleLine(identity, name, publicHalf(key));
  }
  return formatVoleLine(identity, name);
}

/** The keys of an `authorized_voles` file, and the lines that could not be read. */
export interface AuthorizedVoles {
  readonly lines: readonly VoleLine[];
  readonly skipped: readonly { readonly line: number; readonly reason: string }[];
}

/** Reads `authorized_voles`; of two lines for a key the later counts. A missing file trusts nobody. */
export function readAuthorizedVoles(file: string): AuthorizedVoles {
  const text = readOwnFile(file, { maxBytes: TRUST_FILE_BYTES_MAX, secret: false }) ?? '';
  const lines = new Map<string, VoleLine>();
  const skipped: { line: number; reason: string }[] = [];
  for (const [index, row] of text.split('\n').entries()) {
    if (row.trim() === '' || row.trim().startsWith('#')) continue;
    try {
      const line = parseVoleLine(row);
      lines.set(line.identity.id, line);
    } catch (error) {
      skipped.push({ line: index + 1, reason: SkeinError.from(error).message });
    }
  }
  return { lines: [...lines.values()], skipped };
}

/** The public half of a private key. */
export function publicHalf(key: KeyObject): KeyObject {
  return createPublicKey(key);
}

function keyFile(directory: string, type: KeyType): string {
  return path.join(directory, `vole-${type}.pem`);
}

function readKey(file: string, type: KeyType): KeyObject | undefined {
  const pem = readOwnFile(file, { maxBytes: KEY_FILE_BYTES_MAX, secret: true });
  if (pem === undefined) return undefined;
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    // The cause is dropped on purpose: it may quote the key.
    throw new SkeinError(`${file} holds no private key; restore it, or move it away to have another made`, { code: 'corrupt' });
  }
  if (key.asymmetricKeyType === type) return key;
  throw new SkeinError(`${file} holds a key of type ${key.asymmetricKeyType ?? 'unknown'}, not ${type}`, { code: 'corrupt' });
}

function makeKey(file: string, type: KeyType): KeyObject {
  const { privateKey } = generate(type);
  writeFileAtomic(file, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  return privateKey;
}

function generate(type: KeyType): { readonly privateKey: KeyObject } {
  switch (type) {
    case 'x25519':
      return generateKeyPairSync('x25519');
    case 'ml-kem-768':
      return generateKeyPairSync('ml-kem-768');
    case 'ml-dsa-65':
      return generateKeyPairSync('ml-dsa-65');
  }
}
