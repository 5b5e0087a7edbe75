import { execFileSync, spawnSync } from 'node:child_process';
import { chownSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { TempDir } from './skein-process.ts';

type Command = readonly [string, ...string[]];

const SETPRIV = '/usr/bin/setpriv';
const NOBODY = 65_534;
const ROOT = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');
const SOURCE = path.join(ROOT, 'packages/cli/src/main.ts');
const isRoot = process.getuid?.() === 0;

/** Why nothing can be run as an ordinary user; null where it can. */
export const noOrdinaryUser = !isRoot || existsSync(SETPRIV) ? null : 'no `setpriv`: apt-get install -y util-linux';

/**
 * Somebody without rights to run commands as: the one the tests run as or, where that is root, `nobody`. Where `nobody`
 * cannot read what is installed here, as below a folder that is closed to others, it is run from a copy that all can read.
 */
export class OrdinaryUser implements Disposable {
  readonly uid = isRoot ? NOBODY : process.getuid?.();
  #copy: TempDir | undefined;

  constructor() {
    const [program, ...args] = this.run([process.execPath, '-e', `require('fs').accessSync(${JSON.stringify(SOURCE)})`]);
    if (spawnSync(program, args).status === 0) return;
    this.#copy = new TempDir();
    copyInstalled(this.#copy.path);
  }

  /** The command line that runs this one as this user. */
  readonly run = (command: Command): Command => {
    if (!isRoot) return command;
    const identity = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--no-new-privs'];
    const copy = this.#copy;
    return [SETPRIV, ...identity, ...(copy === undefined ? command : command.map((word) => word.replace(ROOT, copy.path)))];
  };

  /** Makes this folder theirs. */
  owns(folder: string): void {
    if (isRoot) chownSync(folder, NOBODY, NOBODY);
  }

  [Symbol.dispose](): void {
    this.#copy?.[Symbol.dispose]();
  }
}

/** Copies what `npm ci --omit=dev` installs, for all to read; without taking room where that can be. */
function copyInstalled(to: string): void {
  const lock: { readonly packages: Readonly<Record<string, { readonly dev?: boolean }>> } = JSON.parse(
    readFileSync(path.join(ROOT, 'node_modules/.package-lock.json'), 'utf8'),
  );
  const names = Object.entries(lock.packages).flatMap(([name, { dev }]) => (dev === true ? [] : name));
  const isOneDisk = statSync(SOURCE).dev === statSync(to).dev;
  const isOpen = (statSync(SOURCE).mode & constants.S_IROTH) !== 0;
  const there = names.filter((name) => existsSync(path.join(ROOT, name)));
  execFileSync('cp', [isOneDisk && isOpen ? '-rPl' : '-rP', '--parents', '-t', to, ...there], { cwd: ROOT });
  execFileSync('chmod', ['-R', 'a+rX', to]);
}
