import { GRANTS, type Grant, type PeerId } from '@skein/protocol';
import { rejection, TestNetwork } from '@skein/testing';
import { describe, expect, it, test } from 'vitest';
import { z } from 'zod';
import { authorize } from './authorize.ts';

const method = (grant: Grant) => ({
  name: `test.${grant}`,
  grant,
  params: z.object({}),
  result: z.object({}),
  idempotent: true,
});

describe('a request', () => {
  test.each(GRANTS)('for what needs "%s" runs with it, and is refused and told of without', async (grant) => {
    await using network = new TestNetwork();
    const refused: string[] = [];
    const granted = new Set<Grant>();
    const decide = (_peer: PeerId, wanted: Grant) =>
      granted.has(wanted) ? ({ allowed: true } as const) : ({ allowed: false, reason: `no ${wanted}` } as const);
    const guard = authorize({ decide, onRefused: (peer, name, reason) => refused.push(`${peer.name} ${name} ${reason}`) });
    const [alice, bob] = [network.add('alice'), network.add('bob', { interceptors: [guard] })];
    let ran = 0;
    bob.router.serve(method(grant), () => {
      ran += 1;
      return {};
    });
    const peer = await alice.dial(bob);
    for (const other of GRANTS) if (other !== grant) granted.add(other);
    expect(await rejection(peer.call(method(grant), {}))).toMatchObject({
      code: 'denied',
      message: expect.stringContaining(`no ${grant}`),
    });
    expect([ran, refused]).toEqual([0, [`alice test.${grant} no ${grant}`]]);
    granted.add(grant);
    await peer.call(method(grant), {});
    granted.delete(grant);
    expect((await rejection(peer.call(method(grant), {}))).code, 'taken back: the very next call').toBe('denied');
    expect(ran).toBe(1);
  });

  it('is decided by the key that sent it, whatever name it goes by', async () => {
    await using network = new TestNetwork();
    const trusted = new Set<PeerId>();
    const decide = (peer: PeerId) =>
      trusted.has(peer) ? ({ allowed: true } as const) : ({ allowed: false, reason: 'not you' } as const);
    const bob = network.add('bob', { interceptors: [authorize({ decide, onRefused: () => {} })] });
    bob.router.serve(method('tools'), () => ({}));
    const alice = network.add('alice');
    trusted.add(alice.identity.id);
    const toBob = await alice.dial(bob);
    await toBob.call(method('tools'), {});
    const impostor = await network.add('alice').dial(bob);
    expect((await rejection(impostor.call(method('tools'), {}))).code).toBe('denied');
  });
});
