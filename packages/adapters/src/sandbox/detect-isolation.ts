import { text } from 'node:stream/consumers';
import { SkeinError } from '@skein/protocol';
import type { Isolation } from './sandbox.ts';
import { planSandbox } from './sandbox-plan.ts';
import { startInNamespaces } from './start-in-namespaces.ts';

/** What holds foreign code on this machine. */
export interface IsolationReport {
  readonly isolation: Isolation;
  /** Why it is the weaker one; null for the stronger. */
  readonly problem: string | null;
  /** What to do about that. */
  readonly fix: string | null;
}

const SHOWN_CHARACTERS = 300;

// What the machine has does not change while this process runs, and is the same for whoever asks.
let detected: Promise<IsolationReport> | undefined;

/** Tries it once, when first asked. Never rejects. */
export function detectIsolation(): Promise<IsolationReport> {
  detected ??= detect();
  return detected;
}

async function detect(): Promise<IsolationReport> {
  const problem = await tryNamespaces();
  if (problem === undefined) return { isolation: 'namespaces', problem: null, fix: null };
  const fix =
    process.platform === 'linux'
      ? 'install bubblewrap 0.8 or later (apt-get install bubblewrap), and let this user make user namespaces'
      : 'run plug-ins on Linux for a stronger one; until then install only those you trust';
  return { isolation: 'permissions', problem, fix };
}

async function tryNamespaces(): Promise<string | undefined> {
  try {
    const plan = await planSandbox({ name: 'The trial of bubblewrap', file: process.execPath, args: ['--version'] });
    const held = await startInNamespaces(plan);
    held.stdin.end();
    const [output, errors, { code }] = await Promise.all([text(held.stdout), text(held.stderr), held.closed]);
    if (code === 0 && output.trim() === process.version) return undefined;
    return `bubblewrap does not work here: ${errors.trim().slice(0, SHOWN_CHARACTERS) || `it ended with ${code}`}`;
  } catch (error) {
    return SkeinError.from(error).message;
  }
}
