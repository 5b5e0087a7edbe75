import { lookup } from 'node:dns/promises';
import { isIPv4 } from 'node:net';
import { SkeinError } from '@skein/protocol';

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
