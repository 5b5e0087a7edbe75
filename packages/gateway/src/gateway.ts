import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { getRequestListener, type HttpBindings } from '@hono/node-server';
import { SkeinError } from '@skein/protocol';
import { type Context, Hono } from 'hono';
import { type Assets, assetResponse } from './assets.ts';
import type { GatewayBackend, TurnEvent } from './backend.ts';
import { callEvents } from './call-events.ts';
import { FailureLimit } from './failure-limit.ts';
import { errorResponse, methodRefused } from './http-error.ts';
import { readJsonBody } from './json-body.ts';
import { GATEWAY_LIMITS, type GatewayLimits } from './limits.ts';
import { LineStream } from './line-stream.ts';
import { OpenStreams } from './open-streams.ts';
import { PAGE_HEADERS } from './page-headers.ts';
import { askRequest, callRequest, confirmRequest, emptyRequest, messageRequest } from './requests.ts';
import { foreignOrigin, hostNameOf } from './same-origin.ts';
import { createTokenCheck } from './token.ts';

/** Where the gateway tells what it refused and what failed; a pino logger fits. */
export interface GatewayLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface GatewayParts {
  readonly backend: GatewayBackend;
  /** The bearer token every /api request must carry; 16 characters at least. */
  readonly token: string;
  /** Names and addresses this node may be reached by, without port: `localhost`, `127.0.0.1`, `[::1]`. */
  readonly allowedHosts: readonly string[];
  /** The page's files, from `readAssets`. */
  readonly assets: Assets;
  readonly now: () => number;
  readonly log: GatewayLog;
  readonly limits?: Partial<GatewayLimits>;
}

