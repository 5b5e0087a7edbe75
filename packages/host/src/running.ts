import { readFileSync, rmSync } from 'node:fs';
import { createGatewayClient, type GatewayClient } from '@skein/gateway';
import { writeFileAtomic } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';
import { z } from 'zod';
import type { DataDir } from './data-dir.ts';

const runningFile = z.object({
  pid: z.int().positive(),
  port: z.int().min(1).max(65_535),
  /** The address peers are heard at. */
  host: z.string().optional(),
  startedAtMs: z.number(),
});
export type Running = z.infer<typeof runningFile>;

/** Which process runs the node of this data directory; undefined when none does. */
export function findRunning(dir: DataDir): Running | undefined {
  let text: string;
  try {
    text = readFileSync(dir.running, 'utf8');
  } catch {
    return undefined; // Not there, or not ours to read: no node that we could talk to.
  }
  const parsed = runningFile.safeParse(parseJson(text));
  return parsed.success && isAlive(parsed.data.pid) ? parsed.data : undefined;
}

/** @throws SkeinError `conflict` when another process runs the node of this data directory. */
export function assertNotRunning(dir: DataDir): void {
  const other = findRunning(dir);
  if (other === undefined || other.pid === process.pid) return;
  throw new SkeinError(
    `The node in ${dir.root} runs already as process ${other.pid} on port ${other.port}; stop it first, or choose another --data-dir`,
    { code: 'conflict' },
  );
}

/** Says that this process runs the node, after `assertNotRunning`; the returned function takes it back. */
export function claimRunning(dir: DataDir, running: Running): () => void {
  writeFileAtomic(dir.running, `${JSON.stringify(running)}\n`);
  return () => {
    if (findRunning(dir)?.pid === running.pid) rmSync(dir.running, { force: true });
  };
}

/** A client of the running node's API; undefined when it does not run. */
export function connectToRunning(dir: DataDir): GatewayClient | undefined {
  const running = findRunning(dir);
  if (running === undefined) return undefined;
  return createGatewayClient({ baseUrl: `http://127.0.0.1:${running.port}`, token: tokenOf(dir), fetch });
}

/** The link to the running node's page, its token in the fragment; undefined when it does not run. */
export function pageOf(dir: DataDir): string | undefined {
  const running = findRunning(dir);
  return running === undefined ? undefined : `http://127.0.0.1:${running.port}/#token=${tokenOf(dir)}`;
}

function tokenOf(dir: DataDir): string {
  return readFileSync(dir.token, 'utf8').trim();
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // A torn file says as little as a missing one.
  }
}
