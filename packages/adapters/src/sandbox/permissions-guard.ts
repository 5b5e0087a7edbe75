// Loaded before foreign JavaScript where only Node's permission model holds it: takes away what that model does not know
// of. Loads nothing of other packages.
import dgram from 'node:dgram';
import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import os from 'node:os';
import v8 from 'node:v8';

/** What `net` may keep: it tells or keeps something, and opens nothing. */
const HARMLESS_NET = new Set('BlockList SocketAddress Socket Server Stream isIP isIPv4 isIPv6'.split(' '));

function refuse(): never {
  throw Object.assign(new Error('This code was not granted that'), { code: 'ERR_ACCESS_DENIED' });
}

/** Replaces each; what stood there is nowhere any more. */
function close(owner: object, names: Iterable<string>): void {
  for (const name of names) {
    if (name in owner) Object.defineProperty(owner, name, { value: refuse, writable: true, configurable: true });
  }
}

function* functionsOf(owner: object): Generator<string> {
  for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(owner))) {
    if (name !== 'constructor' && typeof value === 'function') yield name;
  }
}

/** By the pipe of a stream a program can make others, to any path. The three there are stay open. */
function closePipes(): void {
  for (const stream of [process.stdin, process.stdout, process.stderr]) {
    const handle: unknown = Reflect.get(stream, '_handle');
    if (typeof handle !== 'object' || handle === null) continue;
    close(Object.getPrototypeOf(handle), ['open', 'bind', 'listen', 'connect', 'fchmod']);
  }
}

function closeNetwork(): void {
  close(net.Socket.prototype, ['connect']);
  close(net.Server.prototype, functionsOf(net.Server.prototype));
  close(
    net,
    [...functionsOf(net)].filter((name) => !HARMLESS_NET.has(name)),
  );
  for (const owner of [dgram, dns.Resolver.prototype, dns.promises.Resolver.prototype, dns.promises, dns]) {
    close(owner, functionsOf(owner));
  }
}

// Signals to other processes, this node's among them.
close(process, ['kill', '_kill', '_debugProcess', '_debugEnd', '_startProfilerIdleNotifier', 'dlopen', 'binding', 'execve']);
close(os, ['setPriority']);
// It opens files by itself, asking nobody. Not imported: what an import saw of this module stays as it was.
const sqlite = process.getBuiltinModule('node:sqlite');
close(sqlite, functionsOf(sqlite));
close(v8, ['setFlagsFromString']);
closePipes();
if (new URL(import.meta.url).searchParams.get('network') !== 'yes') closeNetwork();
syncBuiltinESMExports();
