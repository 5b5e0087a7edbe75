import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type AgentEvent, connectToRunning, dataDir, type GatewayClient, loadConfig } from '@skein/host';
import { freePorts } from '@skein/testing';
import { expect } from 'vitest';
import { type Outcome, runHere } from '../run-here.ts';
import { type Line, SkeinProcess, TempDir } from '../skein-process.ts';

const EXAMPLES = fileURLToPath(new URL('../../../../examples', import.meta.url));
const CONFIG = 'skein.config.json';
const WAIT_MS = 15_000;
/** How long the nodes have to end by themselves. */
const END_MS = 5_000;

/** Changes the text of a config, as somebody who edits it would. */
export type Edit = (text: string) => string;

export interface ExampleOptions {
  /** Edits the configs before the start, by node name. */
  readonly edit?: Readonly<Record<string, Edit>>;
  readonly env?: Readonly<Record<string, string>>;
}

/** Gives a node a scripted model. */
export function thinksWith(llm: { readonly url: string }): Edit {
  return withBrain({ provider: 'openai-compatible', model: 'scripted', baseUrl: `${llm.url}/v1` });
}

function withBrain(brain: object): Edit {
  return (text) => text.replace(/"name": "[^"]*",/, (name) => `${name} "brain": ${JSON.stringify(brain)},`);
}

/** An example as a reader runs it: its folder (copied, on ports of its own), by the command of its README. */
export class ExampleNetwork implements AsyncDisposable {
  readonly #dir: TempDir;
  readonly #name: string;
  readonly #nodes: readonly string[];
  readonly #run: SkeinProcess;
  readonly #pids = new Map<string, number>();
  readonly #started: SkeinProcess[] = [];

  private constructor(parts: { dir: TempDir; name: string; nodes: readonly string[]; run: SkeinProcess }) {
    this.#dir = parts.dir;
    this.#name = parts.name;
    this.#nodes = parts.nodes;
    this.#run = parts.run;
  }

  /** Resolves when all nodes are connected to their peers. */
  static async start(name: string, { edit = {}, env = {} }: ExampleOptions = {}): Promise<ExampleNetwork> {
    const dir = new TempDir();
    cpSync(path.join(EXAMPLES, name), path.join(dir.path, name), {
      recursive: true,
      filter: (from) => path.basename(from) !== '.skein',
    });
    const nodes = await adapt(path.join(dir.path, name), edit);
    const run = new SkeinProcess([path.join(dir.path, name), '--json', '--exit-with-parent'], {
      cwd: dir.path,
      input: 'open',
      env,
      wrap: ([node, conditions = '', , ...args]) => [node, conditions, path.join(EXAMPLES, 'run.ts'), ...args],
    });
    const network = new ExampleNetwork({ dir, name, nodes, run });
    try {
      const { nodes: running } = await run.line(({ type }) => type === 'connected');
      // Proven: this is how examples/run.ts lists them.
      for (const { name: node, pid } of running as { name: string; pid: number }[]) network.#pids.set(node, pid);
      return network;
    } catch (error) {
      await network[Symbol.asyncDispose]();
      throw error;
    }
  }

