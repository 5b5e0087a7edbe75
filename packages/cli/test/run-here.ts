import { PassThrough } from 'node:stream';
import type { WriteStream } from 'node:tty';
import { runSkein } from '../src/run-skein.ts';
import { Shell } from '../src/shell.ts';
import { type Line, TempDir } from './skein-process.ts';

/** What a command printed, and its exit code. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly lines: readonly Line[];
}

/** Runs a command line as the program does, but in this process: for what leads to a test, not for what is tested. */
export async function runHere(cwd: string, args: readonly string[]): Promise<Outcome> {
  const output = new PassThrough();
  // Proven: a shell writes to them, listens for their errors, and asks whether they are a terminal, which they are not.
  const streams = { stdin: process.stdin, stdout: output as unknown as WriteStream, stderr: output as unknown as WriteStream };
  const shell = new Shell({ ...streams, env: {}, cwd: () => cwd, on: () => undefined, off: () => undefined });
  const code = await runSkein(['-C', cwd, ...args], shell);
  const stdout = String(output.read() ?? '');
  return {
    code,
    stdout,
    lines: stdout.split('\n').flatMap((line): Line[] => (line.startsWith('{') ? [JSON.parse(line)] : [])),
  };
}

/** A folder with a node that was set up, is not running, and thinks without a model. */
export class NodeDir extends TempDir {
  /** Its key line. */
  line = '';
  id = '';
}

/** Sets a node up by `skein init`. */
export async function createNode(name: string, ...args: readonly string[]): Promise<NodeDir> {
  const dir = new NodeDir();
  const settings = ['--port', '0', '--brain', 'intents', '--share-tools'];
  const { code, stdout, lines } = await runHere(dir.path, ['init', name, '--yes', ...settings, '--json', ...args]);
  const made = lines.at(-1);
  if (code !== 0 || typeof made?.line !== 'string') throw new Error(`The node ${name} was not set up: ${stdout}`);
  dir.line = made.line;
  dir.id = String(made.peerId);
  return dir;
}
