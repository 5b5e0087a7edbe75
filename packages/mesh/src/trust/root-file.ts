import {
  createIdentity,
  type Identity,
  isEncryptedKey,
  type PeerId,
  type PublicIdentity,
  parseIdentity,
  parseName,
  readRotation,
  SkeinError,
  signRootRotation,
  signRootStatement,
} from '@skein/protocol';
import { isErrno, readOwnFile, withFileLock, writeFileAtomic } from './files.ts';
import { createIdentityFile, type KeyFile, loadKeyFile, writeKeyFile } from './identity-file.ts';
import { currentRoot, formatHistory, type KeyHistory, keysOf, parseHistory, readHistory, withRotation } from './key-history.ts';

/** Nodes of one root. */
const NODES_MAX = 64;
const FILE_BYTES_MAX = 512 * 1024;
const NODE_LINE = 'skein-node ';

/** Where a root key is, and what opens it. */
export interface RootAccess {
  /** A file of its own that is kept off the node. */
  readonly path: string;
  readonly passphrase: string | undefined;
}

/** A node whose key has this root. */
interface RootedNode {
  readonly name: string;
  /** The last key it is known to have. */
  readonly node: PublicIdentity;
  readonly history: KeyHistory;
}

/** What is in a root file: the key, and what it has signed last for each of its nodes. */
interface RootFile {
  readonly root: Identity;
  /** As it stands in the file, encrypted or not. */
  readonly pem: string;
  readonly nodes: readonly RootedNode[];
}

/** A node's key file, what opens it, and what the node is called. */
export interface KeyAccess {
  readonly path: string;
  readonly passphrase: string | undefined;
  readonly name: string;
  readonly nowMs: number;
}

/**
 * Makes a root key and its file, mode 0600.
 * @throws SkeinError `conflict` when there is a file, which is never written over; `invalid` for a passphrase that will not do.
 */
export function createRootFile({ path, passphrase }: RootAccess): Identity {
  try {
    return createIdentityFile(path, passphrase);
  } catch (cause) {
    if (!isErrno(cause, 'EPERM') && !isErrno(cause, 'ENOTSUP')) throw cause;
    throw new SkeinError(
      `${path} cannot be made: its file system keeps no owners of files, so anybody who uses this machine could read it. Make it in a folder of yours, and move it to a disk with owners (ext4, APFS, NTFS) that is kept off the node`,
      { code: 'unavailable', cause },
    );
  }
}

/**
 * Reads a root file: PKCS#8 PEM, and behind it each node of it with its statements.
 * @throws SkeinError `not-found`, `denied` when others may read it, `corrupt`, `unauthenticated` without its passphrase.
 */
function loadRootFile({ path, passphrase }: RootAccess): RootFile {
  const text = readOwnFile(path, { maxBytes: FILE_BYTES_MAX, secret: true });
  if (text === undefined) {
    throw new SkeinError(`There is no root key ${path}; make one with: skein net root init FILE`, { code: 'not-found' });
  }
  try {
    const root = parseIdentity(text, passphrase);
    const [pem = '', ...sections] = text.split(NODE_LINE);
    return { root, pem, nodes: sections.map((section) => parseNode(section, root)) };
  } catch (cause) {
    const { message, code } = SkeinError.from(cause);
    throw new SkeinError(`${path}: ${message}`, {
      code: code === 'unauthenticated' && isEncryptedKey(text) ? code : 'corrupt',
      cause,
    });
  }
}

/**
 * Gives a node's key this root: without it, peers that have seen it let no other key take its place.
 * @throws SkeinError `conflict` when the key has another root, `busy` for more than 64 nodes, and as `loadKeyFile`, `loadRootFile`.
 */
export function bindRoot(access: RootAccess, key: KeyAccess): { readonly root: Identity; readonly node: Identity } {
  return withBoth(access, key, (file) => {
    const { root } = file;
    const loaded = loadKeyFile(key.path, key.passphrase);
    const bound = currentRoot(loaded);
    if (bound !== undefined && bound.root.id !== root.id) throw otherRoot(key.path);
    if (bound !== undefined && entryOf(file, loaded.identity.id) !== undefined) return { root, node: loaded.identity };
    const { identity: node, rotations, roots } = loaded;
    const history = { rotations, roots: bound === undefined ? [...roots, signRootStatement(node, root, key.nowMs)] : roots };
    // First where it is not lost with the node: a crash in between leaves a root that knows more than it needs.
    writeRootFile(access.path, file, { name: key.name, node, history });
    writeKeyFile(key.path, { ...loaded, ...history }, key.passphrase);
    return { root, node };
  });
}

/**
 * Puts a new key into a node's key file, which its root signed and the old key did not. At once, as `rotateKeyFile`. With
 * `lost`, the key in the file takes the place of that node's, of which nothing else is needed.
 * @throws SkeinError `conflict` for a key that is not bound to this root, with what to do; `not-found` for an unknown
 * `lost`; and as `loadKeyFile`, `loadRootFile`.
 */
