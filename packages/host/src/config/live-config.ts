import type { LoadedConfig, LoadOptions, NodeConfig } from './load-config.ts';
import { LIVE_NET_KEYS } from './schema.ts';
import { type ConfigChange, watchConfig } from './watch-config.ts';

/** The configuration of a running node: as it was loaded, with what a running node takes up of later changes. */
export class LiveConfig {
  readonly #loaded: LoadedConfig;
  #current: NodeConfig;
  #needRestart: readonly string[] = [];

  constructor(loaded: LoadedConfig) {
    this.#loaded = loaded;
    this.#current = loaded.config;
  }

  get current(): NodeConfig {
    return this.#current;
  }

  /** The paths in which the file differs from what runs, until a restart. */
  get needRestart(): readonly string[] {
    return this.#needRestart;
  }

  /**
   * Takes up the changes of the file, and tells each once that is done, until the signal fires. `options` are those it was
   * loaded with. @throws what reading or watching the file raises, after which it is not watched any more.
   */
  async follow(
    options: LoadOptions & { readonly signal: AbortSignal },
    onChange: (change: ConfigChange) => void,
  ): Promise<void> {
    for await (const change of watchConfig(this.#loaded, options)) {
      if (change.type === 'config-reloaded') {
        this.#take(change.config);
        this.#needRestart = change.needRestart;
      }
      onChange(change);
    }
  }

  #take({ agent, log, net }: NodeConfig): void {
    const live = Object.fromEntries(LIVE_NET_KEYS.map((key) => [key, net[key]]));
    this.#current = { ...this.#current, agent, log, net: { ...this.#current.net, ...live } };
  }
}
