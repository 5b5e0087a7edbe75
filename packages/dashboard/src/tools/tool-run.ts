import type { Json } from '@skein/protocol';
import type { Api } from '../api/api.ts';
import { ApiError } from '../api/api-error.ts';
import { Store } from '../ui/store.ts';

/** A tool run by hand. */
export interface RunState {
  readonly type: 'idle' | 'running' | 'ok' | 'failed' | 'stopped';
  readonly startedAtMs: number;
  readonly ms: number;
  readonly partial: string;
  readonly output: Json;
  readonly problem: string;
}

const IDLE: RunState = { type: 'idle', startedAtMs: 0, ms: 0, partial: '', output: null, problem: '' };
const MAX_PARTIAL = 20_000;

/** Runs a tool and keeps what it tells. */
export class ToolRun {
  readonly store = new Store<RunState>(IDLE);
  readonly #api: Api;
  #work: AbortController | null = null;

  constructor(parts: { readonly api: Api }) {
    this.#api = parts.api;
  }

  /** Resolves when the run is over, however it ended. */
  async start(name: string, input: Record<string, unknown>): Promise<void> {
    this.stop();
    const work = new AbortController();
    this.#work = work;
    const startedAtMs = Date.now();
    this.store.set({ ...IDLE, type: 'running', startedAtMs });
    const end = (change: Partial<RunState>) => {
      if (this.#work === work) this.store.set({ ...change, ms: Date.now() - startedAtMs });
    };
    try {
      for await (const event of this.#api.call(name, input, work.signal)) {
        if (event.type === 'tool-output') this.#append(event.delta);
        if (event.type === 'tool-output-skipped') this.#append(`\n[${event.characters} characters left out]\n`);
        if (event.type === 'error') throw new ApiError(event.code, event.message);
        if (event.type === 'result') {
          end({ type: 'ok', output: event.output });
          return;
        }
      }
      throw new ApiError('unavailable', 'The node went away before the tool was done');
    } catch (thrown) {
      if (work.signal.aborted) end({ type: 'stopped' });
      else end({ type: 'failed', problem: ApiError.from(thrown).message });
    }
  }

  stop(): void {
    this.#work?.abort();
  }

  #append(text: string): void {
    this.store.set({ partial: (this.store.get().partial + text).slice(-MAX_PARTIAL) });
  }
}
