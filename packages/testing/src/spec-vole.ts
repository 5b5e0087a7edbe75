import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createPrivateKey,
  createPublicKey,
  decapsulate,
  diffieHellman,
  encapsulate,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
  randomUUID,
  sign,
  verify,
} from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import WebSocket, { WebSocketServer } from 'ws';
import { Waiter } from './waiter.ts';

/** A message as it stands on the wire. */
export interface Wire {
  version: number;
  id: string;
  type: string;
  from: string;
  to: string;
  timestamp: number;
  signature: string;
  sigPq?: string;
  // biome-ignore lint/suspicious/noExplicitAny: what a test looks into is what the test is about
  payload: any;
}

interface Known {
  readonly key: KeyObject;
  readonly pq?: KeyObject | undefined;
  endpoint: string;
  xPublicKey?: string;
  mlkemPublicKey?: string;
  ws?: WebSocket | undefined;
}

export interface SpecVoleOptions {
  readonly name?: string;
  readonly seed?: string;
  /** Whether it has ML-DSA, X25519 and ML-KEM keys. */
  readonly modern?: boolean;
  readonly encrypt?: boolean;
  /** Announces where it listens, so that others may dial back. */
  readonly announceEndpoint?: boolean;
  readonly allowBrain?: boolean;
  /** What its brain answers to a task; what it is given is the end of the task. */
  readonly think?: (input: string) => unknown;
  /** What it finds in its memory; without, a search stays unanswered, as in the program. */
  readonly remember?: (query: string) => readonly object[];
  readonly tools?: Readonly<Record<string, (params: Record<string, unknown>) => unknown>>;
  readonly now?: () => number;
  /** Refuses WebSockets, as a proxy in front of it may. */
  readonly noWebSocket?: boolean;
  /** Says which ping it answers, and what it is: what nodes of ours add to the protocol. */
  readonly echoes?: boolean;
}

const OPEN = [
  'discover',
  'discover:response',
  'ping',
  'pong',
  'sealed:direct',
  'leader:heartbeat',
  'leader:claim',
  'leader:ack',
];

/**
 * A node that behaves as a VoleNet node is described, with nothing of this package in it: it answers an announcement
 * twice, dials back, sends on the socket it bound last, never refuses aloud, and does not check whom a message is for.
 */
export class SpecVole {
  readonly name: string;
  readonly id: string;
  readonly line: string;
  readonly publicKey: KeyObject;
  readonly received = new Waiter<Wire>();
  /** Everything that left, on whatever way. */
  readonly sent = new Waiter<Wire>();
  readonly bound = new Waiter<string>();
  port = 0;
  readonly #options: SpecVoleOptions;
  readonly #privateKey: KeyObject;
  readonly #pq: { readonly privateKey: KeyObject; readonly publicKey: KeyObject } | undefined;
  readonly #x: { readonly privateKey: KeyObject; readonly publicKey: KeyObject } | undefined;
  readonly #kem: { readonly privateKey: KeyObject; readonly publicKey: KeyObject } | undefined;
  readonly #known = new Map<string, Known>();
  readonly #sockets = new Set<WebSocket>();
  readonly #seen = new Set<string>();
  #server: Server | undefined;

