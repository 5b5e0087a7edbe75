/** Time, as a part: the simulator moves it. */
export interface Clock {
  /** The wall clock, epoch ms. May jump. */
  now(): number;
  /** Milliseconds since some moment, with fractions. Never jumps. */
  monotonicMs(): number;
  /** Runs `fire` once, not before `ms` have passed, and never within this call; the returned function takes it back. Does not keep a process alive. */
  after(ms: number, fire: () => void): () => void;
}

/** This machine's time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(ms, fire) {
    // Node cuts off fractions and counts from the last whole millisecond: without this it would fire too early.
    const timer = setTimeout(fire, Math.max(0, Math.ceil(ms)) + 1);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
