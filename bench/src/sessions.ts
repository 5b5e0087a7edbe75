import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createWebSocketTransport, type Mesh } from '@skein/mesh';
import { median } from './measure.ts';
import { openMesh } from './open-mesh.ts';

const SERVER = fileURLToPath(new URL('./peer-server.ts', import.meta.url));
const HANDSHAKES = 100;
const IDLE_PEERS = 1_250;
/** Below the rate at which a listener begins to ask for cookies. */
const HANDSHAKES_AT_ONCE = 8;

/** Milliseconds from an open socket's dial to a session, in the middle of many, server in another process. */
export async function measureHandshake(): Promise<number> {
  await using server = await startServer();
  const times: number[] = [];
  for (let round = 0; round < HANDSHAKES; round += 1) {
    await using mesh = createMesh();
    const startedMs = performance.now();
    await mesh.dial(server.url, { signal: NEVER });
    // The first ones run code that is not compiled yet.
    if (round >= HANDSHAKES / 4) times.push(performance.now() - startedMs);
  }
  return median(times);
}

/** KiB of resident memory a process holds for each connected peer that says nothing: the middle of three servers. */
export async function measureIdlePeer(): Promise<number> {
  const figures: number[] = [];
  for (let round = 0; round < 3; round += 1) figures.push(await measureIdlePeers(IDLE_PEERS));
  return median(figures);
}

/** KiB of resident memory that each of so many peers at once costs a server; the first fifth pays for what is loaded once. */
export async function measureIdlePeers(count: number): Promise<number> {
  await using server = await startServer();
  await using meshes = new AsyncDisposableStack();
  const connect = async (count: number) => {
    for (let done = 0; done < count; done += HANDSHAKES_AT_ONCE) {
      await Promise.all(
        Array.from({ length: Math.min(HANDSHAKES_AT_ONCE, count - done) }, () =>
          meshes.use(createMesh()).dial(server.url, { signal: NEVER }),
        ),
      );
    }
  };
  const first = Math.ceil(count / 5);
  await connect(first);
  const before = await server.memory();
  await connect(count - first);
  const after = await server.memory();
  if (after.peers !== count) throw new Error(`Of ${count} peers ${after.peers} are there`);
  return (after.bytes - before.bytes) / (after.peers - before.peers) / 1024;
}

const NEVER = new AbortController().signal;

function createMesh(): Mesh {
  return openMesh('client', [createWebSocketTransport()]);
}

interface Server extends AsyncDisposable {
  readonly url: string;
  memory(): Promise<{ readonly peers: number; readonly bytes: number }>;
}

async function startServer(): Promise<Server> {
  const child: ChildProcess = fork(SERVER, { execArgv: ['--conditions=skein-source', '--expose-gc'] });
  const [{ port }] = await once(child, 'message');
  return {
    url: `ws://127.0.0.1:${port}`,
    async memory() {
      child.send('memory');
      const [answer] = await once(child, 'message');
      return answer;
    },
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit');
      child.disconnect();
      await ended;
    },
  };
}
