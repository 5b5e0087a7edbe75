import path from 'node:path';
import { buildClockShim, clockShimVariables, ShimClock } from '@skein/testing';
import type { ConfigInput } from '../../src/config/schema.ts';
import { type NodeOptions, type SkeinNode, SkeinNodes } from './skein-node.ts';

/** The clocks of the machines of one test's nodes, each set by itself. */
export class Clocks implements Disposable {
  readonly #directory: string;
  readonly #shim: string;
  readonly #clocks = new Map<string, ShimClock>();

  /** Keeps its files in this directory, which must outlast what runs under them. */
  constructor(directory: string) {
    this.#directory = directory;
    this.#shim = buildClockShim(directory);
  }

  /** The clock of the machine with this name. */
  of({ name }: { readonly name: string }): ShimClock {
    const known = this.#clocks.get(name);
    if (known !== undefined) return known;
    const clock = new ShimClock(path.join(this.#directory, `${name}.clock`));
    this.#clocks.set(name, clock);
    return clock;
  }

  /** What a process of this machine is given. */
  env(name: string): Readonly<Record<string, string>> {
    return clockShimVariables({ shim: this.#shim, clock: this.of({ name }) });
  }

  [Symbol.dispose](): void {
    for (const clock of this.#clocks.values()) clock[Symbol.dispose]();
  }
}

/** Nodes on machines with clocks that can be set while they run. */
export class ClockedNodes extends SkeinNodes {
  readonly #clocks = new Clocks(this.root);

  override make(name: string, config: ConfigInput, options: NodeOptions = {}): SkeinNode {
    return super.make(name, config, { ...options, env: { ...options.env, ...this.#clocks.env(name) } });
  }

  clockOf(node: SkeinNode): ShimClock {
    return this.#clocks.of(node);
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    this.#clocks[Symbol.dispose]();
  }
}
