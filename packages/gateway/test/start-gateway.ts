import { createServer, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { AgentEvent } from '@skein/agent';
import { peerIdOf } from '@skein/protocol';
import { ScriptedBackend, type ScriptedBackendParts } from '@skein/testing';
import type { Assets } from '../src/assets.ts';
import { createGatewayClient } from '../src/client.ts';
import { createGateway, type GatewayParts } from '../src/gateway.ts';

export const TOKEN = 'correct-horse-battery-staple';
const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };

const assets: Assets = new Map([
  ['/', asset('<!doctype html><title>page</title>', 'text/html; charset=utf-8', false)],
  ['/assets/page-abc123.js', asset('export {};', 'text/javascript; charset=utf-8', true)],
]);

function asset(text: string, type: string, immutable: boolean) {
  return { bytes: new Uint8Array(new TextEncoder().encode(text)), gzipped: null, type, etag: `"${text.length}"`, immutable };
}

/** What the scripted node says of itself. */
export const status = {
  name: 'coordinator',
  peerId: peerIdOf(new Uint8Array(32)),
  fingerprint: 'amber canyon delta',
  version: '0.1.0',
  port: 1,
  startedAtMs: 1,
  brain: { name: 'intents (built in)', hint: 'set OPENAI_API_KEY' },
};

type Overrides = Partial<Omit<GatewayParts, 'backend'>> & { readonly backend?: Partial<ScriptedBackendParts> };

/** A gateway over a scripted node, on a real socket. */
export async function startGateway(overrides: Overrides = {}) {
  const { backend: script, ...rest } = overrides;
  const backend = new ScriptedBackend({ status, ...script });
  const gateway = createGateway({
    backend,
    token: TOKEN,
    allowedHosts: ['127.0.0.1', 'localhost', '::1'],
    assets,
    now: () => performance.now(),
    log: quiet,
    ...rest,
  });
  const server = createServer((incoming, outgoing) => void gateway.listener(incoming, outgoing));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // Proven: a server listening on a host and port has an AddressInfo.
  const { port } = server.address() as AddressInfo;
  const baseUrl = `http://127.0.0.1:${port}`;
  return {
    backend,
    gateway,
    port,
    baseUrl,
    client: createGatewayClient({ baseUrl, token: TOKEN, fetch }),
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

interface RawRequest {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Uint8Array;
  readonly localAddress?: string;
}

export const authorized = { authorization: `Bearer ${TOKEN}` };
export const json = { ...authorized, 'content-type': 'application/json' };

/** One request with exactly these headers, which fetch would not let through. */
export function send(port: number, raw: RawRequest): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        host: '127.0.0.1',
        port,
        method: raw.method ?? 'GET',
        path: raw.path ?? '/api/status',
        headers: raw.headers ?? {},
        agent: false,
        ...(raw.localAddress === undefined ? {} : { localAddress: raw.localAddress }),
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
        response.on('error', reject);
      },
    );
    request.on('error', reject);
    request.end(raw.body);
  });
}

export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of source) all.push(item);
  return all;
}

/** A turn that answers what it was asked. */
export async function* echoTurn(turn: { request: { text: string; sessionId: string } }): AsyncGenerator<AgentEvent> {
  yield { type: 'turn-start', turnId: 't1', sessionId: turn.request.sessionId, brain: 'script' };
  yield { type: 'text-delta', text: turn.request.text };
  yield { type: 'answer', text: turn.request.text, toolCalls: [] };
}

export async function openRaw(port: number, path: string, body: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  await readUntil(socket, '\r\n\r\n');
  socket.pause();
  return socket;
}

export function readUntil(socket: Socket, mark: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const onData = (chunk: Buffer) => {
      text += chunk.toString();
      if (!text.includes(mark)) return;
      socket.off('data', onData);
      resolve(text);
    };
    socket.on('data', onData);
    socket.on('error', reject);
  });
}

/** Waits for something another connection brings about and nothing announces; the test's time limit bounds it. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
