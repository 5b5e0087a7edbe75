import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { Nodes } from './nodes.ts';

test.runIf(process.platform === 'linux')(
  'what a command of a killed node left running is ended when that node starts again, and by no other',
  async () => {
    await using nodes = new Nodes();
    const config = { tools: { shell: { allow: ['env'] } } };
    const node = nodes.make('node', config);
    await nodes.start(node);
    const output = await node.call('shell_exec', { argv: ['env'] });
    const { stdout } = z.object({ stdout: z.string() }).parse(output);
    const mark = /^SKEIN_RUN=(.+)$/m.exec(stdout)?.[1] ?? '';
    await node.host[Symbol.asyncDispose]();
    // As a former process of the same number would have written it.
    const left = spawn('sleep', ['300'], {
      stdio: 'ignore',
      env: { SKEIN_RUN: mark.replace(`.${process.pid}.`, `.${process.pid}.1`) },
    });
    await once(left, 'spawn');
    const ended = once(left, 'exit');
    await nodes.start(nodes.make('another', config));
    expect(left.exitCode ?? left.signalCode).toBeNull();
    await nodes.start(nodes.restart(node, config));
    expect(await ended).toEqual([null, 'SIGKILL']);
  },
);
