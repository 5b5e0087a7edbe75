// What a fresh clone lacks: the packages and the built page. Plain JavaScript that Node 20.19 can read.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { withLock } from './lock.mjs';
import { showStep } from './progress.mjs';
import { runNpm } from './run-command.mjs';

/** The folder of the whole project. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** A failed step, already in words a person can act on. */
export class SetUpError extends Error {}

/**
 * Installs what the lock file names, unless it is there, and builds the page where `page` asks for it and its sources
 * are newer. Two at the same time wait for each other.
 */
export async function setUp({ root = ROOT, page }) {
  const todo = () => [
    ...(isInstalled(root) ? [] : [() => install(root)]),
    ...(page && isPageStale(root) ? [() => buildPage(root)] : []),
  ];
  if (todo().length === 0) return;
  const onWait = (pid) => process.stderr.write(`  Another start (process ${pid}) is setting up; waiting for it\n`);
  await withLock(
    path.join(root, '.cache', 'set-up.lock'),
    async () => {
      // Asked again: whoever held the lock may have done it all.
      for (const step of todo()) await step();
    },
    { onWait },
  );
}

function isInstalled(root) {
  const lock = readFileSync(path.join(root, 'package-lock.json'));
  const stamp = path.join(root, 'node_modules', '.skein-setup');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === stampOf(lock)) return true;
  if (!isTreeAsLocked(root, lock)) return false;
  writeFileSync(stamp, stampOf(lock));
  return true;
}

function stampOf(lock) {
  return `${createHash('sha256').update(lock).digest('hex')} ${process.platform}-${process.arch}\n`;
}

/** Whether npm's own record of what it installed, by whichever command, has every locked package. */
function isTreeAsLocked(root, lock) {
  const record = path.join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(record)) return false;
  const installed = JSON.parse(readFileSync(record, 'utf8')).packages;
  return Object.entries(JSON.parse(lock.toString()).packages).every(
    ([where, wanted]) =>
      !where.includes('node_modules/') ||
      wanted.optional ||
      (where in installed && installed[where].version === wanted.version),
  );
}

// npm's own waits make a minute of silence where there is no network.
const RETRIES = [
  '--fetch-retries=3',
  '--fetch-retry-factor=3',
  '--fetch-retry-mintimeout=1000',
  '--fetch-retry-maxtimeout=9000',
];

async function install(root) {
  const lock = readFileSync(path.join(root, 'package-lock.json'));
  // At level `error` npm does not repeat for each package that the Node here is older than the one we bring.
  await step('Installing packages', adviseInstall, () => runNpm(['ci', '--loglevel=error', ...RETRIES], { cwd: root }));
  writeFileSync(path.join(root, 'node_modules', '.skein-setup'), stampOf(lock));
}

async function buildPage(root) {
  await step(
    'Building the page',
    () => 'Its sources are in packages/dashboard',
    () => runNpm(['run', 'build', '--loglevel=error', '--workspace', '@skein/dashboard'], { cwd: root }),
  );
}

function adviseInstall(output) {
  return /ECONN|ENOTFOUND|EAI_AGAIN|TIMEDOUT|network/.test(output)
    ? 'The registry of packages cannot be reached: is the network there? `npm ping` tells'
    : 'Try once more; where that fails too, remove the folder node_modules first';
}

async function step(title, advise, run) {
  await showStep(title, async () => {
    const { code, output } = await run();
    if (code !== 0) throw new SetUpError(`${output.trim()}\n\n${title} failed. ${advise(output)}`);
  });
}

function isPageStale(root) {
  const folder = path.join(root, 'packages', 'dashboard');
  const built = path.join(folder, 'dist', 'index.html');
  if (!existsSync(built)) return true;
  const builtAtMs = statSync(built).mtimeMs;
  return readdirSync(folder)
    .filter((name) => name !== 'dist' && name !== 'test' && name !== 'node_modules')
    .some((name) => newestMs(path.join(folder, name)) > builtAtMs);
}

/** Of a folder, its own time too: that is what tells a deletion. */
function newestMs(file) {
  const stat = statSync(file);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(file).map((name) => newestMs(path.join(file, name))));
}
