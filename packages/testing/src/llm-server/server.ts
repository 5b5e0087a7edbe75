import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { z } from 'zod';
import { playTurn } from './play.ts';
import { createScript, type LlmRequest, type LlmScript, type LlmStyle } from './script.ts';
import { WIRES } from './wires.ts';

const MAX_BODY_BYTES = 32 * 1024 * 1024;
/** Requests kept to be read; beyond, the oldest is forgotten. */
const MAX_KEPT = 1_000;
const STYLES: Readonly<Record<string, LlmStyle>> = {
  '/v1/chat/completions': 'openai',
  '/v1/messages': 'anthropic',
  '/api/chat': 'ollama',
};
const requestBody = z.looseObject({
  model: z.string().default(''),
  stream: z.boolean().optional(),
  messages: z.array(z.looseObject({ content: z.unknown() })).default([]),
  tools: z
    .array(z.looseObject({ name: z.string().optional(), function: z.looseObject({ name: z.string() }).optional() }))
    .default([]),
});

/** A model as `/api/tags` lists it; `tools` unsaid leaves its capabilities out, as older Ollamas do. */
export interface ListedModel {
  readonly name: string;
  readonly tools?: boolean | undefined;
}

export interface LlmServerOptions {
  readonly script: LlmScript;
  /** A list begins again after its last turn. */
  readonly repeat?: boolean;
  /** What `/api/tags` and `/v1/models` list. */
  readonly models?: readonly ListedModel[];
  /** When given, a request without this key is refused with 401. */
  readonly apiKey?: string;
  /** 0, the default, lets the system choose. */
  readonly port?: number;
}

/** A scripted model behind the HTTP of real providers, on loopback. */
export interface LlmServer extends AsyncDisposable {
  readonly port: number;
  /** `http://127.0.0.1:<port>`; `/v1` under it speaks OpenAI and Anthropic, `/api` Ollama. */
  readonly url: string;
  /** How many answers were asked for. */
  readonly count: number;
  /** The last requests for answers, oldest first, at most 1,000. */
  readonly requests: readonly LlmRequest[];
  /** The first request not handed out yet, waiting for it when there is none. */
  nextRequest(): Promise<LlmRequest>;
}

/**
 * Starts a server that answers as the script says: OpenAI chat completions and Ollama's `/v1`, Anthropic messages, and
 * Ollama's `/api/tags`, `/api/show` and `/api/chat`, streaming and not. The caller disposes it, which cuts what is open.
 */
export async function startLlmServer(options: LlmServerOptions): Promise<LlmServer> {
  const answer = createScript(options.script, options.repeat);
  const requests: LlmRequest[] = [];
  const unread: LlmRequest[] = [];
  const waiting: ((request: LlmRequest) => void)[] = [];
  let count = 0;

  function record(request: LlmRequest): void {
    count += 1;
    requests.push(request);
    if (requests.length > MAX_KEPT) requests.shift();
    const reader = waiting.shift();
    if (reader) reader(request);
    else unread.push(request);
    if (unread.length > MAX_KEPT) unread.shift();
  }

  async function serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(incoming.url ?? '/', 'http://localhost').pathname;
    const style = incoming.method === 'POST' ? STYLES[path] : undefined;
    const text = await readBody(incoming);
    if (style === undefined) return serveLists(path, response, options.models ?? []);
    if (options.apiKey !== undefined && !hasKey(incoming, options.apiKey)) {
      response.writeHead(401, { 'content-type': 'application/json' }).end(WIRES[style].errorBody(401, 'Incorrect API key'));
      return;
    }
    const request = parseRequest({ style, path, incoming, text, response });
    record(request);
    await playTurn(response, request, await answer(request));
  }

  const server = createServer((incoming, response) => {
    serve(incoming, response).catch((error: unknown) => {
      // The client went away in the middle, or the script threw: a test sees the second by its text.
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' });
      response.end(error instanceof Error ? error.message : String(error));
    });
  });
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  // Proven: a server that listens on TCP has an AddressInfo.
  const { port } = server.address() as AddressInfo;

  return {
    port,
    url: `http://127.0.0.1:${port}`,
    get count() {
      return count;
    },
    requests,
    nextRequest() {
      const request = unread.shift();
      return request ? Promise.resolve(request) : new Promise((resolve) => waiting.push(resolve));
    },
    async [Symbol.asyncDispose]() {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function parseRequest(parts: {
  style: LlmStyle;
  path: string;
  incoming: IncomingMessage;
  text: string;
  response: ServerResponse;
}): LlmRequest {
  const body = requestBody.parse(JSON.parse(parts.text));
  const content = body.messages.at(-1)?.content ?? '';
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(parts.incoming.headers)) headers[name] = String(value);
  return {
    style: parts.style,
    path: parts.path,
    headers,
    body,
    model: body.model,
    stream: body.stream ?? parts.style === 'ollama',
    tools: body.tools.map((tool) => tool.function?.name ?? tool.name ?? ''),
    last: typeof content === 'string' ? content : JSON.stringify(content),
    ended: new Promise((resolve) => {
      parts.response.once('close', () => resolve(parts.response.writableFinished ? 'answered' : 'closed'));
    }),
  };
}

function serveLists(path: string, response: ServerResponse, models: readonly ListedModel[]): void {
  const data = listOf(path, models);
  response.writeHead(data === undefined ? 404 : 200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(data ?? { error: 'no such path' }));
}

function listOf(path: string, models: readonly ListedModel[]): object | undefined {
  if (path === '/api/version') return { version: '0.12.0' };
  if (path === '/v1/models') return { object: 'list', data: models.map(({ name }) => ({ id: name, object: 'model' })) };
  if (path !== '/api/tags') return undefined;
  const listed = models.map(({ name, tools }) => ({
    name,
    model: name,
    size: 1,
    ...(tools === undefined ? {} : { capabilities: ['completion', ...(tools ? ['tools'] : [])] }),
  }));
  return { models: listed };
}

function hasKey(incoming: IncomingMessage, key: string): boolean {
  return incoming.headers.authorization === `Bearer ${key}` || incoming.headers['x-api-key'] === key;
}

async function readBody(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new Error(`The request is larger than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
