import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

const RETRY_MS = 200;

/** Runs `work` while no other process that asks for the same lock file does. `onWait` is told once whom we wait for. */
export async function withLock(file, work, { onWait }) {
  mkdirSync(path.dirname(file), { recursive: true });
  let told = false;
  for (;;) {
    const owner = take(file);
    if (owner === null) break;
    if (owner !== undefined && !told) {
      onWait(owner);
      told = true;
    }
    await wait(owner === undefined ? 0 : RETRY_MS);
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}

/** Null when the lock is ours now, else the process that holds it; undefined when it is to be tried again at once. */
function take(file) {
  // Written beside and linked, so that a lock never exists without its owner's number.
  const own = `${file}.${process.pid}`;
  writeFileSync(own, String(process.pid));
  try {
    linkSync(own, file);
    return null;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  } finally {
    rmSync(own, { force: true });
  }
  const owner = readOwner(file);
  if (owner === undefined || isAlive(owner)) return owner;
  removeStale(file, owner);
  return undefined;
}

function readOwner(file) {
  try {
    return Number.parseInt(readFileSync(file, 'utf8'), 10);
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Only one process can rename a given file away; if that was a fresh lock after all, it goes back. */
function removeStale(file, owner) {
  const aside = `${file}.stale.${process.pid}`;
  try {
    renameSync(file, aside);
  } catch (error) {
    if (error.code === 'ENOENT') return;
    throw error;
  }
  if (readOwner(aside) !== owner) linkSync(aside, file);
  rmSync(aside, { force: true });
}
