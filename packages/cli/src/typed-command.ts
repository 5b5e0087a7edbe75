import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** How npm names itself to what it runs, when that was not found on the PATH of whoever typed it. */
const RUN_BY_NPM: ReadonlySet<string> = new Set(['exec', 'run-script', 'start']);
const PROGRAM = fileURLToPath(new URL('../bin/skein.mjs', import.meta.url));

/** `skein` where messages tell people what to run here; a file, a peer or a package of that name is none. */
const MENTIONED =
  /(?<![\w./-]|npx |other machine run: )skein(?= (?:(-C)|demo|init|start|page|ask|chat|call|tools|tasks|invite|join|net|import|doctor)\b)/g;

export type CommandEnvironment = Readonly<Record<string, string | undefined>>;

/** What a person types here, in front of a command's name, to run this program again. */
export function typedCommand(env: CommandEnvironment, cwd: string): string {
  if (RUN_BY_NPM.has(env.npm_command ?? '')) return 'npx skein';
  if ((env.PATH ?? '').split(path.delimiter).some((folder) => folder !== '' && hasProgram(folder))) return 'skein';
  // Where it is not installed, npx would fetch whatever has that name in the registry.
  return isInstalledAt(cwd) ? 'npx skein' : `node ${PROGRAM}`;
}

/** A message with its commands as they are typed here. `options` say which node is meant, where the message does not. */
export function withTypedCommand(text: string, command: string, options = ''): string {
  return text.replaceAll(MENTIONED, (_, itsOwn) => (itsOwn === undefined ? `${command}${options}` : command));
}

/** A folder as it is typed from where this was started; absolute where it is elsewhere. */
export function typedFolder(folder: string, env: CommandEnvironment, cwd: string): string {
  // npm runs a script in the folder of the project, wherever in it that was typed.
  const relative = path.relative(env.INIT_CWD ?? cwd, folder);
  const shown = relative.startsWith('..') || path.isAbsolute(relative) ? folder : relative || '.';
  return /[^\w./\\:-]/.test(shown) ? `"${shown}"` : shown;
}

function isInstalledAt(cwd: string): boolean {
  if (hasProgram(path.join(cwd, 'node_modules', '.bin'))) return true;
  const parent = path.dirname(cwd);
  return parent !== cwd && isInstalledAt(parent);
}

function hasProgram(folder: string): boolean {
  return ['skein', 'skein.cmd'].some((name) => existsSync(path.join(folder, name)));
}