  folder(node: string): string {
    return path.join(this.#dir.path, this.#name, node);
  }

  /** The running node's API. */
  client(node: string): GatewayClient {
    const client = connectToRunning(dataDir(path.join(this.folder(node), '.skein')));
    if (client === undefined) throw new Error(`${node} does not run`);
    return client;
  }

  /** Resolves with the first line of a node that fits, past ones included. */
  line(node: string, fits: (line: Line) => boolean): Promise<Line> {
    return this.#run.line((line) => line.node === node && fits(line));
  }

  /** Resolves when a node can use these tools, or more. */
  async tools(node: string, ...names: readonly string[]): Promise<void> {
    const offered = async () => (await this.client(node).tools()).map(({ name }) => name);
    await expect.poll(offered, { timeout: WAIT_MS }).toEqual(expect.arrayContaining([...names]));
  }

  /** Resolves when a node knows of so many brains of peers that it may use. */
  async brains(node: string, count: number): Promise<void> {
    const brains = async () => (await this.client(node).peers()).filter(({ brain }) => brain !== null).length;
    await expect.poll(brains, { timeout: WAIT_MS }).toBe(count);
  }

  /** A whole turn; the last event is its answer or error. */
  async ask(node: string, text: string, sessionId = 'test'): Promise<AgentEvent[]> {
    const events: AgentEvent[] = [];
    for await (const event of this.client(node).ask({ text, sessionId, interactive: false })) {
      if (event.type !== 'task-accepted') events.push(event);
    }
    return events;
  }

  /** Runs the README's commands that hold this text, one after the other, as they stand there but with `--json`. */
  async readme(text: string): Promise<Outcome> {
    const commands = this.commands().filter(({ line }) => line.includes(text));
    const [command] = commands;
    if (command === undefined || commands.length > 1) throw new Error(`${commands.length} commands of the README hold ${text}`);
    return await runHere(this.folder(command.node), [...command.args, '--json']);
  }

  /** The README's commands. */
  commands(): readonly { readonly node: string; readonly args: readonly string[]; readonly line: string }[] {
    const readme = readFileSync(path.join(EXAMPLES, this.#name, 'README.md'), 'utf8');
    return [...readme.matchAll(/^npx skein -C examples\/(\S+) (.*)$/gm)].map(([line, folder = '', rest = '']) => {
      const node = path.relative(this.#name, folder);
      if (!this.#nodes.includes(node)) throw new Error(`The README names a folder that is not there: ${line}`);
      const args = [...rest.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
        ([, double, single, bare]) => double ?? single ?? bare ?? '',
      );
      return { node, args, line };
    });
  }

  /** Ends one node at once, as a crash does. */
  async kill(node: string): Promise<void> {
    const pid = this.#pids.get(node);
    if (pid === undefined) throw new Error(`${node} was not started`);
    process.kill(pid, 'SIGKILL');
    await this.line(node, ({ type }) => type === 'ended');
  }

  /** Starts a node again that was killed, by `skein start`. */
  async restart(node: string, env: Readonly<Record<string, string>> = {}): Promise<SkeinProcess> {
    const again = new SkeinProcess(['-C', this.folder(node), 'start', '--json', '--exit-with-parent'], {
      cwd: this.#dir.path,
      env,
      input: 'open',
    });
    this.#started.push(again);
    await again.line(({ type }) => type === 'ready');
    return again;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const again of this.#started) await again[Symbol.asyncDispose]();
    this.#run.child.kill('SIGTERM');
    const late = setTimeout(() => this.#run.child.kill('SIGKILL'), END_MS);
    await this.#run.result();
    clearTimeout(late);
    this.#dir[Symbol.dispose]();
  }
}

/** Gives each node a free port, a brain that needs no model where the example leaves the choice open, and the test's edits. */
async function adapt(folder: string, edit: Readonly<Record<string, Edit>>): Promise<readonly string[]> {
  const nodes = readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  const configs = nodes.map((node) => loadConfig({ cwd: path.join(folder, node), env: {} }).config);
  const free = await freePorts(nodes.length);
  const moved = new Map(configs.map(({ net }, index) => [String(net.port), String(free[index])]));
  for (const [index, node] of nodes.entries()) {
    const file = path.join(folder, node, CONFIG);
    const text = readFileSync(file, 'utf8').replaceAll(/\b97\d\d\b/g, (port) => moved.get(port) ?? port);
    const edited = edit[node]?.(text) ?? text;
    const hasBrain = configs[index]?.brain !== undefined || edited.includes('"brain":');
    writeFileSync(file, hasBrain ? edited : withBrain({ provider: 'intents' })(edited));
  }
  return nodes;
}
