import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalHost, formatHostGrant, grantsHost, networkGrant, parseHostGrant } from './host-grant.ts';
import { parseAuthority, parseWebTarget } from './targets.ts';

describe('an entry', () => {
  test.each([
    ['api.example.com', 'api.example.com', 443, true],
    ['api.example.com', 'api.example.com', 80, true],
    ['api.example.com', 'api.example.com', 8443, false],
    ['api.example.com', 'evil.example.com', 443, false],
    ['api.example.com', 'api.example.com.evil.org', 443, false],
    ['api.example.com', 'notapi.example.com', 443, false],
    ['API.Example.COM.', 'api.example.com', 443, true],
    ['api.example.com:8443', 'api.example.com', 8443, true],
    ['api.example.com:8443', 'api.example.com', 443, false],
    ['*.example.org', 'a.example.org', 443, true],
    ['*.example.org', 'a.b.example.org', 443, true],
    ['*.example.org', 'example.org', 443, false],
    ['*.example.org', 'evilexample.org', 443, false],
    ['*.example.org:8443', 'a.example.org', 443, false],
    ['10.1.2.3:5432', '10.1.2.3', 5432, true],
    ['10.1.2.3', '10.1.2.4', 443, false],
    ['::1', '::1', 443, true],
    ['[::1]:81', '::1', 81, true],
    ['[::ffff:10.1.2.3]', '10.1.2.3', 443, true],
    ['bücher.example', 'xn--bcher-kva.example', 443, true],
  ])('%s, asked for %s:%i: %s', (entry, host, port, expected) => {
    expect(grantsHost(parseHostGrant(entry), host, port)).toBe(expected);
  });

  test.each([
    ['*', /write true/],
    ['*.', /expected a name/],
    ['*.*.example.org', /expected a name/],
    ['a.*.example.org', /expected a name/],
    ['*.10.0.0.1', /expected a name/],
    ['https://api.example.com', /write its host alone/],
    ['api.example.com/path', /expected a name/],
    ['10.0.0.0/8', /expected a name/],
    ['user@example.com', /expected a name/],
    ['example.com:0', /expected a name/],
    ['example.com:65536', /expected a name/],
    ['example.com:http', /expected a name/],
    ['a b', /expected a name/],
    ['', /expected a name/],
    ['300.1.1.1', /expected a name/],
    [`${'a.'.repeat(150)}example`, /expected a name/],
  ])('%j is an error that says what to write', (entry, words) => {
    expect(() => parseHostGrant(entry)).toThrow(words);
    const parsed = networkGrant.safeParse([entry]);
    expect(parsed.success).toBe(false);
    if (entry.length <= 300) expect(parsed.error?.message).toMatch(words);
  });

  test('comes back as what a refusal says to write', () => {
    const octet = fc.nat({ max: 255 });
    const host = fc.oneof(
      fc.domain(),
      fc.tuple(octet, octet, octet, octet).map((bytes) => bytes.join('.')),
      fc.ipV6().map((address) => `[${address}]`),
    );
    fc.assert(
      fc.property(host, fc.integer({ min: 1, max: 65_535 }), (text, port) => {
        const canonical = canonicalHost(text);
        fc.pre(canonical !== undefined);
        if (canonical === undefined) return;
        expect(grantsHost(parseHostGrant(formatHostGrant(canonical, port)), canonical, port)).toBe(true);
      }),
    );
  });
});

test.each([
  ['127.0.0.1', '127.0.0.1'],
  ['0x7f.1', '127.0.0.1'],
  ['0177.0.0.1', '127.0.0.1'],
  ['2130706433', '127.0.0.1'],
  ['127.1', '127.0.0.1'],
  ['127.0.0.1.', '127.0.0.1'],
  ['１２７.０.０.１', '127.0.0.1'],
  ['127。0。0。1', '127.0.0.1'],
  ['[::ffff:127.0.0.1]', '127.0.0.1'],
  ['[::ffff:7f00:1]', '127.0.0.1'],
  ['[0:0:0:0:0:0:0:1]', '::1'],
  ['EXAMPLE.com.', 'example.com'],
  ['example.com..', undefined],
  ['%65xample.com', undefined],
  ['exam\tple.com', undefined],
  ['user@example.com', undefined],
  ['example.com/x', undefined],
  ['example.com\\x', undefined],
  ['example.com#x', undefined],
  ['example.com:80', undefined],
  ['[::1%25eth0]', undefined],
  ['[::1', undefined],
  ['', undefined],
])('the one spelling of %j is %j', (text, expected) => {
  expect(canonicalHost(text)).toBe(expected);
});

describe('a target', () => {
  test.each([
    ['api.example.com:443', { host: 'api.example.com', port: 443 }],
    ['[::ffff:10.0.0.1]:80', { host: '10.0.0.1', port: 80 }],
    ['api.example.com', undefined],
    ['api.example.com:', undefined],
    ['api.example.com:0', undefined],
    ['api.example.com:99999', undefined],
    ['api.example.com@evil.org:443', undefined],
    ['api.example.com:443@evil.org:443', undefined],
    ['https://api.example.com:443', undefined],
    ['/', undefined],
    ['*', undefined],
  ])('of CONNECT, %j', (text, expected) => {
    expect(parseAuthority(text)).toEqual(expected);
  });

  test.each([
    ['http://a.example/x?y#z', { host: 'a.example', port: 80, authority: 'a.example', path: '/x?y' }],
    ['HTTP://A.example:8080', { host: 'a.example', port: 8080, authority: 'a.example:8080', path: '/' }],
    ['http://0x7f.1/', { host: '127.0.0.1', port: 80, authority: '127.0.0.1', path: '/' }],
    ['https://a.example/', undefined],
    ['http:a.example', undefined],
    ['http:\\\\a.example\\', undefined],
    ['http:///a.example/', undefined],
    ['http://a.example\\@b.example/', undefined],
    ['http://a.example@b.example/', undefined],
    ['http://a.example:80:81/', undefined],
    ['/x', undefined],
    ['a.example', undefined],
  ])('in absolute form, %j', (text, expected) => {
    expect(parseWebTarget(text)).toEqual(expected);
  });
});
