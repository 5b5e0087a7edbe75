import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OperationLog } from '@skein/agent';
import { type Connection, WebSocketAcceptor } from '@skein/mesh';
import { createIdentity, formatIdentity } from '@skein/protocol';
import { measured, sized, sizedTimeout } from '@skein/testing';
import { expect, test } from 'vitest';
import type { SyncReport, SyncSettings } from './faults/sync-process.ts';
import { openStores, SyncNetwork, until } from './sync-nodes.ts';

const FACTS = 3_000;
const KILLS = sized({ ci: 4, full: 40 });

test('a node killed again and again in the middle loses nothing it has said was written, and is in step in the end', {
  timeout: sizedTimeout({ ci: 120_000, full: 900_000 }),
}, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'skein-sync-'));
  const path = join(directory, 'skein.db');
  const identity = createIdentity();
  await using net = new SyncNetwork();
  const hub = net.add('hub');
  await using door = await listen((connection) => hub.node.mesh.accept(connection));
  for (let n = 0; n < FACTS; n += 250) {
    await Promise.all(Array.from({ length: 250 }, (_, at) => hub.remember(`hub ${n + at}`)));
  }
  const settings = { path, key: formatIdentity(identity), url: door.url };
  const written: string[] = [];
  for (let run = 0; run < KILLS; run += 1) {
    const child = start({ ...settings, run }, written);
    // Somewhere in the middle, each time further on.
    const wanted = ((run + 1) * FACTS) / (KILLS + 2);
    await until(() => child.operations >= wanted && child.wrote > 20, `run ${run}`, 40_000);
    await child.kill();
    measured('kills', { counts: { kills: 1 } });
  }
  const last = start({ ...settings, run: KILLS }, written);
  await until(() => last.wrote > 20, 'the last run', 40_000);
  last.send({ total: FACTS });
  await until(() => last.done !== undefined, 'the end of the last run', 60_000);
  const [facts, messages] = [last.done?.facts, last.done?.messages];
  const seqOf = (log: OperationLog) => log.heads().find(({ author }) => author === identity.id)?.seq;
  await until(() => seqOf(hub.stores.memoryLog) === facts, 'all of the child’s facts', 40_000);
  await until(() => seqOf(hub.stores.sessionLog) === messages, 'all of its messages', 40_000);
  last.send({});
  await last.exited;
  expect(hub.events).toEqual([]);
  {
    const child = openStores({ identity, path });
    using _ = child.database;
    for (const text of written) expect(child.memory.search(text).map((fact) => fact.text)).toContain(text);
    expect(child.memoryLog.quarantined()).toEqual([]);
    const rows = child.database.get('SELECT count(*) AS facts FROM facts WHERE forgotten_at_ms IS NULL');
    const chains = child.memoryLog.heads();
    expect(rows?.facts).toBe(chains.reduce((sum, { seq }) => sum + seq, 0));
    expect(new Set(hub.stores.memoryLog.heads().map((head) => JSON.stringify(head)))).toEqual(
      new Set(chains.map((head) => JSON.stringify(head))),
    );
    const all = { maxChars: 1e9 };
    const texts = (entries: ReturnType<typeof child.sessions.read>) => entries.map(({ message }) => JSON.stringify(message));
    expect(texts(hub.stores.sessions.read('shared', all))).toEqual(texts(child.sessions.read('shared', all)));
  }
  rmSync(directory, { recursive: true, force: true });
});

function start(settings: SyncSettings, written: string[]) {
  const child: ChildProcess = fork(new URL('./faults/sync-process.ts', import.meta.url), [JSON.stringify(settings)], {
    execArgv: ['--conditions=skein-source'],
    stdio: 'inherit',
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const state = {
    /** Of others, in its memory. */
    operations: 0,
    wrote: 0,
    done: undefined as Extract<SyncReport, { type: 'done' }> | undefined,
    exited,
    send: (message: object) => void child.send(message),
    kill: () => {
      child.kill('SIGKILL');
      return exited;
    },
  };
  child.on('message', (report: SyncReport) => {
    if (report.type === 'progress') state.operations = report.operations;
    else if (report.type === 'done') state.done = report;
    else {
      state.wrote += 1;
      written.push(report.text);
    }
  });
  return state;
}

async function listen(accept: (connection: Connection) => void) {
  const acceptor = new WebSocketAcceptor();
  const server: Server = createServer();
  server.on('upgrade', (request, socket, head) => acceptor.upgrade(request, socket, head, accept));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // Proven: it listens on a port.
  const { port } = server.address() as AddressInfo;
  return {
    url: `ws://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      acceptor.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