  constructor(options: SpecVoleOptions = {}) {
    this.#options = options;
    this.name = options.name ?? 'vole';
    const seed = options.seed ?? randomBytes(32).toString('hex');
    const der = Buffer.from(`302e020100300506032b657004220420${seed}`, 'hex');
    this.#privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    this.publicKey = createPublicKey(this.#privateKey);
    const base64 = spki(this.publicKey);
    this.id = createHash('sha256').update(base64).digest('hex').slice(0, 16);
    if (options.modern) {
      this.#pq = generateKeyPairSync('ml-dsa-65');
      this.#x = generateKeyPairSync('x25519');
      this.#kem = generateKeyPairSync('ml-kem-768');
    }
    this.line = `vole-ed25519 ${base64} ${this.name}${this.#pq === undefined ? '' : ` ${spki(this.#pq.publicKey)}`}`;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Writes a key into `authorized_voles`. */
  trust(line: string): void {
    const [, key = '', , pq] = line.split(' ');
    const publicKey = createPublicKey({ key: Buffer.from(key, 'base64'), format: 'der', type: 'spki' });
    const id = createHash('sha256').update(key).digest('hex').slice(0, 16);
    this.#known.set(id, {
      key: publicKey,
      // A runtime without ML-DSA reads the fourth word as nothing.
      pq:
        pq === undefined || !this.#options.modern
          ? undefined
          : createPublicKey({ key: Buffer.from(pq, 'base64'), format: 'der', type: 'spki' }),
      endpoint: '',
    });
  }

  async start(port = 0): Promise<this> {
    const server = createServer((request, response) => {
      const json = (status: number, body: unknown) => {
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end(JSON.stringify(body));
      };
      if (request.url === '/health') return json(200, { status: 'ok', protocol: 'volenet', version: 1 });
      if (request.url === '/volenet/info') {
        return json(200, { ok: true, protocol: 'volenet', version: 1, publicKey: this.line, peers: [] });
      }
      if (request.url !== '/volenet/message') return json(404, {});
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const message: Wire = JSON.parse(Buffer.concat(chunks).toString());
        if (!this.#verified(message)) return json(401, { error: 'unverified' });
        const inline =
          message.type === 'discover' ? this.make('discover:response', message.from, this.announcement()) : undefined;
        this.#handle(message, undefined);
        return json(200, inline === undefined ? { ok: true } : { ok: true, response: inline });
      });
    });
    const wss = new WebSocketServer({ noServer: true, maxPayload: 1_000_000 });
    server.on('upgrade', (request, socket, head) => {
      if (this.#options.noWebSocket) socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
      else wss.handleUpgrade(request, socket, head, (ws) => this.#listen(ws, undefined));
    });
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    this.port = (server.address() as AddressInfo).port;
    this.#server = server;
    return this;
  }

  /** POSTs an announcement there, as it does for every configured peer, and takes the answer. */
  async announceTo(url: string): Promise<Wire | undefined> {
    if (!(await fetch(`${url}/health`)).ok) throw new Error('unreachable');
    const { status, body } = await this.post(url, this.make('discover', '*', this.announcement()));
    const response: Wire | undefined = status === 200 ? body.response : undefined;
    if (response !== undefined && this.#verified(response)) this.#handle(response, undefined);
    return response;
  }

  /** Opens a socket there, and signs a ping on it at once. */
  async dial(id: string, url: string): Promise<WebSocket> {
    const ws = new WebSocket(url.replace(/^http/, 'ws'));
    await new Promise((resolve, reject) => ws.once('open', resolve).once('error', reject));
    this.#listen(ws, id);
    const known = this.#known.get(id);
    if (known !== undefined) known.ws = ws;
    this.say(ws, this.make('ping', id, { timestamp: this.now() }));
    return ws;
  }

  announcement() {
    return {
      name: this.name,
      publicKey: this.line,
      endpoint: this.#options.announceEndpoint ? this.url : '',
      capabilities: ['bench-paw'],
      role: 'worker',
      version: '3.0.0',
      ...(this.#options.echoes ? { software: 'skein/0.1.0' } : {}),
      ...(this.#x === undefined ? {} : { xPublicKey: spki(this.#x.publicKey) }),
      ...(this.#kem === undefined ? {} : { mlkemPublicKey: spki(this.#kem.publicKey) }),
    };
  }

  now(): number {
    return this.#options.now?.() ?? Date.now();
  }

  /** A signed message. */
  make(type: string, to: string, payload: unknown, changes: Partial<Wire> = {}): Wire {
    const message = { version: 2, id: randomUUID(), type, from: this.id, to, timestamp: this.now(), payload, ...changes };
    const text = Buffer.from(signedText(message));
    return {
      ...message,
      signature: sign(null, text, this.#privateKey).toString('base64'),
      ...(this.#pq === undefined ? {} : { sigPq: sign(null, text, this.#pq.privateKey).toString('base64') }),
    };
  }

  /** The message in a box for one who announced keys. */
  seal(to: string, message: Wire): Wire {
    const { xPublicKey = '', mlkemPublicKey = '' } = this.#known.get(to) ?? {};
    const load = (text: string) => createPublicKey({ key: Buffer.from(text, 'base64'), format: 'der', type: 'spki' });
    const ephemeral = generateKeyPairSync('x25519');
    const shared = diffieHellman({ privateKey: ephemeral.privateKey, publicKey: load(xPublicKey) });
    const kem = encapsulate(load(mlkemPublicKey));
    const aad = `${this.id}|${to}`;
    const secret = Buffer.concat([shared, kem.sharedKey]);
    const key = Buffer.from(hkdfSync('sha256', secret, '', `volenet-seal-v2|${aad}`, 32));
    const nonce = randomBytes(12);
    const plain = Buffer.from(JSON.stringify(message));
    const cipher = createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 });
    cipher.setAAD(Buffer.from(aad), { plaintextLength: plain.length });
    const c = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    return this.make('sealed:direct', to, {
      box: {
        epk: spki(ephemeral.publicKey),
        kem: kem.ciphertext.toString('base64'),
        n: nonce.toString('base64'),
        c: c.toString('base64'),
      },
    });
  }

  /** Sends to a peer on the socket bound last, else over HTTP to where it says it is, else not at all. */
  async send(type: string, to: string, payload: unknown): Promise<Wire> {
    const known = this.#known.get(to);
    const plain = this.make(type, to, payload);
    const canSeal = known?.xPublicKey !== undefined && known.mlkemPublicKey !== undefined;
    const message = this.#options.encrypt && canSeal && !OPEN.includes(type) ? this.seal(to, plain) : plain;
    if (known?.ws?.readyState === WebSocket.OPEN) this.say(known.ws, message);
    else if (known !== undefined && known.endpoint !== '') await this.post(known.endpoint, message);
    return plain;
  }

  say(ws: WebSocket, message: Wire): void {
    ws.send(JSON.stringify(message));
    this.sent.push(message);
  }

  async post(url: string, message: unknown): Promise<{ status: number; body: { response?: Wire } }> {
    const response = await fetch(`${url}/volenet/message`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: typeof message === 'string' ? message : JSON.stringify(message),
    });
    return { status: response.status, body: response.status === 404 ? {} : ((await response.json()) as { response?: Wire }) };
  }

  /** Cuts every socket, as a process that is killed does. */
  cut(): void {
    for (const ws of this.#sockets) ws.terminate();
  }

  async stop(): Promise<void> {
    this.cut();
    this.#server?.close();
    this.#server?.closeAllConnections();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #listen(ws: WebSocket, dialled: string | undefined): void {
    let owner = dialled;
    this.#sockets.add(ws);
    ws.on('error', () => ws.terminate());
    ws.on('close', () => this.#sockets.delete(ws));
    ws.on('message', (data) => {
      const message: Wire = JSON.parse(data.toString());
      if (!this.#verified(message)) return;
      if (owner === undefined) {
        owner = message.from;
        const known = this.#known.get(owner);
        if (known !== undefined) known.ws = ws;
        this.bound.push(owner);
        this.say(ws, this.make('ping', owner, { timestamp: this.now() }));
      } else if (dialled === undefined && message.from !== owner) return;
      this.#handle(message, ws);
    });
  }

  #verified(message: Wire): boolean {
    const known = this.#known.get(message.from);
    if (known === undefined || message.version !== 2) return false;
    const age = this.now() - message.timestamp;
    if (age > 60_000 || age < -5_000) return false;
    const text = Buffer.from(signedText(message));
    if (!verify(null, text, known.key, Buffer.from(message.signature, 'base64'))) return false;
    if (known.pq !== undefined) {
      if (message.sigPq === undefined || !verify(null, text, known.pq, Buffer.from(message.sigPq, 'base64'))) return false;
    }
    const seen = `${message.from}:${message.id}`;
    if (this.#seen.has(seen)) return false;
    this.#seen.add(seen);
    return true;
  }

  #handle(message: Wire, ws: WebSocket | undefined): void {
    this.received.push(message);
    const { from, payload, type } = message;
    switch (type) {
      case 'discover':
      case 'discover:response': {
        const known = this.#known.get(from);
        if (known === undefined) return;
        Object.assign(known, {
          endpoint: payload.endpoint,
          xPublicKey: payload.xPublicKey,
          mlkemPublicKey: payload.mlkemPublicKey,
        });
        if (payload.endpoint !== '' && known.ws?.readyState !== WebSocket.OPEN) {
          this.dial(from, payload.endpoint).catch(() => undefined);
        }
        if (type === 'discover') void this.send('discover:response', from, this.announcement());
        void this.send('tool:list', from, {});
        return;
      }
      case 'ping':
        void this.send('pong', from, { timestamp: this.now(), ...(this.#options.echoes ? { echo: message.id } : {}) });
        return;
      case 'tool:list': {
        const entries = Object.keys(this.#options.tools ?? {}).map((name) => ({
          name,
          description: `does ${name}`,
          pawName: 'bench-paw',
          instanceId: this.id,
          instanceName: this.name,
        }));
        void this.send('tool:list:response', from, entries);
        return;
      }
      case 'tool:call': {
        const tool = this.#options.tools?.[payload.toolName];
        const { callId } = payload;
        if (tool === undefined) {
          void this.send('tool:result', from, { callId, success: false, error: `Tool "${payload.toolName}" not found` });
          return;
        }
        const params = { ...payload.params, __caller: { instanceId: from, name: 'us' } };
        Promise.resolve()
          .then(() => tool(params))
          .then(
            (output) => this.send('tool:result', from, { callId, success: true, output }),
            (error: Error) => this.send('tool:result', from, { callId, success: false, error: error.message }),
          );
        return;
      }
      case 'task:delegate': {
        const { taskId, input } = payload;
        const { allowBrain = false, think = (text: string) => `did: ${text}` } = this.#options;
        if (!allowBrain) {
          void this.send('task:result', from, { taskId, status: 'failed', error: 'Brain access not allowed' });
          return;
        }
        Promise.resolve(input)
          .then(think)
          .then(
            (result) => this.send('task:result', from, { taskId, status: 'completed', result }),
            (error: Error) => this.send('task:result', from, { taskId, status: 'failed', error: error.message }),
          );
        return;
      }
      case 'memory:search': {
        const results = this.#options.remember?.(payload.query);
        const { requestId } = payload;
        if (results === undefined) return;
        void this.send('memory:results', from, { requestId, instanceId: this.id, instanceName: this.name, results });
        return;
      }
      case 'sealed:direct': {
        const inner = this.#unseal(message);
        if (inner !== undefined && inner.from === from && this.#verified(inner)) this.#handle(inner, ws);
        return;
      }
      default:
    }
  }

  #unseal({ from, payload }: Wire): Wire | undefined {
    if (this.#x === undefined || this.#kem === undefined) return undefined;
    const { epk, kem, n, c } = payload.box;
    const from64 = (text: string) => Buffer.from(text, 'base64');
    const publicKey = createPublicKey({ key: from64(epk), format: 'der', type: 'spki' });
    const shared = diffieHellman({ privateKey: this.#x.privateKey, publicKey });
    const secret = Buffer.concat([shared, decapsulate(this.#kem.privateKey, from64(kem))]);
    const aad = `${from}|${this.id}`;
    const key = Buffer.from(hkdfSync('sha256', secret, '', `volenet-seal-v2|${aad}`, 32));
    const sealed = from64(c);
    const decipher = createDecipheriv('chacha20-poly1305', key, from64(n), { authTagLength: 16 });
    decipher.setAAD(Buffer.from(aad), { plaintextLength: sealed.length - 16 });
    decipher.setAuthTag(sealed.subarray(-16));
    return JSON.parse(Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]).toString());
  }
}

/** The text that is signed, in the words of the description. */
function signedText({ id, type, from, to, timestamp, payload }: Omit<Wire, 'signature'>): string {
  const body = payload === null || payload === undefined ? '' : JSON.stringify(payload, sortKeys);
  return ['2', id, type, from, to, String(timestamp), body].join(':');
}

function sortKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1)));
}

function spki(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'der' }).toString('base64');
}
