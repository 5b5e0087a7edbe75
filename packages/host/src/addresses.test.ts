import { expect, test } from 'vitest';
import { addressesToBind, isAt } from './addresses.ts';

test.each([
  [['0.0.0.0', '127.0.0.1'], ['0.0.0.0']],
  [['127.0.0.1', '127.0.0.1'], ['127.0.0.1']],
  [
    ['192.168.1.5', '127.0.0.1'],
    ['192.168.1.5', '127.0.0.1'],
  ],
  [['192.168.1.5', '127.0.0.1', '0.0.0.0'], ['0.0.0.0']],
  [['::', '0.0.0.0', '127.0.0.1'], ['::']],
  [
    ['::1', '0.0.0.0'],
    ['::1', '0.0.0.0'],
  ],
])('to listen on %j, %j are bound', (wanted, bound) => {
  expect(addressesToBind(wanted)).toEqual(bound);
});

test.each([
  ['127.0.0.1', '127.0.0.1', true],
  ['::ffff:127.0.0.1', '127.0.0.1', true],
  ['192.168.1.5', '127.0.0.1', false],
  ['::ffff:192.168.1.5', '127.0.0.1', false],
  ['192.168.1.5', '0.0.0.0', true],
  ['fe80::1', '0.0.0.0', false],
  ['fe80::1', '::', true],
  [undefined, '::', false],
])('a connection at %s is at %s: %s', (local, address, at) => {
  expect(isAt(local, address)).toBe(at);
});
