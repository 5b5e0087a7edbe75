import type { ChildProcess } from 'node:child_process';
import { Server } from 'node:net';
import { programBeside } from '../program-beside.ts';
import type { EgressProxy } from './egress-proxy.ts';

/** Free in any sandbox, whose loopback is its own; the one proxies are mostly found at. */
const PORT = 3128;

/** A program that is to run behind a proxy, and the proxy. */
export interface BehindProxy {
  readonly proxy: EgressProxy;
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** The program that is started in its place: it becomes that one when the proxy is there. */
export const FORERUNNER = programBeside(import.meta.url, 'start-behind-proxy');
export const FORERUNNER_COMMAND = [process.execPath, FORERUNNER, String(PORT)] as const;

/** What tells programs of the proxy: curl and most others by the first four, Node's fetch, http and https by the fifth too. */
export function proxyEnvironment(): Record<string, string> {
  const url = `http://127.0.0.1:${PORT}`;
  return { http_proxy: url, https_proxy: url, HTTP_PROXY: url, HTTPS_PROXY: url, NODE_USE_ENV_PROXY: '1' };
}

/** Takes the socket that the forerunner listens on in its own network, serves it, and lets the program start. */
export function handOver(forerunner: ChildProcess, { proxy, file, args, env }: BehindProxy): void {
  // Only its end comes after that, which is waited for elsewhere.
  forerunner.on('error', () => undefined);
  forerunner.once('message', (_message, listener) => {
    if (listener instanceof Server) {
      proxy.serve(listener);
      forerunner.send({ file, args, env }, () => disconnect(forerunner));
    } else {
      forerunner.kill('SIGKILL');
    }
  });
}

function disconnect(forerunner: ChildProcess): void {
  if (forerunner.connected) forerunner.disconnect();
}
