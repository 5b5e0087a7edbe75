import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const MODULE = fileURLToPath(new URL('./run-command.mjs', import.meta.url));

test('what is stopped by a signal stops its command first, and ends by that signal', async () => {
  // The command lives for as long as its connection, which tells its end whoever its parent is by then.
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const command = `require('node:net').connect(${String(port)}, '127.0.0.1')`;
  const program = `
    import { runCommand } from ${JSON.stringify(MODULE)};
    await runCommand(process.execPath, ['-e', ${JSON.stringify(command)}], { cwd: '.' });
    console.log('went on');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.on('data', (text) => {
    said += String(text);
  });
  const [socket]: Socket[] = await once(server, 'connection');
  const gone = once(socket ?? server, 'close');
  socket?.on('error', () => {}).resume();
  child.kill('SIGTERM');
  const [code, signal] = await once(child, 'close');
  expect({ code, signal, said }).toEqual({ code: null, signal: 'SIGTERM', said: '' });
  await gone;
  server.close();
});
