import { isIPv6 } from 'node:net';

/** What counts as one address: an IPv4 address, or the /64 network of an IPv6 one, which a single host may own whole. */
export function addressKey(address: string): string {
  const bare = address.split('%')[0] ?? '';
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)?.[1];
  if (mapped !== undefined) return mapped;
  if (!isIPv6(bare)) return bare;
  // The URL parser writes an IPv6 address in its one canonical form.
  const groups = new URL(`http://[${bare}]`).hostname.slice(1, -1).split('::');
  const head = (groups[0] ?? '').split(':').filter((group) => group !== '');
  const tail = (groups[1] ?? '').split(':').filter((group) => group !== '');
  const whole = groups.length === 1 ? head : [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail];
  return `${whole.slice(0, 4).join(':')}::/64`;
}
