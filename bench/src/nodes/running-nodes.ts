import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { NodeAnswers, NodeReport, NodeRequest, NodeSettings } from './messages.ts';

const PROGRAM = fileURLToPath(new URL('./node-process.ts', import.meta.url));
const CACHE = fileURLToPath(new URL('../../../node_modules/.cache/skein-bench', import.meta.url));

/** A node said that it leads, and when. */
export interface Lead {
  readonly node: string;
  readonly atMs: number;
}

/** Nodes in one process of their own, to be asked, killed and held still. */
export class RunningNodes implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #onLead: (lead: Lead) => void;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #ready = Promise.withResolvers<void>();
  #requests = 0;

  private constructor(settings: readonly NodeSettings[], onLead: (lead: Lead) => void) {
    this.#onLead = onLead;
    this.#child = fork(PROGRAM, [JSON.stringify(settings)], {
      execArgv: ['--conditions=skein-source'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: CACHE },
    });
    this.#child.on('message', (report: NodeReport) => this.#receive(report));
    this.#child.once('exit', (code, signal) => this.#ended(new Error(`A process of nodes ended with ${code ?? signal}`)));
    // Whoever awaits it hears of it.
    this.#ready.promise.catch(() => {});
  }

  /** Resolves when all of them listen. */
  static async start(
    settings: readonly NodeSettings[],
    { onLead = () => {} }: { readonly onLead?: (lead: Lead) => void } = {},
  ): Promise<RunningNodes> {
    const nodes = new RunningNodes(settings, onLead);
    await nodes.#ready.promise;
    return nodes;
  }

  /** @throws Error when the process fails to answer, or has ended. */
  async ask<R extends NodeRequest>(request: R): Promise<NodeAnswers[R['type']]> {
    this.#requests += 1;
    const id = this.#requests;
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(id, waiting);
    this.#child.send({ id, ...request });
    // Proven: node-process.ts answers each kind of request with its own kind of answer.
    return (await waiting.promise) as NodeAnswers[R['type']];
  }

  /** Ends it as a crash does. */
  async kill(): Promise<void> {
    if (this.#hasEnded) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }

  /** Holds it still with its sockets open, as a machine that sleeps. */
  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#hasEnded) return;
    const ended = once(this.#child, 'exit');
    this.thaw();
    this.#child.disconnect();
    await ended;
  }

  get #hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  #receive(report: NodeReport): void {
    switch (report.type) {
      case 'ready':
        this.#ready.resolve();
        break;
      case 'leads':
        this.#onLead(report);
        break;
      case 'answer':
        this.#waiting.get(report.id)?.resolve(report.result);
        this.#waiting.delete(report.id);
        break;
      case 'failed':
        this.#waiting.get(report.id)?.reject(new Error(report.message));
        this.#waiting.delete(report.id);
        break;
    }
  }

  #ended(error: Error): void {
    this.#ready.reject(error);
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
