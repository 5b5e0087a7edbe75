import { type Clock, keepConnected } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';
import { z } from 'zod';

const ANSWER_MS = 5_000;
const ANSWER_BYTES_MAX = 4_096;
/** A node of ours that also speaks VoleNet adds the last word; it is better met as what it is. */
const health = z.object({ protocol: z.literal('volenet'), skein: z.undefined().optional() });

export type SpokenDialect = 'skein' | 'volenet';

export interface DialectProbeParts {
  readonly clock: Clock;
  readonly random: () => number;
  /** An address has said what it speaks. */
  readonly onKnown: () => void;
  readonly onProblem: (url: string, error: SkeinError) => void;
}

/** Asks addresses of which it is not known whether an OpenVole node or one of ours answers there, until each has answered. */
export class DialectProbe {
  readonly #parts: DialectProbeParts;
  readonly #known = new Map<string, SpokenDialect>();
  readonly #asking = new Map<string, AbortController>();
  #closed = false;

  constructor(parts: DialectProbeParts) {
    this.#parts = parts;
  }

  /** What an address speaks; undefined while it has not said so, and it is asked. */
  dialectOf(url: string): SpokenDialect | undefined {
    const known = this.#known.get(url);
    if (known === undefined && !this.#asking.has(url) && !this.#closed) this.#ask(url);
    return known;
  }

  /** Asks nobody but these any more, and forgets what the others said. */
  keep(urls: ReadonlySet<string>): void {
    for (const [url, asking] of this.#asking) {
      if (urls.has(url)) continue;
      this.#asking.delete(url);
      asking.abort();
    }
    for (const url of this.#known.keys()) if (!urls.has(url)) this.#known.delete(url);
  }

  close(): void {
    this.#closed = true;
    this.keep(new Set());
  }

  #ask(url: string): void {
    const { clock, random, onKnown, onProblem } = this.#parts;
    const asking = new AbortController();
    this.#asking.set(url, asking);
    let spoken: SpokenDialect | undefined;
    const connect = async () => {
      spoken = await ask(url, asking.signal);
      asking.abort();
      return 'it is known';
    };
    const told = (problem: SkeinError) => onProblem(url, problem);
    // Never rejects: it tries until it knows or is stopped.
    void keepConnected({ connect, onProblem: told, clock, random }, { signal: asking.signal }).then(() => {
      // Not wanted any more, or asked anew meanwhile.
      if (this.#asking.get(url) !== asking) return;
      this.#asking.delete(url);
      if (spoken === undefined) return;
      this.#known.set(url, spoken);
      onKnown();
    });
  }
}

/** What answers at an address. @throws SkeinError `unavailable` when nothing does. */
async function ask(url: string, signal: AbortSignal): Promise<SpokenDialect> {
  const { protocol, host, pathname } = new URL(url);
  const scheme = protocol === 'wss:' || protocol === 'https:' ? 'https' : 'http';
  const limit = new AbortController();
  const stop = () => limit.abort();
  const timer = setTimeout(stop, ANSWER_MS);
  signal.addEventListener('abort', stop, { once: true });
  try {
    const base = `${scheme}://${host}${pathname.replace(/\/+$/, '')}`;
    const response = await fetch(`${base}/health`, { redirect: 'error', signal: limit.signal });
    // A proxy answers so while the node behind it is away.
    if (response.status >= 500) throw new Error(`it answered ${response.status}`);
    return health.safeParse(JSON.parse(await bounded(response))).success ? 'volenet' : 'skein';
  } catch (cause) {
    // Something answers, and not as an OpenVole node does; a certificate nobody vouches for stops our own sessions in nothing.
    if (cause instanceof SyntaxError || isCertificateProblem(cause)) return 'skein';
    throw new SkeinError(`Nobody answers at ${url}`, { code: 'unavailable', cause });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
    // Whatever is left of the answer is not read.
    limit.abort();
  }
}

/** The first bytes of an answer as text: what is cut there is no JSON. */
async function bounded({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body ?? []) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) break;
  }
  return Buffer.concat(chunks).subarray(0, ANSWER_BYTES_MAX).toString();
}

function isCertificateProblem(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  return /CERT|SELF_SIGNED|UNABLE_TO_VERIFY/.test(code);
}
