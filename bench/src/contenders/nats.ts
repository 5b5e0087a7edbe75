import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { connect } from '@nats-io/transport-node';
import { freePorts } from '@skein/mesh';
import { type Contender, fact } from '../contender.ts';

const FOLDERS = [...(process.env.PATH ?? '').split(path.delimiter), '/usr/sbin', '/usr/local/bin'];

/** Request and reply through a NATS server: neither signed nor encrypted, and a hop between. */
export const nats: Contender = {
  name: 'nats',
  title: 'NATS request/reply',
  missing: () => (findServer() === undefined ? 'no nats-server here; apt-get install -y nats-server' : null),

  async prepare() {
    const [port] = await freePorts(1);
    const server = spawn(findServer() ?? 'nats-server', ['-a', '127.0.0.1', '-p', String(port)], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    for await (const line of createInterface({ input: server.stderr })) if (line.includes('Server is ready')) break;
    server.stderr.resume();
    return {
      facts: { server: `127.0.0.1:${port}` },
      async [Symbol.asyncDispose]() {
        const ended = once(server, 'exit');
        server.kill();
        await ended;
      },
    };
  },

  async serve(facts) {
    const connection = await connect({ servers: fact(facts, 'server') });
    connection.subscribe('echo', {
      callback: (error, message) => {
        if (error !== null) throw error;
        message.respond(JSON.stringify({ result: message.json<{ params: unknown }>().params }));
      },
    });
    await connection.flush();
    return { facts: {}, [Symbol.asyncDispose]: () => connection.close() };
  },

  async connect(facts) {
    const connection = await connect({ servers: fact(facts, 'server') });
    return {
      async call(params) {
        const answer = await connection.request('echo', JSON.stringify({ params }), { timeout: 30_000 });
        return answer.json<{ result: typeof params }>().result;
      },
      [Symbol.asyncDispose]: () => connection.close(),
    };
  },
};

function findServer(): string | undefined {
  return FOLDERS.map((folder) => path.join(folder, 'nats-server')).find((file) => existsSync(file));
}
