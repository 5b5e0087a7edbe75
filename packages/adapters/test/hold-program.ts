// A program that holds foreign code which never ends, to be killed itself: its argument is the isolation. Says so once the
// code runs.
import { spawnSandboxed } from '../src/sandbox/spawn-sandboxed.ts';

const isolation = process.argv[2] === 'namespaces' ? 'namespaces' : 'permissions';
const code = 'console.log("running"); for (;;);';
const held = await spawnSandboxed({ name: 'The test', file: process.execPath, args: ['-e', code], isolation });
held.stdout.pipe(process.stdout);
held.stderr.pipe(process.stderr);
