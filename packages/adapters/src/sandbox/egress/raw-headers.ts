/** Those that are about one connection and no other (RFC 9110, 7.6.1). */
const HOP_BY_HOP = [
  ...['connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization'],
  ...['te', 'trailer', 'transfer-encoding', 'upgrade'],
];

/** Headers as they came, names and values by turns, without those of the connection, those it names, and some more. */
export function withoutHopByHop(rawHeaders: readonly string[], more: readonly string[] = []): string[] {
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) pairs.push([rawHeaders[at] ?? '', rawHeaders[at + 1] ?? '']);
  const named = pairs
    .filter(([name]) => name.toLowerCase() === 'connection')
    .flatMap(([, value]) => value.split(',').map((token) => token.trim().toLowerCase()));
  const left = new Set([...HOP_BY_HOP, ...named, ...more]);
  return pairs.filter(([name]) => !left.has(name.toLowerCase())).flat();
}
