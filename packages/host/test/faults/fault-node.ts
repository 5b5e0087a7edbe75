import { type ChildProcess, fork } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NodeEvent } from '@skein/gateway';
import type { Load, LoadResult, NodeMessage, NodeRequest, NodeSettings, NodeStats } from './messages.ts';
import { findIp } from './namespaces.ts';
import { ProcessNode, ProcessNodes } from './process-node.ts';

const PROGRAM = fileURLToPath(new URL('./node-process.ts', import.meta.url));
const TOOLS = `import { defineTool } from '@skein/agent';
import { z } from 'zod';

const text = z.object({ text: z.string() });
export const echo = defineTool({ name: 'echo', description: 'Gives its input back.', effect: 'read', input: text, run: (input) => input });
export const size = defineTool({
  name: 'size',
  description: 'How long its input is.',
  effect: 'read',
  input: text,
  run: (input) => ({ length: input.text.length }),
});
export const hang = defineTool({
  name: 'hang',
  description: 'Never answers.',
  effect: 'read',
  input: text,
  run: (_input, { signal }) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
});
`;

/** An event of a node and when its process saw it. */
export interface SeenEvent {
  readonly event: NodeEvent;
  readonly atMs: number;
}

export interface FaultNodeOptions extends Partial<Pick<NodeSettings, 'net'>> {
  /** Runs it in that network namespace; `net.host` is where it listens there. */
  readonly namespace?: string;
  /** What its process is given beside what this one has. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A directory for the nodes of one test; what still runs is killed when it goes. */
export class FaultNodes extends ProcessNodes {
  /** A node that is not started yet. */
  make(name: string, options: FaultNodeOptions = {}): FaultNode {
    return this.keep(new FaultNode(name, path.join(this.root, name), options));
  }
}

/** One node in a process of its own, driven over its channel. */
export class FaultNode extends ProcessNode {
  readonly #options: FaultNodeOptions;
  readonly #events: SeenEvent[] = [];
  readonly #waiting = new Set<(seen: SeenEvent) => void>();
  readonly #answers = new Map<number, (message: Extract<NodeMessage, { type: 'answer' }>) => void>();
  #channel: ChildProcess | undefined;
  #requests = 0;

  constructor(name: string, dataDir: string, options: FaultNodeOptions) {
    super(name, dataDir);
    this.#options = options;
    mkdirSync(this.file('tools'), { recursive: true, mode: 0o700 });
    writeFileSync(this.file('tools', 'tools.ts'), TOOLS);
  }

  override async start(): Promise<void> {
    const { namespace, env, ...options } = this.#options;
    const settings = { name: this.name, dataDir: this.dataDir, port: this.port, ...options };
    const inside =
      namespace === undefined
        ? {}
        : { execPath: findIp() ?? 'ip', execArgv: ['netns', 'exec', namespace, process.execPath, '--conditions=skein-source'] };
    const child = fork(PROGRAM, [JSON.stringify(settings)], {
      execArgv: ['--conditions=skein-source'],
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      ...inside,
    });
    this.#channel = child;
    const ended = this.runsIn(child);
    const ready = Promise.withResolvers<void>();
    child.on('message', (message: NodeMessage) => {
      if (message.type === 'ready') {
        this.port = message.port;
        ready.resolve();
      } else if (message.type === 'event') this.#saw(message);
      else {
        this.#answers.get(message.id)?.(message);
        this.#answers.delete(message.id);
      }
    });
    child.once('exit', () => {
      for (const [id, settle] of this.#answers) settle({ type: 'answer', id, error: `${this.name} ended` });
      this.#answers.clear();
    });
    await Promise.race([ready.promise, ended]);
  }

  load(load: Load): Promise<LoadResult> {
    return this.#ask<LoadResult>({ type: 'load', ...load });
  }

  stats(): Promise<NodeStats> {
    return this.#ask<NodeStats>({ type: 'stats' });
  }

  /** The first event since a moment, seen already or coming, of the type and with this peer's name. */
  event<T extends NodeEvent['type']>(
    type: T,
    options: { readonly name?: string; readonly sinceMs: number },
  ): Promise<SeenEvent> {
    const isWanted = ({ event, atMs }: SeenEvent) =>
      event.type === type &&
      atMs >= options.sinceMs &&
      (options.name === undefined || ('name' in event && event.name === options.name));
    const seen = this.#events.find(isWanted);
    if (seen !== undefined) return Promise.resolve(seen);
    return new Promise((resolve) => {
      const look = (next: SeenEvent) => {
        if (!isWanted(next)) return;
        this.#waiting.delete(look);
        resolve(next);
      };
      this.#waiting.add(look);
    });
  }

  /** How often it said so since a moment. */
  count(type: NodeEvent['type'], sinceMs: number): number {
    return this.#events.filter(({ event, atMs }) => event.type === type && atMs >= sinceMs).length;
  }

  /** All of this type, in their order. */
  all(type: NodeEvent['type']): readonly NodeEvent[] {
    return this.#events.map(({ event }) => event).filter((event) => event.type === type);
  }

  /** The latest of this type. */
  last(type: NodeEvent['type']): NodeEvent | undefined {
    return this.#events.findLast(({ event }) => event.type === type)?.event;
  }

  #saw(seen: SeenEvent): void {
    this.#events.push(seen);
    for (const look of this.#waiting) look(seen);
  }

  #ask<T>(request: { readonly type: 'stats' } | ({ readonly type: 'load' } & Load)): Promise<T> {
    const id = ++this.#requests;
    return new Promise((resolve, reject) => {
      this.#answers.set(id, ({ result, error }) => {
        // Proven: node-process.ts answers each request with its own kind of result.
        if (error === undefined) resolve(result as T);
        else reject(new Error(error));
      });
      const message: NodeRequest = { id, ...request };
      this.#channel?.send(message);
    });
  }
}

/** A started node `worker`, a started node `boss` that dials it at `url`, and the worker's tools seen by the boss. */
export async function startFaultPair(
  nodes: FaultNodes,
  urlOf: (worker: FaultNode) => Promise<string> | string = ({ url }) => url,
): Promise<{ readonly worker: FaultNode; readonly boss: FaultNode }> {
  const [worker, boss] = [nodes.make('worker'), nodes.make('boss')];
  worker.trusts([boss.keyLine, { trust: 'tool' }]);
  await worker.start();
  boss.trusts([worker.keyLine, { url: await urlOf(worker) }]);
  await boss.start();
  await boss.event('tools-changed', { sinceMs: 0 });
  return { worker, boss };
}
