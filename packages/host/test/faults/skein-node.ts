import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { AgentEvent } from '@skein/agent';
import { createGatewayClient, type GatewayClient, type NodeEvent } from '@skein/gateway';
import { formatTrustLine, loadOrCreateIdentity, parseTrustLine, type TrustOptions } from '@skein/mesh';
import { formatKeyLine, type PeerId } from '@skein/protocol';
import type { ConfigInput } from '../../src/config/schema.ts';

const MAIN = fileURLToPath(new URL('../../../cli/src/main.ts', import.meta.url));
const SHIFT = new URL('./shift-clock.ts', import.meta.url);
const WAIT_MS = 60_000;
const LOOK_MS = 50;

/** A folder for the nodes of one test; what still runs of them is killed when it goes. */
export class SkeinNodes implements AsyncDisposable {
  readonly root = mkdtempSync(path.join(tmpdir(), 'skein-processes-'));
  readonly #nodes: SkeinNode[] = [];

  /** A node that is not started yet. `clockMs`: by how much its machine's clock is wrong. */
  make(name: string, config: ConfigInput, { clockMs = 0 } = {}): SkeinNode {
    const node = new SkeinNode({ name, cwd: path.join(this.root, name), config, clockMs });
    this.#nodes.push(node);
    return node;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.kill()));
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** A `skein start` of its own, to be stopped, killed and started again from its folder. */
export class SkeinNode {
  readonly name: string;
  readonly #cwd: string;
  readonly #config: ConfigInput;
  readonly #clockMs: number;
  readonly #events: NodeEvent[] = [];
  readonly #waiting = new Set<() => void>();
  #child: ChildProcess | undefined;
  #port = 0;

  constructor(parts: { readonly name: string; readonly cwd: string; readonly config: ConfigInput; readonly clockMs: number }) {
    this.name = parts.name;
    this.#cwd = parts.cwd;
    this.#config = parts.config;
    this.#clockMs = parts.clockMs;
    mkdirSync(this.#file(), { recursive: true, mode: 0o700 });
  }

  get keyLine(): string {
    return formatKeyLine(loadOrCreateIdentity(this.#file('key')), this.name);
  }

  get id(): PeerId {
    return loadOrCreateIdentity(this.#file('key')).id;
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.#port}`;
  }

  /** Its API. */
  get client(): GatewayClient {
    const token = readFileSync(this.#file('page_token'), 'utf8').trim();
    return createGatewayClient({ baseUrl: `http://127.0.0.1:${this.#port}`, token, fetch });
  }

  get events(): readonly NodeEvent[] {
    return this.#events;
  }

  trusts(...others: readonly (readonly [SkeinNode, Partial<TrustOptions>])[]): void {
    const lines = others.map(([other, options]) => formatTrustLine({ ...parseTrustLine(other.keyLine), ...options }));
    writeFileSync(this.#file('authorized_peers'), `${lines.join('\n')}\n`, { mode: 0o600 });
  }

  /** Starts it, or starts it again on the port it had. */
  async start(): Promise<void> {
    const { net, ...rest } = this.#config;
    const config = { name: this.name, log: { level: 'silent' }, ...rest, net: { host: '127.0.0.1', ...net, port: this.#port } };
    writeFileSync(path.join(this.#cwd, 'skein.config.json'), JSON.stringify(config));
    const shift = this.#clockMs === 0 ? [] : [`--import=${SHIFT.href}?ms=${this.#clockMs}`];
    const child = spawn(
      process.execPath,
      ['--conditions=skein-source', ...shift, MAIN, 'start', '--json', '--exit-with-parent'],
      {
        cwd: this.#cwd,
        env: { NO_COLOR: '1' },
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    );
    this.#child = child;
    const ready = Promise.withResolvers<void>();
    child.once('exit', (code, signal) => ready.reject(new Error(`${this.name} ended with ${code ?? signal}`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const event = JSON.parse(line);
      if (event.type === 'ready') {
        this.#port = event.port;
        ready.resolve();
        return;
      }
      this.#events.push(event);
      for (const look of this.#waiting) look();
    });
    await ready.promise;
  }

  /** Ends it as a crash does. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  /** Holds it still, as a machine that sleeps; it keeps its sockets. */
  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  /** Resolves with the first event, past or coming, that fits and stands behind the first `after` ones. */
  async event(fits: (event: NodeEvent) => boolean, after = 0): Promise<NodeEvent> {
    const { promise, resolve, reject } = Promise.withResolvers<NodeEvent>();
    const look = () => {
      const found = this.#events.slice(after).find(fits);
      if (found !== undefined) resolve(found);
    };
    const late = setTimeout(() => reject(new Error(`${this.name} did not say so: ${fits.toString()}`)), WAIT_MS);
    this.#waiting.add(look);
    look();
    try {
      return await promise;
    } finally {
      clearTimeout(late);
      this.#waiting.delete(look);
    }
  }

  /** Asks and reads to the end; what the last event was. */
  async ask(text: string, sessionId = 'test'): Promise<AgentEvent | undefined> {
    let last: AgentEvent | undefined;
    for await (const event of this.client.ask({ text, sessionId, interactive: false })) last = event;
    return last;
  }

  #file(...names: readonly string[]): string {
    return path.join(this.#cwd, '.skein', ...names);
  }
}

/** Resolves when something holds; it looks again and again, since not all that a process does is told by an event. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, timeoutMs = WAIT_MS): Promise<void> {
  for (const startedMs = performance.now(); !(await holds()); ) {
    if (performance.now() - startedMs > timeoutMs) throw new Error(`Not within ${timeoutMs} ms: ${what}`);
    await wait(LOOK_MS);
  }
}
