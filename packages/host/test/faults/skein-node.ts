import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { TurnEvent } from '@skein/gateway';
import { createGatewayClient, type GatewayClient, type NodeEvent } from '@skein/gateway';
import type { PeerId } from '@skein/protocol';
import type { ConfigInput } from '../../src/config/schema.ts';
import { ProcessNode, ProcessNodes } from './process-node.ts';

const MAIN = fileURLToPath(new URL('../../../cli/src/main.ts', import.meta.url));
const SHIFT = new URL('./shift-clock.ts', import.meta.url);
const WAIT_MS = 60_000;
const LOOK_MS = 50;

export interface NodeOptions {
  readonly clockMs?: number;
  readonly env?: Readonly<Record<string, string>>;
}

interface NodeParts extends Required<NodeOptions> {
  readonly name: string;
  readonly cwd: string;
  readonly config: ConfigInput;
}

/** A folder for the nodes of one test; what still runs of them is killed when it goes. */
export class SkeinNodes extends ProcessNodes {
  /** A node that is not started yet. `clockMs`: by how much its machine's clock is wrong; `env`: what its process is given. */
  make(name: string, config: ConfigInput, { clockMs = 0, env = {} }: NodeOptions = {}): SkeinNode {
    return this.keep(new SkeinNode({ name, cwd: path.join(this.root, name), config, clockMs, env }));
  }
}

/** A `skein start` of its own. */
export class SkeinNode extends ProcessNode {
  readonly #cwd: string;
  readonly #config: ConfigInput;
  readonly #clockMs: number;
  readonly #env: Readonly<Record<string, string>>;
  readonly #events: NodeEvent[] = [];
  readonly #waiting = new Set<() => void>();

  constructor(parts: NodeParts) {
    super(parts.name, path.join(parts.cwd, '.skein'));
    this.#cwd = parts.cwd;
    this.#config = parts.config;
    this.#clockMs = parts.clockMs;
    this.#env = parts.env;
  }

  get id(): PeerId {
    return this.identity.id;
  }

  /** Its API. */
  get client(): GatewayClient {
    const token = readFileSync(this.file('page_token'), 'utf8').trim();
    return createGatewayClient({ baseUrl: `http://127.0.0.1:${this.port}`, token, fetch });
  }

  get events(): readonly NodeEvent[] {
    return this.#events;
  }

  override async start(): Promise<void> {
    const { net, ...rest } = this.#config;
    const config = { name: this.name, log: { level: 'silent' }, ...rest, net: { host: '127.0.0.1', ...net, port: this.port } };
    writeFileSync(path.join(this.#cwd, 'skein.config.json'), JSON.stringify(config));
    const shift = this.#clockMs === 0 ? [] : [`--import=${SHIFT.href}?ms=${this.#clockMs}`];
    const child = spawn(
      process.execPath,
      ['--conditions=skein-source', ...shift, MAIN, 'start', '--json', '--exit-with-parent'],
      {
        cwd: this.#cwd,
        env: { NO_COLOR: '1', ...this.#env },
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    );
    const ended = this.runsIn(child);
    const ready = Promise.withResolvers<void>();
    createInterface({ input: child.stdout }).on('line', (line) => {
      const event = JSON.parse(line);
      if (event.type === 'ready') {
        this.port = event.port;
        ready.resolve();
        return;
      }
      this.#events.push(event);
      for (const look of this.#waiting) look();
    });
    await Promise.race([ready.promise, ended]);
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
  async ask(text: string, sessionId = 'test'): Promise<TurnEvent | undefined> {
    let last: TurnEvent | undefined;
    for await (const event of this.client.ask({ text, sessionId, interactive: false })) last = event;
    return last;
  }
}

/** Resolves when something holds; it looks again and again, since not all that a process does is told by an event. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, timeoutMs = WAIT_MS): Promise<void> {
  for (const startedMs = performance.now(); !(await holds()); ) {
    if (performance.now() - startedMs > timeoutMs) throw new Error(`Not within ${timeoutMs} ms: ${what}`);
    await wait(LOOK_MS);
  }
}

/** The node that leads, as it says itself and all of these say. */
export async function untilLed(nodes: readonly SkeinNode[]): Promise<SkeinNode> {
  let leader: SkeinNode | undefined;
  await until('one leads', async () => {
    const views = await Promise.all(nodes.map(async (node) => (await node.client.net()).leader));
    leader = nodes.find((_, place) => views[place]?.isMe === true);
    return views.every((view) => view?.leader?.id === leader?.id && leader !== undefined);
  });
  if (leader === undefined) throw new Error('one leads');
  return leader;
}
