import type { Caller } from './contender.ts';
import { createPayload, type Payload } from './payload.ts';

/** What one run of one contender at one concurrency gave. */
export interface Measurement {
  readonly callsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

/** Keeps `inFlight` calls going for a while: each answer starts the next call. Every answer is looked at. */
export async function measureCalls(
  caller: Caller,
  { inFlight, durationMs }: { readonly inFlight: number; readonly durationMs: number },
): Promise<Measurement> {
  const payload = createPayload(inFlight);
  const latencies: number[] = [];
  const startedMs = performance.now();
  const endMs = startedMs + durationMs;
  const keepCalling = async () => {
    for (let nowMs = performance.now(); nowMs < endMs; ) {
      const sentMs = nowMs;
      checkEcho(await caller.call(payload), payload);
      nowMs = performance.now();
      latencies.push(nowMs - sentMs);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, keepCalling));
  const tookMs = performance.now() - startedMs;
  const sorted = Float64Array.from(latencies).sort();
  return {
    callsPerSecond: (sorted.length * 1000) / tookMs,
    p50Us: quantile(sorted, 0.5) * 1000,
    p99Us: quantile(sorted, 0.99) * 1000,
  };
}

function checkEcho(result: Payload, argument: Payload): void {
  if (result.text !== argument.text || result.lines.length !== argument.lines.length) {
    throw new Error(`An answer is not its argument: ${JSON.stringify(result).slice(0, 100)}`);
  }
}

/** The value below which this share of sorted values lies; NaN of none. */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** The middle value; of an even number, the mean of the two. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  return (quantile(sorted, (half - 0.5) / sorted.length) + quantile(sorted, half / sorted.length)) / 2;
}

/** Resolves after so many milliseconds; none or less than none is the next turn. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}
