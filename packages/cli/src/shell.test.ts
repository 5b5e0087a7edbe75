import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { Shell } from './shell.ts';

test.each(['EPIPE', 'EIO'])('output that nobody reads any more, %s, ends the command in order', (code) => {
  const screen = new PassThrough();
  const streams = { stdin: new PassThrough(), stdout: screen, stderr: new PassThrough(), env: {}, cwd: () => '/' };
  // Proven: a shell only listens for their errors.
  using shell = new Shell({ ...streams, on: () => undefined, off: () => undefined } as never);
  screen.emit('error', Object.assign(new Error(`write ${code}`), { code }));
  expect(shell.signal.aborted).toBe(true);
});
