/** Time, as a part: the simulator moves it. */
export interface Clock {
  /** The wall clock, epoch ms. May jump. */
  now(): number;
  /** Milliseconds since some moment, with fractions. Never jumps. */
  monotonicMs(): number;
  /** Runs `fire` once, not before `ms` have passed, and never within this call; the returned function takes it back. Does not keep a process alive. */
  after(ms: number, fire: () => void): () => void;
}

/** The longest one timer of Node's can be: a longer one it fires at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** This machine's time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(ms, fire) {
    let timer: NodeJS.Timeout;
    const wait = (leftMs: number) => {
      const stepMs = Math.min(leftMs, TIMER_MS_MAX);
      timer = setTimeout(() => (leftMs > stepMs ? wait(leftMs - stepMs) : fire()), stepMs);
      timer.unref();
    };
    // Node cuts off fractions and counts from the last whole millisecond: without this it would fire too early.
    wait(Math.max(0, Math.ceil(ms)) + 1);
    return () => clearTimeout(timer);
  },
};
