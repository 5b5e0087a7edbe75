// The first program of a sandbox whose network is a list of hosts. It opens a port on the loopback of that sandbox, hands
// it to the node outside, which serves a proxy there, and becomes the program that is meant, which finds nothing of it but
// the port. Loads nothing of other packages.
import { createServer } from 'node:net';

const [port] = process.argv.slice(2);
const listener = createServer();
process.once('message', (program: { readonly file: string; readonly args: string[]; readonly env: Record<string, string> }) => {
  // The same process from here on; all that is open but its three streams is closed by the kernel.
  process.execve?.(program.file, [program.file, ...program.args], program.env);
});
listener.listen({ host: '127.0.0.1', port: Number(port) }, () => process.send?.('listening', listener));
