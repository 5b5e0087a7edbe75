import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { accessSync, chownSync, constants, globSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { freePorts } from '@skein/testing';
import { temporaryFolder } from './tool-fixture.ts';

/** Why no PostgreSQL server can be started here; undefined when one can. */
export const noPostgres =
  programFolder() === undefined ? 'no PostgreSQL server here: apt-get install -y postgresql' : undefined;

/** The server does not run as root. */
const NOBODY = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

export interface PostgresServer extends AsyncDisposable {
  readonly port: number;
  /** Of the user `skein`, who owns everything. */
  readonly password: string;
  /** `postgres://skein@127.0.0.1:port/postgres`. */
  readonly url: string;
}

/** A PostgreSQL server of its own in a new folder, on loopback, that asks for a password. */
export async function startPostgres(): Promise<PostgresServer> {
  const programs = programFolder();
  if (programs === undefined) throw new Error(noPostgres);
  const folder = await temporaryFolder();
  if (NOBODY.uid !== undefined) chownSync(folder.path, NOBODY.uid, NOBODY.gid);
  const password = `pw-${randomUUID()}`;
  const passwordFile = join(folder.path, 'password');
  const data = join(folder.path, 'data');
  await writeFile(passwordFile, password, { mode: 0o644 });
  const options = ['--auth=scram-sha-256', '--username=skein', '--no-sync', '--locale=C', '--encoding=UTF8'];
  await promisify(execFile)(join(programs, 'initdb'), ['-D', data, `--pwfile=${passwordFile}`, ...options], {
    ...NOBODY,
    cwd: folder.path,
  });
  const [port = 0] = await freePorts(1);
  const settings = ['-h', '127.0.0.1', '-p', String(port), '-k', '', '-c', 'fsync=off', '-c', 'max_connections=20'];
  const server = spawn(join(programs, 'postgres'), ['-D', data, ...settings], {
    ...NOBODY,
    cwd: folder.path,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  await ready(server);
  return {
    port,
    password,
    url: `postgres://skein@127.0.0.1:${port}/postgres`,
    async [Symbol.asyncDispose]() {
      const exited = Promise.withResolvers<void>();
      server.once('exit', () => exited.resolve());
      server.kill('SIGQUIT');
      await exited.promise;
      await folder[Symbol.asyncDispose]();
    },
  };
}

function programFolder(): string | undefined {
  const folders = [...globSync('/usr/lib/postgresql/*/bin'), ...(process.env.PATH ?? '').split(delimiter)];
  return folders.find((folder) => ['initdb', 'postgres'].every((name) => isProgram(join(folder, name))));
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function ready(server: ChildProcess): Promise<void> {
  let told = '';
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.stderr?.on('data', (chunk: Buffer) => {
    told = (told + chunk.toString('utf8')).slice(-4_000);
    if (told.includes('ready to accept connections')) resolve();
  });
  server.once('error', reject);
  server.once('exit', () => reject(new Error(`the PostgreSQL server ended: ${told}`)));
  await promise;
}
