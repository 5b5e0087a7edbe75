import { SkeinError } from '@skein/protocol';
import { VirtualClock } from '@skein/testing';
import { describe, expect, it } from 'vitest';
import { VOLE_CALL_MS, VOLE_SEARCH_MS } from './limits.ts';
import { type RequestKind, RunningRequests } from './running-requests.ts';

function running() {
  const clock = new VirtualClock();
  const requests = new RunningRequests(clock);
  const failed: string[] = [];
  const run = (kind: RequestKind, id: string, work: (signal: AbortSignal) => Promise<void>) =>
    requests.run({ kind, id, what: id, fail: (thrown) => failed.push(`${id} ${SkeinError.from(thrown).code}`) }, work);
  return { clock, requests, failed, run };
}

/** Ends when its signal fires, with its reason. */
function untilStopped(signal: AbortSignal): Promise<void> {
  return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
}

/** Lets all that is settled be told. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('requests that run for a peer', () => {
  it('are refused above the bound of their kind alone, until one ends', async () => {
    const { run, failed } = running();
    const first = Promise.withResolvers<void>();
    run('call', 'first', () => first.promise);
    for (let n = 1; n < 64; n += 1) run('call', `call ${n}`, untilStopped);
    run('call', 'one more', untilStopped);
    run('task', 'a task', untilStopped);
    expect(failed).toEqual(['one more busy']);
    first.resolve();
    await settled();
    run('call', 'next', untilStopped);
    expect(failed).toEqual(['one more busy']);
  });

  it('are done once when asked twice, also as another kind of the same name', async () => {
    const { run } = running();
    let times = 0;
    const work = async (signal: AbortSignal) => {
      times += 1;
      await untilStopped(signal);
    };
    run('call', 'same', work);
    run('call', 'same', work);
    run('task', 'same', work);
    await settled();
    expect(times).toBe(2);
  });

  it('are stopped at the deadline of each, and not the others', async () => {
    const { clock, run, failed } = running();
    run('call', 'call', untilStopped);
    run('search', 'search', untilStopped);
    await settled();
    await clock.advance(VOLE_SEARCH_MS);
    await settled();
    expect(failed).toEqual(['search deadline-exceeded']);
    run('call', 'late call', untilStopped);
    await settled();
    await clock.advance(VOLE_CALL_MS - VOLE_SEARCH_MS);
    await settled();
    expect(failed).toEqual(['search deadline-exceeded', 'call deadline-exceeded']);
    await clock.advance(VOLE_SEARCH_MS);
    await settled();
    expect(failed.at(-1)).toBe('late call deadline-exceeded');
  });

  it('still have a deadline after the others were stopped', async () => {
    const { clock, run, requests, failed } = running();
    run('call', 'stopped', untilStopped);
    await settled();
    requests.stop('the peer left');
    await settled();
    run('search', 'later', untilStopped);
    await settled();
    await clock.advance(VOLE_SEARCH_MS);
    await settled();
    expect(failed).toEqual(['stopped canceled', 'later deadline-exceeded']);
  });

  it('fail with what a host throws at once', async () => {
    const { run, failed } = running();
    run('call', 'bad', () => {
      throw new SkeinError('no', { code: 'denied' });
    });
    await settled();
    expect(failed).toEqual(['bad denied']);
  });
});
