import { createIdentity } from '@skein/protocol';
import { expect, test } from 'vitest';
import { peerLabel } from './peer-label.ts';

const known = (name: string) => ({ identity: createIdentity(), name });

test('a peer is told by its name, and by the beginning of its id where that does not say who it is', () => {
  const [a, b, twin] = [known('desk'), known('lab'), known('lab')];
  const label = ({ identity }: typeof a) => peerLabel([a, b, twin], identity.id);
  expect(label(a)).toBe('desk');
  expect(label(b)).toBe(`lab (${b.identity.id.slice(0, 8)})`);
  expect(label(twin)).toBe(`lab (${twin.identity.id.slice(0, 8)})`);
  const stranger = known('desk');
  expect(label(stranger)).toBe(stranger.identity.id.slice(0, 8));
});
