import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { formatTrustLine, loadOrCreateIdentity, parseTrustLine, type TrustOptions } from '@skein/mesh';
import { formatKeyLine, type Identity } from '@skein/protocol';

/** A folder for the nodes of one test; what still runs of them is killed when it goes. */
export class ProcessNodes implements AsyncDisposable {
  readonly root = mkdtempSync(path.join(tmpdir(), 'skein-processes-'));
  readonly #nodes: ProcessNode[] = [];

  /** Notes a node that is to end with the folder. */
  protected keep<T extends ProcessNode>(node: T): T {
    this.#nodes.push(node);
    return node;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.kill()));
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** A node with a folder and a process of its own, to be killed, held still and started again. */
export abstract class ProcessNode {
  readonly name: string;
  readonly dataDir: string;
  #child: ChildProcess | undefined;
  /** 0 before the first start, then the same again. */
  port = 0;

  constructor(name: string, dataDir: string) {
    this.name = name;
    this.dataDir = dataDir;
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  }

  /** Starts it, or starts it again on the port it had; resolves when it is ready. */
  abstract start(): Promise<void>;

  get identity(): Identity {
    return loadOrCreateIdentity(this.file('key'));
  }

  get keyLine(): string {
    return formatKeyLine(this.identity, this.name);
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.name} does not run`);
    return pid;
  }

  /** Puts these nodes, or lines of keys, into its trust file, in place of what is there, by one rename as an editor does. */
  trusts(...others: readonly (readonly [ProcessNode | string, Partial<TrustOptions>])[]): void {
    const lines = others.map(([other, options]) => {
      const keyLine = typeof other === 'string' ? other : other.keyLine;
      return formatTrustLine({ ...parseTrustLine(keyLine), assumed: options.trust === undefined, ...options });
    });
    const file = this.file('authorized_peers');
    writeFileSync(`${file}.next`, lines.map((line) => `${line}\n`).join(''), { mode: 0o600 });
    renameSync(`${file}.next`, file);
  }

  /** Ends it as a crash does. */
  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  /** Ends it as the system does that shuts down. */
  stop(): Promise<void> {
    return this.#end('SIGTERM');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }

  /** Holds it still, as a machine that sleeps; it keeps its sockets. */
  freeze(): void {
    process.kill(this.pid, 'SIGSTOP');
  }

  thaw(): void {
    process.kill(this.pid, 'SIGCONT');
  }

  /** A place in its data directory. */
  file(...names: readonly string[]): string {
    return path.join(this.dataDir, ...names);
  }

  /** The process that it runs in now; rejects when that ends. */
  protected runsIn(child: ChildProcess): Promise<never> {
    this.#child = child;
    return new Promise((_resolve, reject) => {
      child.once('exit', (code, signal) => reject(new Error(`${this.name} ended with ${code ?? signal}`)));
    });
  }
}
