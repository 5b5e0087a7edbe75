import { setTimeout as wait } from 'node:timers/promises';
import type { DemoNode, DemoPlan, GatewayClient } from '@skein/host';
import { SkeinError } from '@skein/protocol';
import { type ChildEvent, ChildNode } from './child-node.ts';

/** How long the workers may take to be connected and to have shown their tools. */
const CONNECT_MS = 30_000;
const LOOK_MS = 30;

export interface DemoNetworkParts {
  readonly plan: DemoPlan;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly connect: (node: DemoNode) => GatewayClient | undefined;
  readonly onEvent: (name: string, event: ChildEvent) => void;
}

/** The demo's three processes. */
export class DemoNetwork implements AsyncDisposable {
  readonly #parts: DemoNetworkParts;
  readonly #children: readonly ChildNode[];

  constructor(parts: DemoNetworkParts) {
    const { plan, env, onEvent } = parts;
    this.#parts = parts;
    this.#children = [...plan.workers, plan.coordinator].map(
      ({ name, configFile }) =>
        new ChildNode({
          name,
          args: ['start', '--json', '--exit-with-parent', '--config', configFile],
          env,
          onEvent: (event) => onEvent(name, event),
        }),
    );
  }

  /** Starts all three, and resolves with the coordinator once it can use every tool the workers share. */
  async start({ signal }: { readonly signal: AbortSignal }): Promise<GatewayClient> {
    await untilAborted(Promise.all(this.#children.map((child) => child.start())), signal);
    const client = this.#parts.connect(this.#parts.plan.coordinator);
    if (client === undefined) throw new SkeinError('The coordinator ended right after its start', { code: 'unavailable' });
    await this.#untilConnected(client, signal);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#children.map((child) => child.stop()));
  }

  async #untilConnected(client: GatewayClient, signal: AbortSignal): Promise<void> {
    const { workers } = this.#parts.plan;
    const startedMs = performance.now();
    for (;;) {
      const peers = await client.peers({ signal });
      const missing = workers.filter(({ name, shares }) => {
        const peer = peers.find((known) => known.name === name);
        return peer?.state !== 'connected' || peer.tools.length < shares.length;
      });
      if (missing.length === 0) return;
      if (performance.now() - startedMs > CONNECT_MS) {
        const problems = missing.map(
          ({ name }) => `${name}: ${peers.find((peer) => peer.name === name)?.problem ?? 'no answer'}`,
        );
        throw new SkeinError(`The coordinator does not reach its workers. ${problems.join('; ')}`, { code: 'unavailable' });
      }
      await wait(LOOK_MS, undefined, { signal });
    }
  }
}

function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(SkeinError.from(signal.reason));
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
