import { lookup } from 'node:dns/promises';
import { isIPv4 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { SkeinError } from '@skein/protocol';
import type { NodeConfig } from './config/load-config.ts';

/** Addresses a code has room for. */
const ADDRESSES_MAX = 8;

/** The address a host name or address to listen on stands for. @throws SkeinError `invalid` when there is none. */
export async function addressOf(host: string): Promise<string> {
  try {
    return (await lookup(host)).address;
  } catch (cause) {
    throw new SkeinError(`"${host}" is no address of this machine`, { code: 'invalid', cause });
  }
}

/** The addresses to bind so that each of these is listened on, and none twice. */
export function addressesToBind(addresses: readonly string[]): readonly string[] {
  return [...new Set(addresses)].filter((one, _, all) => !all.some((other) => other !== one && covers(other, one)));
}

/** Whether a connection that arrived at this local address arrived at what `address` stands for. */
export function isAt(local: string | undefined, address: string): boolean {
  return local !== undefined && covers(address, local.replace(/^::ffff:(?=\d+\.)/, ''));
}

/** `::` takes IPv4 connections too. */
function covers(address: string, other: string): boolean {
  return address === other || address === '::' || (address === '0.0.0.0' && isIPv4(other));
}

/** Whether an address is this machine's own, which nobody else can use. */
export function isLoopback(address: string | undefined): boolean {
  return address !== undefined && (address === '::1' || /^(::ffff:)?127\./.test(address));
}

/** Where others may reach this node: what the configuration says, else this machine's own addresses. */
export function ownAddresses(net: NodeConfig['net'], port: number): readonly string[] {
  if (net.publicUrl !== undefined) return [hostAndPort(net.publicUrl)];
  if (net.hostname !== undefined) return [`${net.hostname}:${port}`];
  const isAny = net.host === '0.0.0.0' || net.host === '::';
  if (!isAny) return [`${net.host.includes(':') ? `[${net.host}]` : net.host}:${port}`];
  const found = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith('fe80:'))
    // What most networks speak comes first: the other side tries them in order.
    .sort((a, b) => a.family.localeCompare(b.family))
    .filter(({ family }) => family === 'IPv4' || net.host === '::')
    .map(({ address, family }) => `${family === 'IPv6' ? `[${address}]` : address}:${port}`);
  if (found.length === 0) return [`127.0.0.1:${port}`];
  return found.slice(0, ADDRESSES_MAX);
}

function hostAndPort(url: string): string {
  if (!URL.canParse(url)) throw new SkeinError(`net.publicUrl "${url}" is not an address`, { code: 'invalid' });
  const { hostname, port, protocol } = new URL(url);
  return `${hostname}:${port || (protocol === 'wss:' || protocol === 'https:' ? '443' : '80')}`;
}

/** The whole address told to peers, as VoleNet writes it; empty for a node that does not listen. */
export function endpointOf(net: NodeConfig['net'], port: number): string {
  if (net.publicUrl !== undefined) return net.publicUrl.replace(/^ws(s?):/, 'http$1:');
  if (port === 0) return '';
  return `${net.tls === undefined ? 'http' : 'https'}://${ownAddresses(net, port)[0] ?? `127.0.0.1:${port}`}`;
}