export function rotateByRoot(
  access: RootAccess,
  key: KeyAccess,
  lost?: string,
): { readonly from: PublicIdentity; readonly to: Identity; readonly root: Identity } {
  return withBoth(access, key, (file) => {
    const { root } = file;
    const loaded = loadKeyFile(key.path, key.passphrase);
    const bound = currentRoot(loaded);
    if (bound !== undefined && bound.root.id !== root.id) throw otherRoot(key.path);
    const isBound = bound !== undefined;
    if (isBound && lost !== undefined) {
      throw new SkeinError(`${key.path} is bound to this root itself; without --lost it gets a new key`, { code: 'conflict' });
    }
    const unfinished = isBound || lost === undefined ? undefined : signedFor(file, loaded.identity.id);
    if (unfinished !== undefined) {
      writeKeyFile(key.path, { ...loaded, ...unfinished.history }, key.passphrase);
      return { from: unfinished.from, to: loaded.identity, root };
    }
    const last = isBound ? lastOf(file, loaded) : lostOf(file, loaded, { lost, path: access.path });
    const to = isBound ? createIdentity() : loaded.identity;
    const rotation = signRootRotation({ root, from: last.node, to, atMs: key.nowMs });
    const history = withRotation(last.history, rotation, signRootStatement(to, root, key.nowMs));
    // First, so that a node that is lost next is followed from the key its peers may have seen.
    writeRootFile(access.path, file, { name: key.name, node: to, history });
    writeKeyFile(key.path, { ...loaded, identity: to, ...history }, key.passphrase);
    return { from: last.node, to, root };
  });
}

/** The node as the root knows it, where that is further on: a rotation may have been signed and not come to the key file. */
function lastOf(file: RootFile, { identity, ...own }: KeyFile): Pick<RootedNode, 'node' | 'history'> {
  return entryOf(file, identity.id) ?? { node: identity, history: own };
}

function lostOf(file: RootFile, loaded: KeyFile, { lost, path }: { lost: string | undefined; path: string }): RootedNode {
  const known = file.nodes.map(({ name, node }) => `${name} (${node.id})`).join(', ');
  if (lost === undefined) {
    throw new SkeinError(
      `The key of this node is not bound to the root ${path}. Bind it with: skein net root bind ${path}; or, to take the place of a node that was lost, say which with --lost: ${known}`,
      { code: 'conflict' },
    );
  }
  const fitting = file.nodes.filter(({ name, node }) => name === lost || node.id === lost);
  const [found, second] = fitting;
  if (found === undefined || second !== undefined) {
    const problem = found === undefined ? 'no node' : `${fitting.length} nodes`;
    throw new SkeinError(`The root ${path} has ${problem} called "${lost.slice(0, 60)}", but ${known || 'none'}`, {
      code: found === undefined ? 'not-found' : 'conflict',
    });
  }
  if (loaded.rotations.length > 0) {
    throw new SkeinError('The key of this node took the place of another already; move it away to begin with a new one', {
      code: 'conflict',
    });
  }
  return found;
}

function entryOf({ nodes }: RootFile, id: PeerId): RootedNode | undefined {
  return nodes.find(({ node, history }) => keysOf(history, node.id).includes(id));
}

/** What was signed for a key that takes the place of a lost one, and did not come to its file. */
function signedFor(file: RootFile, id: PeerId): { readonly from: PublicIdentity; readonly history: KeyHistory } | undefined {
  const { history } = file.nodes.find(({ node }) => node.id === id) ?? {};
  const last = history?.rotations.at(-1);
  return history === undefined || last === undefined ? undefined : { from: readRotation(last).from, history };
}

/** @throws SkeinError `busy` above 64 nodes. */
function writeRootFile(path: string, { pem, nodes }: RootFile, changed: RootedNode): void {
  const keys = keysOf(changed.history, changed.node.id);
  const after = [...nodes.filter(({ node }) => !keys.includes(node.id)), changed];
  if (after.length > NODES_MAX) throw new SkeinError(`A root has at most ${NODES_MAX} nodes; make another`, { code: 'busy' });
  writeFileAtomic(path, pem + after.map(({ name, history }) => `${NODE_LINE}${name}\n${formatHistory(history)}`).join(''));
}

/** @throws SkeinError for statements that are not signed, or are of another root. */
function parseNode(section: string, root: Identity): RootedNode {
  const [name = ''] = section.split('\n', 1);
  const bound = currentRoot(readHistory(section));
  if (bound?.root.id !== root.id) {
    throw new SkeinError(`The node "${name.slice(0, 64)}" in it is of another root`, { code: 'corrupt' });
  }
  return { name: parseName(name), node: bound.node, history: parseHistory(section, bound.node.id) };
}

function withBoth<T>(access: RootAccess, key: KeyAccess, change: (file: RootFile) => T): T {
  return withFileLock(access.path, () => withFileLock(key.path, () => change(loadRootFile(access))));
}

function otherRoot(keyPath: string): SkeinError {
  return new SkeinError(`The key in ${keyPath} has another root already; a key has one, and keeps it`, { code: 'conflict' });
}
