// Plain JavaScript that Node 20.19 can read: it finds a Node that can run the rest.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';

const NEEDED_MAJOR = 24;
const END_WITH_LAUNCHER = new URL('./end-with-launcher.mjs', import.meta.url).href;
const PASSED_ON = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'];

/** True when the running Node can run the sources. */
export function isNodeRecent() {
  return Number.parseInt(process.versions.node, 10) >= NEEDED_MAJOR;
}

/** The Node to use: the running one, else the one that came as a package; undefined when neither will do. */
export function findNode() {
  if (isNodeRecent()) return process.execPath;
  const platform = process.platform === 'win32' ? 'win' : process.platform;
  try {
    const manifest = createRequire(import.meta.url).resolve(`node-${platform}-${process.arch}/package.json`);
    const binary = path.join(path.dirname(manifest), 'bin', platform === 'win' ? 'node.exe' : 'node');
    return existsSync(binary) ? binary : undefined;
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

/**
 * Runs a program on a recent Node, sources as they are, in the caller's directory, with its streams, signals and exit
 * code. Replaces this process where the platform can; otherwise resolves when the program has ended.
 * `retry` is the command a person should run when no Node will do.
 */
export async function runProgram(file, args, { cacheDir, retry }) {
  const node = findNode();
  if (node === undefined) {
    process.stderr.write(
      `Skein needs Node ${NEEDED_MAJOR} or later, this is ${process.versions.node}, and no Node comes with it for ` +
        `${process.platform}-${process.arch}. Run: npx -y -p node@${NEEDED_MAJOR} ${retry}\n`,
    );
    process.exitCode = 1;
    return;
  }
  const program = ['--conditions=skein-source', file, ...args];
  const env = { ...process.env, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? cacheDir };
  if (process.execve !== undefined && process.platform !== 'win32') {
    process.execve(node, [node, ...process.execArgv, ...program], env);
  }
  const argv = [...process.execArgv, `--import=${END_WITH_LAUNCHER}`, ...program];
  // The channel carries nothing: that it ends tells the program that this process is gone, even if it was killed.
  const child = spawn(node, argv, { env, stdio: ['inherit', 'inherit', 'inherit', 'ipc'] });
  passSignals(child);
  await endOf(child, node);
}

function passSignals(child) {
  for (const signal of PASSED_ON) {
    // A terminal sends its Ctrl-C to the whole group: the child has it already.
    process.on(signal, () => {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    });
  }
}

function endOf(child, node) {
  return new Promise((resolve) => {
    child.on('error', (error) => {
      process.stderr.write(`${node} does not run here (${error.message}). Install Node ${NEEDED_MAJOR} or later\n`);
      process.exitCode = 1;
      resolve();
    });
    child.on('exit', (code, signal) => {
      for (const name of PASSED_ON) process.removeAllListeners(name);
      // 128 + number is how a shell tells a death by signal.
      process.exitCode = code ?? 128 + (os.constants.signals[signal] ?? 0);
      resolve();
    });
  });
}
