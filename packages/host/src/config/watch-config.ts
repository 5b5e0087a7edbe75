import { watch } from 'node:fs';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { SkeinError } from '@skein/protocol';
import { formatPath } from './explain.ts';
import { type LoadedConfig, type LoadOptions, loadConfig, type NodeConfig } from './load-config.ts';
import { APPLIED_LIVE } from './schema.ts';

/** Editors write a file in several steps; this long without a further one it is taken as done. */
const SETTLE_MS = 100;

/** What a change of the config file came to. */
export type ConfigChange =
  | {
      readonly type: 'config-reloaded';
      readonly config: NodeConfig;
      /** Changed paths a running node takes up at once. */
      readonly applied: readonly string[];
      /** Paths that wait for a restart: all in which the file now differs from what it was loaded with and that are not live. */
      readonly needRestart: readonly string[];
    }
  /** The file does not read; what was loaded before stays. */
  | { readonly type: 'config-rejected'; readonly problem: string };

/**
 * The changes of the config file from now on, those since it was loaded included; ends when the signal fires. Many
 * writes close together are one change; a file that says the same as before is none.
 * `options` are those it was loaded with.
 */
export async function* watchConfig(
  loaded: LoadedConfig,
  options: LoadOptions & { readonly signal: AbortSignal },
): AsyncGenerator<ConfigChange, void, undefined> {
  const { signal } = options;
  const seen = new FileWatch(loaded.watchedFile);
  signal.addEventListener('abort', seen.close, { once: true });
  try {
    let current = loaded.config;
    let problem: string | undefined;
    while (!signal.aborted) {
      const pinned = loaded.file === null ? {} : { file: loaded.watchedFile };
      const change = readChange({ running: loaded.config, current }, options, pinned);
      if (change.type === 'config-rejected') {
        if (change.problem !== problem) yield change;
        problem = change.problem;
      } else {
        // A bad file that was put back as it was is told too: the problem is over.
        const isNews = problem !== undefined || changedPaths(current, change.config).length > 0;
        problem = undefined;
        current = change.config;
        if (isNews) yield change;
      }
      await seen.next();
      await wait(SETTLE_MS, undefined, { signal }).catch(() => undefined);
      seen.reset();
    }
  } finally {
    signal.removeEventListener('abort', seen.close);
    seen.close();
  }
}

/** `running`: what a restart would replace; `current`: what the file said last. */
function readChange(
  { running, current }: { readonly running: NodeConfig; readonly current: NodeConfig },
  options: LoadOptions,
  pinned: { readonly file?: string },
): ConfigChange {
  try {
    const { config } = loadConfig({ ...options, ...pinned });
    return {
      type: 'config-reloaded',
      config,
      applied: changedPaths(current, config).filter(isAppliedLive),
      needRestart: changedPaths(running, config).filter((at) => !isAppliedLive(at)),
    };
  } catch (error) {
    return { type: 'config-rejected', problem: SkeinError.from(error).message };
  }
}

function isAppliedLive(at: string): boolean {
  return APPLIED_LIVE.some((live) => at === live || at.startsWith(`${live}.`));
}

/** The paths whose values differ, objects looked into, arrays as a whole; sorted. */
export function changedPaths(before: unknown, after: unknown, at: readonly string[] = []): readonly string[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (!isObject(before) || !isObject(after)) return [formatPath(at)];
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return keys.flatMap((key) => changedPaths(before[key], after[key], [...at, key]));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** One flag: whether something happened to a file. Its folder is watched, since a rename gives the file a new inode. */
class FileWatch {
  readonly #watcher;
  #happened = false;
  #wake: (() => void) | undefined;
  #failure: SkeinError | undefined;
  #closed = false;

  constructor(file: string) {
    this.#watcher = watch(path.dirname(file), (_event, name) => {
      // Some systems do not tell the name.
      if (name === null || name === path.basename(file)) this.#signal();
    });
    this.#watcher.on('error', (cause) => {
      this.#failure = new SkeinError(`The config file ${file} can no longer be watched: ${cause.message}`, {
        code: 'unavailable',
        cause,
      });
      this.#signal();
    });
  }

  /** Resolves at the next change, at once if there was one since `reset`, and when closed. */
  async next(): Promise<void> {
    if (!this.#happened && !this.#closed) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  reset(): void {
    this.#happened = false;
  }

  readonly close = (): void => {
    this.#closed = true;
    this.#watcher.close();
    this.#signal();
  };

  #signal(): void {
    this.#happened = true;
    this.#wake?.();
    this.#wake = undefined;
  }
}
