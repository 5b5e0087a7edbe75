// Progress goes to stderr: stdout belongs to the program that is being started.
const SLOW_NOTICE_MS = 10_000;

/**
 * Shows that a step runs, how long it takes, and how it ended; its error is passed on.
 * @param {string} title
 * @param {() => Promise<void>} work
 */
export async function showStep(title, work) {
  const startedMs = performance.now();
  const elapsed = () => `${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
  const live = process.stderr.isTTY;
  const draw = () => process.stderr.write(live ? `\r\x1b[2K  ${title} … ${elapsed()}` : `  ${title} … ${elapsed()}\n`);
  draw();
  const timer = setInterval(draw, live ? 200 : SLOW_NOTICE_MS);
  const close = (mark) => process.stderr.write(`${live ? '\r\x1b[2K' : ''}${mark} ${title} (${elapsed()})\n`);
  try {
    await work();
    close('✓');
  } catch (error) {
    close('✗');
    throw error;
  } finally {
    clearInterval(timer);
  }
}
