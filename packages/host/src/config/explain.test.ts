import { expect, test } from 'vitest';
import { explain } from './explain.ts';
import { config } from './schema.ts';

test.each([
  { tools: { databases: { shop: { url: 'mysql://me:hunter2@db.example.org/shop' } } } },
  { tools: { databases: { shop: { url: 'postgres://me:hunter2@db.example.org' } } } },
  { tools: { databases: { shop: { url: 'postgres://me:hun/ter2hunter2@db.example.org/shop?sslmode=odd' } } } },
  { tools: { databases: { shop: 'postgres://me:hunter2@db.example.org/shop' } } },
  { tools: { mcp: { shop: { url: 'https://me:hunter2@mcp.example.org/' } } } },
  { tools: { plugins: [{ path: 'x.ts', allow: { network: ['https://me:hunter2@api.example.org/'] } }] } },
  { net: { peers: [{ url: 'wss://me:hunter2@peer.example.org' }] } },
])('what is wrong with %j is told without its password', (value) => {
  const result = config.safeParse(value);
  const told = explain(config, result.error?.issues ?? [], value).map(({ text }) => text);
  expect(told.length).toBeGreaterThan(0);
  expect(told.join()).not.toMatch(/hunter2|ter2/);
});

test.each([
  [
    { tools: { databases: { shop: { url: 'sqlite:x', writ: true } } } },
    /tools\.databases\.shop\.writ: unknown key; did you mean "write"/,
  ],
  [{ tools: { plugins: [{ path: 'x.ts', allow: { net: true } }] } }, /allow\.net: unknown key; .*known: network, read/],
  [{ tools: { mcp: { shop: { command: ['x'], alow: {} } } } }, /tools\.mcp\.shop\.alow: unknown key; did you mean "allow"/],
  [{ tools: { mcp: { shop: { url: 'https://x.org/', headerEnv: {} } } } }, /headerEnv: unknown key; did you mean "headersEnv"/],
])('an unknown key in %j is told with the nearest', (value, expected) => {
  const result = config.safeParse(value);
  const told = explain(config, result.error?.issues ?? [], value).map(({ text }) => text);
  expect(told.join('\n')).toMatch(expected);
});

test.each(['admin', 'all', 'owner', 'rw'])(
  'a level of trust %j that there is not is answered with those there are, and none is talked up',
  (trust) => {
    const value = { net: { peers: [{ url: 'ws://peer.example.org', trust }] } };
    const told = explain(config, config.safeParse(value).error?.issues ?? [], value).map(({ text }) => text);
    expect(told).toEqual([`net.peers[0].trust: no such value "${trust}"; there are "full", "tool", "read"`]);
  },
);

test('a level of trust that is all but spelled is told', () => {
  const value = { net: { peers: [{ url: 'ws://peer.example.org', trust: 'tols' }] } };
  const told = explain(config, config.safeParse(value).error?.issues ?? [], value).map(({ text }) => text);
  expect(told.join()).toContain('no such value "tols"; there are');
  const near = { net: { peers: [{ url: 'ws://peer.example.org', trust: 'tools' }] } };
  expect(
    explain(config, config.safeParse(near).error?.issues ?? [], near)
      .map(({ text }) => text)
      .join(),
  ).toContain('did you mean "tool"?');
});

test.each([
  [
    ['https://api.example.org'],
    /tools\.plugins\[0\]\.allow\.network\[0\]: expected a host, not a web address; write its host alone/,
  ],
  [['api.example.org', '*'], /allow\.network\[1\]: expected a host; to let it reach anywhere, write true/],
  [['api.example.org:http'], /allow\.network\[0\]: expected a name, .*; the value is "api\.example\.org:http"/],
])('hosts %j a plug-in may reach are told to be wrong, and how they are written', (network, expected) => {
  const value = { tools: { plugins: [{ path: 'x.ts', allow: { network } }] } };
  const told = explain(config, config.safeParse(value).error?.issues ?? [], value).map(({ text }) => text);
  expect(told.join('\n')).toMatch(expected);
});
