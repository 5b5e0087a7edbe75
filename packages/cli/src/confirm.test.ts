import { PassThrough } from 'node:stream';
import { createClient } from '@skein/host';
import { peerIdOf } from '@skein/protocol';
import { ScriptedBackend } from '@skein/testing';
import { expect, test } from 'vitest';
import { askYesNo } from './confirm.ts';
import { Repl } from './repl.ts';
import { Shell } from './shell.ts';

const CTRL_D = '\u0004';

/** A shell on a terminal whose keys the test presses. */
function openTerminal() {
  const keys = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => undefined });
  const screen = Object.assign(new PassThrough(), { isTTY: true, columns: 80 });
  let shown = '';
  screen.on('data', (part: Buffer) => {
    shown += part.toString();
  });
  const streams = { stdin: keys, stdout: screen, stderr: screen, env: {}, cwd: () => '/' };
  // Proven: of a terminal no more is used than these have.
  const shell = new Shell({ ...streams, on: () => undefined, off: () => undefined } as never);
  return {
    shell,
    keys,
    async said(words: string): Promise<void> {
      while (!shown.includes(words)) await new Promise((resolve) => screen.once('data', resolve));
    },
  };
}

const status = {
  name: 'here',
  peerId: peerIdOf(new Uint8Array(32)),
  fingerprint: 'amber canyon delta',
  version: '0.1.0',
  port: 1,
  startedAtMs: 1,
  brain: null,
};

function confirming() {
  return new ScriptedBackend({
    status,
    ask: async function* (turn) {
      const told: string[] = [];
      for (const id of ['c1', 'c2']) {
        const waiting = turn.confirmed(id);
        yield { type: 'confirm-request', id, name: 'rm', peer: null, input: {}, reason: 'deletes' };
        told.push((await waiting) ? 'approved' : 'refused');
      }
      yield { type: 'answer', text: told.join(), toolCalls: [] };
    },
  });
}

const ends = [
  ['Ctrl-D', (keys: PassThrough) => void keys.write(CTRL_D)],
  ['the end of the input', (keys: PassThrough) => void keys.end()],
] as const;

test.each(ends)('%s is no', async (_how, end) => {
  const { shell, keys, said } = openTerminal();
  const answer = askYesNo(shell, 'Do it?');
  await said('Do it?');
  end(keys);
  expect(await answer).toBe(false);
});

test.each(ends)('%s is no in a conversation, whose last answer still shows', async (_how, end) => {
  const { shell, keys, said } = openTerminal();
  const repl = new Repl({ shell, client: createClient(confirming()), sessionId: undefined });
  const ended = repl.run();
  keys.write('clean up\r');
  await said('Do it?');
  end(keys);
  await ended;
  await said('refused,refused');
});
