import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { parsePeerId, peerIdBytes, peerIdOf, shortPeerId } from './ids.ts';
import { createIdentity } from './keys.ts';

it('a peer id is the whole SHA-256 of the raw key, and leads back to it', () => {
  const { id, bytes } = createIdentity();
  expect(id).toMatch(/^[a-z2-7]{52}$/);
  expect(peerIdOf(bytes)).toBe(id);
  expect(Buffer.from(peerIdBytes(id))).toEqual(createHash('sha256').update(bytes).digest());
  expect(parsePeerId(id)).toBe(id);
  expect(id.startsWith(shortPeerId(id))).toBe(true);
});

it('another spelling of an id is no id, so that no key has two names', () => {
  const { id } = createIdentity();
  // The last letter carries one bit of the hash; its other four are zero in the one true spelling.
  const alias = id.slice(0, -1) + (id.endsWith('a') ? 'b' : 'r');
  for (const text of [alias, id.toUpperCase(), `${id}a`, id.slice(1), ` ${id}`, '', '__proto__', `${id.slice(0, 51)}1`]) {
    expect(() => parsePeerId(text), text).toThrow(expect.objectContaining({ code: 'invalid' }));
  }
});