export interface Gateway extends AsyncDisposable {
  /** Answers one request; `env` is what `@hono/node-server` hands over. */
  fetch(request: Request, env: HttpBindings): Response | Promise<Response>;
  /** For `node:http`'s `createServer`. WebSocket upgrades are not its business. */
  readonly listener: (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void>;
  /** Answers being streamed just now. */
  readonly openStreams: number;
}

type GatewayContext = Context<{ Bindings: HttpBindings }>;

/**
 * The HTTP door of a node. Disposing ends the open streams; the server itself belongs to the host.
 * @throws SkeinError `invalid` for a token that can be guessed or an entry that is no host name.
 */
export function createGateway(parts: GatewayParts): Gateway {
  const { backend, log, now } = parts;
  const limits = { ...GATEWAY_LIMITS, ...parts.limits };
  const streams = new OpenStreams({ max: limits.maxStreams });
  const app = new Hono<{ Bindings: HttpBindings }>();
  const door = createDoor({ ...parts, limits });

  app.use(async (context, next) => {
    const refusal = door(context);
    if (refusal === null) await next();
    else context.res = refusal;
    for (const [name, value] of Object.entries(PAGE_HEADERS)) context.res.headers.set(name, value);
    if (!context.res.headers.has('Cache-Control')) context.res.headers.set('Cache-Control', 'no-store');
  });

  const json = (path: string, answer: (context: GatewayContext) => object) => {
    app.get(path, (context) => context.json(answer(context)));
    app.all(path, (context) => methodRefused(context.req.method, 'GET'));
  };
  const post = (path: string, answer: (context: GatewayContext) => Promise<Response>) => {
    app.post(path, answer);
    app.all(path, (context) => methodRefused(context.req.method, 'POST'));
  };
  const stream = (context: GatewayContext, open: (signal: AbortSignal) => AsyncIterable<object>, greet: boolean): Response => {
    const controller = streams.take();
    try {
      return new LineStream({
        source: open(controller.signal),
        controller,
        limits,
        now,
        disconnect: () => context.env.outgoing.destroy(),
        failed: (error) => reportFailure(log, error, context.req.path),
        ended: () => streams.release(controller),
      }).toResponse(greet);
    } catch (thrown) {
      streams.release(controller);
      throw thrown;
    }
  };

  json('/health', () => ({ status: 'ok', protocol: 'skein' }));
  json('/api/status', () => backend.status());
  json('/api/peers', () => ({ peers: backend.peers() }));
  json('/api/tools', () => ({ tools: backend.tools() }));
  json('/api/sessions', () => ({ sessions: backend.sessions() }));
  json('/api/sessions/:id', (context) => {
    const id = context.req.param('id') ?? '';
    return { id, messages: backend.history(id), tasks: backend.openTasks(id) };
  });
  json('/api/net', () => backend.net());
  app.get('/api/net/messages', (context) => context.json({ messages: backend.messages() }));
  app.post('/api/net/messages', async (context) => {
    const request = await readJsonBody(context.req.raw, messageRequest, limits);
    return context.json(await backend.sendMessage(request, { signal: context.req.raw.signal }));
  });
  app.all('/api/net/messages', (context) => methodRefused(context.req.method, 'GET or POST'));
  json('/api/net/messages/:peer', (context) => ({ messages: backend.messages(context.req.param('peer') ?? '') }));
  json('/api/tasks', () => ({ tasks: backend.tasks() }));
  json('/api/tasks/:id', (context) => backend.task(context.req.param('id') ?? ''));
  app.get('/api/tasks/:id/events', (context) =>
    stream(context, (signal) => withheld(backend.watchTask(context.req.param('id'), { signal })), false),
  );
  app.all('/api/tasks/:id/events', (context) => methodRefused(context.req.method, 'GET'));
  for (const [verb, change] of [
    ['cancel', (id: string) => backend.cancelTask(id)],
    ['retry', (id: string) => backend.retryTask(id)],
  ] as const) {
    post(`/api/tasks/:id/${verb}`, async (context) => {
      await readJsonBody(context.req.raw, emptyRequest, limits);
      return context.json({ state: await change(context.req.param('id') ?? '') });
    });
  }
  post('/api/ask', async (context) => {
    const request = await readJsonBody(context.req.raw, askRequest, limits);
    const turn = { sessionId: randomUUID(), ...request };
    return stream(context, (signal) => withheld(backend.ask(turn, { signal })), false);
  });
  post('/api/confirm', async (context) => {
    const { id, approve } = await readJsonBody(context.req.raw, confirmRequest, limits);
    if (!(await backend.confirm(id, approve))) {
      throw new SkeinError(`Nothing with the id "${id}" waits to be confirmed; it may have been answered or stopped`, {
        code: 'not-found',
      });
    }
    return context.json({ ok: true });
  });
  post('/api/call', async (context) => {
    const request = await readJsonBody(context.req.raw, callRequest, limits);
    const maxPending = limits.maxPendingOutput;
    return stream(context, (signal) => callEvents({ backend, request, signal, maxPending }), false);
  });
  app.get('/api/events', (context) => stream(context, (signal) => backend.events({ signal }), true));
  app.all('/api/events', (context) => methodRefused(context.req.method, 'GET'));

  app.get('*', (context) => {
    const asset = parts.assets.get(context.req.path);
    if (asset !== undefined) return assetResponse(asset, context.req.raw);
    if (context.req.path === '/') {
      throw new SkeinError('The page is not built; `npm run build -w packages/dashboard` builds it', { code: 'unavailable' });
    }
    throw new SkeinError('There is nothing here', { code: 'not-found' });
  });
  app.all('*', (context) => methodRefused(context.req.method, 'GET, HEAD'));
  app.onError((thrown, context) => {
    const error = SkeinError.from(thrown);
    reportFailure(log, error, context.req.path);
    const isForm = error.code === 'unsupported' && context.req.method === 'POST';
    return errorResponse(error, isForm ? { status: 415 } : {});
  });

  const listener = getRequestListener((request, env) => app.fetch(request, env), {
    // The library would otherwise put its own Request and Response in place of everybody's.
    overrideGlobalObjects: false,
    errorHandler: (thrown) => errorResponse(new SkeinError('The request is malformed', { code: 'invalid', cause: thrown })),
  });
  return {
    fetch: (request, env) => app.fetch(request, env),
    listener,
    get openStreams() {
      return streams.size;
    },
    [Symbol.asyncDispose]: async () => streams.close(),
  };
}

/** Door 4: who may ask anything at all. Returns the refusal, or null. */
function createDoor(parts: GatewayParts & { readonly limits: GatewayLimits }): (context: GatewayContext) => Response | null {
  const { log } = parts;
  const isRight = createTokenCheck(parts.token);
  const failures = new FailureLimit(parts);
  const hosts = new Set(parts.allowedHosts.map(parseAllowedHost));

  return (context) => {
    const { req } = context;
    const address = context.env.incoming.socket.remoteAddress ?? 'unknown';
    const foreign = foreignOrigin(
      {
        method: req.method,
        path: req.path,
        host: req.header('host'),
        origin: req.header('origin'),
        fetchSite: req.header('sec-fetch-site'),
        fetchMode: req.header('sec-fetch-mode'),
        fetchDest: req.header('sec-fetch-dest'),
      },
      hosts,
    );
    if (foreign !== null) {
      log.warn({ address, method: req.method }, 'foreign request refused');
      return errorResponse(foreign);
    }
    if (req.url.includes('?')) {
      return errorResponse(
        new SkeinError('No path takes a query; a token belongs in the Authorization header', { code: 'invalid' }),
      );
    }
    if (req.path !== '/api' && !req.path.startsWith('/api/')) return null;
    const lockedForMs = failures.lockedForMs(address);
    if (lockedForMs > 0) {
      return errorResponse(
        new SkeinError('Too many wrong tokens came from this address', { code: 'busy', retryAfterMs: lockedForMs }),
      );
    }
    const verdict = isRight(req.header('authorization'));
    if (verdict === 'wrong') {
      failures.failed(address);
      log.warn({ address }, 'wrong token refused');
    }
    if (verdict !== 'right') {
      return errorResponse(
        new SkeinError(`The token is ${verdict}: send it as Authorization: Bearer <token>`, { code: 'unauthenticated' }),
      );
    }
    // A HEAD would run the GET and throw its answer away.
    return req.method === 'HEAD' ? methodRefused('HEAD', 'GET or POST') : null;
  };
}

function parseAllowedHost(entry: string): string {
  const name = hostNameOf(entry.includes(':') && !entry.startsWith('[') && entry.split(':').length > 2 ? `[${entry}]` : entry);
  if (name === undefined) {
    throw new SkeinError(`"${entry}" is not a host name: expected one like localhost or [::1]`, { code: 'invalid' });
  }
  return name;
}

/** A turn's events, the text of an internal error left out. */
async function* withheld(events: AsyncIterable<TurnEvent>): AsyncGenerator<TurnEvent> {
  for await (const event of events) {
    if (event.type !== 'error') yield event;
    else yield { type: 'error', ...new SkeinError(event.message, event).toPublic() };
  }
}

function reportFailure(log: GatewayLog, error: SkeinError, path: string): void {
  if (error.code === 'internal') log.error({ path, err: error.cause ?? error }, 'request failed');
  else log.info({ path, code: error.code }, 'request refused');
}
