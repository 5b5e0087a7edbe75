import { Worker } from 'node:worker_threads';
import { Scope, untilAborted } from '@skein/agent';
import { SkeinError } from '@skein/protocol';
import type { PageText } from './page-text.ts';
import type { PageWork } from './page-worker.ts';

export interface PageReaderOptions {
  /** For one page. */
  readonly timeoutMs?: number;
  /** Pages taken apart at once; further ones are refused as `busy`. */
  readonly maxConcurrent?: number;
}

const PAGE_READER_DEFAULTS = { timeoutMs: 5_000, maxConcurrent: 4 } as const;

const MEMORY = { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 16, stackSizeMb: 2 };

/** Takes pages apart, each in a thread of its own that is ended at a deadline: no page can hold this one up. */
export class PageReader {
  readonly #timeoutMs: number;
  readonly #maxConcurrent: number;
  #running = 0;

  constructor(options: PageReaderOptions = {}) {
    const { timeoutMs, maxConcurrent } = { ...PAGE_READER_DEFAULTS, ...options };
    this.#timeoutMs = timeoutMs;
    this.#maxConcurrent = maxConcurrent;
  }

  /** @throws SkeinError `busy`, `deadline-exceeded`, `too-large` for a page that takes too much memory, or the signal's reason. */
  async read(work: PageWork, signal: AbortSignal): Promise<PageText> {
    if (this.#running >= this.#maxConcurrent) {
      throw new SkeinError(`${this.#running} pages are being read already`, { code: 'busy', retryAfterMs: 500 });
    }
    this.#running += 1;
    try {
      return await this.#inThread(work, signal);
    } finally {
      this.#running -= 1;
    }
  }

  async #inThread(work: PageWork, parent: AbortSignal): Promise<PageText> {
    using limit = new Scope({ parent, timeoutMs: this.#timeoutMs, what: `Reading the page ${work.url}` });
    const worker = new Worker(programUrl(), { workerData: work, resourceLimits: MEMORY, env: {}, execArgv: [] });
    const { promise, resolve, reject } = Promise.withResolvers<PageText>();
    // Proven: page-worker.ts sends nothing else.
    worker.once('message', (page: unknown) => resolve(page as PageText));
    worker.once('error', (cause) => reject(threadError(work.url, cause)));
    worker.once('exit', () => reject(new SkeinError(`The page ${work.url} could not be read`, { code: 'internal' })));
    try {
      return await untilAborted(promise, limit.signal);
    } finally {
      await worker.terminate();
    }
  }
}

function threadError(url: string, cause: Error): SkeinError {
  const isMemory = 'code' in cause && cause.code === 'ERR_WORKER_OUT_OF_MEMORY';
  return isMemory
    ? new SkeinError(`The page ${url} takes too much memory to read; http_get gets it as it is`, { code: 'too-large', cause })
    : new SkeinError(`The page ${url} could not be read: ${cause.message}`, { code: 'internal', cause });
}

/** The program beside this file, as source or built. */
function programUrl(): URL {
  return new URL(import.meta.url.endsWith('.ts') ? './page-worker.ts' : './page-worker.js', import.meta.url);
}
