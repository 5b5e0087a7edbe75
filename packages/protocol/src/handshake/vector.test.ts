import { createPrivateKey, createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { parseIdentity } from '../keys.ts';
import { x25519FromPrivate } from '../noise/x25519.ts';
import { CookieJar } from './cookie-jar.ts';
import { InitiatorHandshake } from './initiator-handshake.ts';
import { decapsulateWith } from './kem.ts';
import { ResponderHandshake } from './responder-handshake.ts';
import type { HandshakeRandom } from './step.ts';
import { established, play, TestClock } from './testing.ts';

const hello = z.object({ name: z.string(), boot: z.string(), features: z.array(z.string()) });
const keys = { ed25519: z.string(), peerId: z.string(), static: z.string(), ephemeral: z.string(), hello };
const vector = z
  .object({
    initiator: z.object({ ...keys, kemSeed: z.string(), invite: z.object({ id: z.string(), secret: z.string() }) }),
    responder: z.object({ ...keys, kemCiphertext: z.string(), kemSecret: z.string() }),
    timeMs: z.number(),
    messages: z.object({ init: z.string(), response: z.string(), finish: z.string(), welcome: z.string() }),
    handshakeHash: z.string(),
    sessionId: z.string(),
    inviteMac: z.string(),
    records: z.array(z.object({ from: z.string(), prefix: z.string(), plaintext: z.string(), record: z.string() })),
  })
  .parse(JSON.parse(readFileSync(new URL('../../vectors/noise-session.json', import.meta.url), 'utf8')));

const hex = (text: string): Buffer => Buffer.from(text, 'hex');

function identityOf(seed: string) {
  const der = Buffer.concat([hex('302e020100300506032b657004220420'), hex(seed)]);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  return parseIdentity(key.export({ type: 'pkcs8', format: 'pem' }).toString());
}

it('the published session vector is met byte for byte', () => {
  const { initiator, responder } = vector;
  const clock = new TestClock(vector.timeMs);
  const kemKey = createPrivateKey({ key: hex(initiator.kemSeed), format: 'raw-seed', asymmetricKeyType: 'ml-kem-768' });
  const kem = { publicBytes: createPublicKey(kemKey).export({ format: 'raw-public' }), privateKey: kemKey };
  expect(decapsulateWith(kem, hex(responder.kemCiphertext)).toString('hex')).toBe(responder.kemSecret);
  const parts = (side: typeof initiator | typeof responder) => ({
    identity: identityOf(side.ed25519),
    staticKey: x25519FromPrivate(hex(side.static)),
    hello: side.hello,
    clock,
    admit: () => ({ admitted: true }) as const,
    random: {
      x25519: () => x25519FromPrivate(hex(side.ephemeral)),
      kemKeys: () => kem,
      encapsulate: () => ({ ciphertext: hex(responder.kemCiphertext), secret: hex(responder.kemSecret) }),
    } satisfies HandshakeRandom,
  });
  const [aliceParts, bobParts] = [parts(initiator), parts(responder)];
  expect([aliceParts.identity.id, bobParts.identity.id]).toEqual([initiator.peerId, responder.peerId]);
  const invite = { id: initiator.invite.id, secret: hex(initiator.invite.secret) };
  const alice = new InitiatorHandshake({ ...aliceParts, expected: bobParts.identity.id, invite });
  const cookies = new CookieJar({ monotonicMs: clock.monotonicMs });
  const bob = new ResponderHandshake({ ...bobParts, remoteAddress: '192.0.2.1', cookies, cookieRequired: () => false });

  const played = play(alice, bob);
  const { init, response, finish, welcome } = vector.messages;
  expect(played.messages.map((message) => message.toString('hex'))).toEqual([init, response, finish, welcome]);
  const sides = { initiator: established(played.initiator), responder: established(played.responder) };
  expect(sides.initiator.sessionId.toString('hex')).toBe(vector.sessionId);
  expect(sides.initiator.handshakeHash.toString('hex')).toBe(vector.handshakeHash);
  expect(sides.responder.hello.invite?.mac).toBe(vector.inviteMac);
  for (const { from, prefix, plaintext, record } of vector.records) {
    const [sender, receiver] = from === 'initiator' ? [sides.initiator, sides.responder] : [sides.responder, sides.initiator];
    const sealed = sender.send.seal(hex(prefix), hex(plaintext));
    expect(sealed.toString('hex')).toBe(record);
    expect(receiver.receive.open(sealed, hex(prefix).length).toString('hex')).toBe(plaintext);
  }
});
