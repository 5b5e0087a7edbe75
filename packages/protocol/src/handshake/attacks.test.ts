import { measured } from '@skein/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createIdentity, type Identity, signBytes } from '../keys.ts';
import { HandshakeState } from '../noise/handshake-state.ts';
import { NOISE_PATTERNS } from '../noise/patterns.ts';
import { createX25519 } from '../noise/x25519.ts';
import type { Hello } from './hello.ts';
import { createKemKeys } from './kem.ts';
import { formatInitPayload, frameMessage, SESSION_PROLOGUE } from './messages.ts';
import type { ResponderHandshake } from './responder-handshake.ts';
import { deriveSessionKeys, proofBytes } from './session-keys.ts';
import { createPair, established, play, repeatingRandom } from './testing.ts';

function flipBit(message: Buffer, bit: number): Buffer {
  const flipped = Buffer.from(message);
  flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return flipped;
}

function nobodyEstablished(played: { initiator: { established?: unknown }; responder: { established?: unknown } }): boolean {
  return played.initiator.established === undefined && played.responder.established === undefined;
}

/** An initiator that lies: what it signs and says is the attacker's choice. */
function liar(responder: ResponderHandshake, payload: (transcriptHash: Buffer) => Uint8Array) {
  const noise = new HandshakeState({
    pattern: NOISE_PATTERNS.XX,
    initiator: true,
    prologue: SESSION_PROLOGUE,
    staticKey: createX25519(),
  });
  const { send } = responder.receive(
    frameMessage('init', noise.write(formatInitPayload(createKemKeys().publicBytes, undefined))),
  );
  noise.read((send ?? Buffer.alloc(0)).subarray(1));
  return responder.receive(frameMessage('finish', noise.write(payload)));
}

const HELLO: Hello = { name: 'mallory', boot: '00'.repeat(16), timeMs: 0, features: [] };

function signedHello(signer: Identity, claimed: Uint8Array, proof: Buffer, hello: string = JSON.stringify(HELLO)): Buffer {
  return Buffer.concat([claimed, signBytes(signer, proof), Buffer.from(hello)]);
}

describe('tampering', () => {
  it.each([
    ['init', 0],
    ['finish', 2],
    ['welcome', 3],
  ] as const)('every single-bit flip of the %s is refused', { timeout: 180_000 }, (_name, index) => {
    const pair = createPair();
    const { messages } = play(pair.initiator(), pair.responder());
    const bits = (messages[index]?.length ?? 0) * 8;
    expect(bits).toBeGreaterThan(1_000);
    let accepted = 0;
    for (let bit = 0; bit < bits; bit += 1) {
      const played = play(pair.initiator(), pair.responder(), (message, at) =>
        at === index ? flipBit(message, bit) : message,
      );
      // The responder cannot know that its welcome was changed on the way; the initiator must.
      const fooled = index === 3 ? played.initiator.established !== undefined : !nobodyEstablished(played);
      if (fooled) accepted += 1;
    }
    expect(accepted).toBe(0);
    measured('tampering', { counts: { handshakeFlips: bits } });
  });

  it('every single-bit flip of the response is refused', { timeout: 180_000 }, () => {
    const pair = createPair();
    const response = pair.responder().receive(pair.initiator().start()).send ?? Buffer.alloc(0);
    let refused = 0;
    for (let bit = 0; bit < response.length * 8; bit += 1) {
      const initiator = pair.initiator();
      initiator.start();
      if (initiator.receive(flipBit(response, bit)).refused !== undefined) refused += 1;
    }
    expect(refused).toBe(1_217 * 8);
    measured('tampering', { counts: { handshakeFlips: refused } });
  });

  it('every truncation of every message is refused', { timeout: 180_000 }, () => {
    const pair = createPair();
    const { messages } = play(pair.initiator(), pair.responder());
    for (const [index, { length }] of messages.entries()) {
      for (let cut = 0; cut < length; cut += 1) {
        const played = play(pair.initiator(), pair.responder(), (message, at) =>
          at === index ? message.subarray(0, cut) : message,
        );
        expect(played.initiator.established).toBeUndefined();
        if (index < 3) expect(played.responder.established).toBeUndefined();
      }
    }
  });

  it('a longer message is refused, and a huge one before anything is computed on it', () => {
    const pair = createPair();
    for (const index of [0, 1, 2, 3]) {
      for (const extra of [1, 32, 9_000]) {
        const played = play(pair.initiator(), pair.responder(), (message, at) =>
          at === index ? Buffer.concat([message, Buffer.alloc(extra)]) : message,
        );
        expect(played.initiator.established).toBeUndefined();
      }
    }
  });

  it('junk never throws and never establishes', () => {
    const pair = createPair();
    const junk = fc.oneof(
      fc.uint8Array({ maxLength: 2_000 }),
      fc
        .tuple(fc.constantFrom(1, 2, 3, 4, 5, 6), fc.uint8Array({ minLength: 4, maxLength: 1_300 }))
        .map(([type, rest]) => Buffer.from([type, ...rest])),
    );
    fc.assert(
      fc.property(fc.array(junk, { minLength: 1, maxLength: 5 }), fc.boolean(), (messages, afterResponse) => {
        const [initiator, responder] = [pair.initiator(), pair.responder()];
        const response = responder.receive(initiator.start()).send ?? Buffer.alloc(0);
        if (afterResponse) initiator.receive(response);
        for (const message of messages) {
          expect(initiator.receive(Buffer.from(message)).established).toBeUndefined();
          expect(responder.receive(Buffer.from(message)).established).toBeUndefined();
          expect(pair.responder().receive(Buffer.from(message)).established).toBeUndefined();
        }
      }),
      { numRuns: 150 },
    );
  });

  it('a handshake that is over stays over, and takes at most three messages', () => {
    const pair = createPair();
    const responder = pair.responder({ cookieRequired: () => true });
    const init = pair.initiator().start();
    for (let round = 0; round < 3; round += 1) expect(responder.receive(init).send?.[0]).toBe(5);
    expect(responder.receive(init)).toMatchObject({ code: 'malformed', refused: { code: 'invalid' } });
    const over = responder.receive(init);
    expect(over.refused).toBeDefined();
    expect(over.send).toBeUndefined();
  });
});

describe('somebody in the middle', () => {
  it('with keys of its own is refused by a node that knows whom it wants, in 1,000 of 1,000', () => {
    const pair = createPair();
    const init = pair.initiator().start();
    let refused = 0;
    for (let round = 0; round < 1_000; round += 1) {
      const mallory = pair.responder({ identity: createIdentity() });
      const initiator = pair.initiator();
      initiator.start();
      const step = initiator.receive(mallory.receive(init).send ?? Buffer.alloc(0));
      if (step.code === 'wrong-recipient' && step.established === undefined) refused += 1;
    }
    expect(refused).toBe(1_000);
  });

  it('that claims the responder key without having it is refused at the welcome', () => {
    const pair = createPair();
    const forged = { ...pair.bob, privateKey: createIdentity().privateKey };
    const played = play(pair.initiator(), pair.responder({ identity: forged }));
    expect(played.initiator).toMatchObject({ code: 'unauthenticated' });
    expect(played.initiator.established).toBeUndefined();
  });

  it('that claims an initiator key without having it is refused', () => {
    const pair = createPair();
    const forged = { ...pair.alice, privateKey: createIdentity().privateKey };
    const played = play(pair.initiator({ identity: forged }), pair.responder());
    expect(played.responder).toMatchObject({ code: 'unauthenticated' });
    expect(pair.admitted).toEqual([]);
  });

  it('cannot carry the messages of one handshake into another', () => {
    const pair = createPair();
    const recorded = play(pair.initiator(), pair.responder()).messages;
    for (const index of [1, 2, 3]) {
      const [initiator, responder] = [
        pair.initiator({ random: repeatingRandom() }),
        pair.responder({ random: repeatingRandom() }),
      ];
      const played = play(initiator, responder, (message, at) => (at === index ? recorded[index] : message));
      expect(played.initiator.established).toBeUndefined();
      if (index < 3) expect(played.responder.established).toBeUndefined();
    }
  });

  it('cannot replay an old initiator to the responder', () => {
    const pair = createPair();
    const [init, , finish] = play(pair.initiator(), pair.responder()).messages;
    const responder = pair.responder({ random: repeatingRandom() });
    responder.receive(init ?? Buffer.alloc(0));
    expect(responder.receive(finish ?? Buffer.alloc(0))).toMatchObject({ code: 'unauthenticated' });
  });

  it('cannot reflect messages to their sender', () => {
    const pair = createPair();
    const initiator = pair.initiator();
    expect(initiator.receive(initiator.start())).toMatchObject({ code: 'malformed' });
    const responder = pair.responder();
    const response = responder.receive(pair.initiator().start()).send ?? Buffer.alloc(0);
    expect(responder.receive(response)).toMatchObject({ code: 'malformed' });
  });

  it('cannot lead a node to itself', () => {
    const pair = createPair();
    const mirrored = play(pair.initiator({ expected: undefined }), pair.responder({ identity: pair.alice }));
    expect(mirrored.initiator).toMatchObject({ code: 'self' });
    // It stops by itself, before it says anything of itself.
    expect(mirrored.messages.map((message) => message[0])).toEqual([1, 2, 6]);
    const responder = pair.responder();
    const step = liar(responder, (hash) =>
      signedHello(pair.bob, pair.bob.bytes, proofBytes('initiator', hash, pair.bob.id, pair.bob.id)),
    );
    expect(step).toMatchObject({ code: 'self' });
  });
});

describe('a proof', () => {
  const mallory = createIdentity();
  const proofs: readonly [string, (hash: Buffer, bob: Identity) => Buffer][] = [
    ['made for another recipient', (hash) => proofBytes('initiator', hash, mallory.id, createIdentity().id)],
    ['made in the other role', (hash, bob) => proofBytes('responder', hash, mallory.id, bob.id)],
    ['over another transcript', (_hash, bob) => proofBytes('initiator', Buffer.alloc(32), mallory.id, bob.id)],
    ['for another own id', (hash, bob) => proofBytes('initiator', hash, createIdentity().id, bob.id)],
  ];
  it.each(proofs)('%s is refused', (_title, make) => {
    const pair = createPair();
    const step = liar(pair.responder(), (hash) => signedHello(mallory, mallory.bytes, make(hash, pair.bob)));
    expect(step).toMatchObject({ code: 'unauthenticated' });
    expect(pair.admitted).toEqual([]);
  });

  it('that is right lets even a hand-made initiator in: the attacks above fail for their reason', () => {
    const pair = createPair();
    const step = liar(pair.responder(), (hash) =>
      signedHello(mallory, mallory.bytes, proofBytes('initiator', hash, mallory.id, pair.bob.id)),
    );
    expect(established(step).peer.id).toBe(mallory.id);
  });

  it('is checked before anything of the hello is parsed', () => {
    const pair = createPair();
    const step = liar(pair.responder(), (hash) =>
      signedHello(createIdentity(), mallory.bytes, proofBytes('initiator', hash, mallory.id, pair.bob.id), '{"name":'),
    );
    expect(step).toMatchObject({ code: 'unauthenticated' });
  });

  it.each([
    ['no JSON', '{"name":'],
    ['an array', '[]'],
    ['a name of two lines', JSON.stringify({ ...HELLO, name: 'a\nb' })],
    ['a prototype', `{"__proto__":{"name":"x"},"boot":"${'00'.repeat(16)}"}`],
    ['33 features', JSON.stringify({ ...HELLO, features: Array(33).fill('a') })],
    ['a time that is no number', JSON.stringify({ ...HELLO, timeMs: 'now' })],
    ['an invite with a path for an id', JSON.stringify({ ...HELLO, invite: { id: '../../../etc/pw', mac: '00'.repeat(32) } })],
  ])('does not excuse a hello that is %s', (_title, hello) => {
    const pair = createPair();
    const step = liar(pair.responder(), (hash) =>
      signedHello(mallory, mallory.bytes, proofBytes('initiator', hash, mallory.id, pair.bob.id), hello),
    );
    expect(step).toMatchObject({ code: 'malformed' });
    expect(pair.admitted).toEqual([]);
  });
});

describe('the KEM', () => {
  it('cannot be left out: an init or response without it is refused', () => {
    const pair = createPair();
    const noise = new HandshakeState({
      pattern: NOISE_PATTERNS.XX,
      initiator: true,
      prologue: SESSION_PROLOGUE,
      staticKey: createX25519(),
    });
    expect(pair.responder().receive(frameMessage('init', noise.write(Buffer.of(1))))).toMatchObject({ code: 'malformed' });
    const responder = new HandshakeState({
      pattern: NOISE_PATTERNS.XX,
      initiator: false,
      prologue: SESSION_PROLOGUE,
      staticKey: createX25519(),
    });
    const initiator = pair.initiator();
    responder.read(initiator.start().subarray(1));
    expect(initiator.receive(frameMessage('response', responder.write(pair.bob.bytes)))).toMatchObject({ code: 'malformed' });
  });

  it('key that is none is refused', () => {
    const pair = createPair();
    const noise = new HandshakeState({
      pattern: NOISE_PATTERNS.XX,
      initiator: true,
      prologue: SESSION_PROLOGUE,
      staticKey: createX25519(),
    });
    const init = frameMessage('init', noise.write(formatInitPayload(Buffer.alloc(1_184, 0xff), undefined)));
    expect(pair.responder().receive(init)).toMatchObject({ code: 'unauthenticated' });
  });

  it('secret is needed: with all X25519 secrets known, a swapped KEM secret opens nothing', () => {
    const pair = createPair();
    const random = repeatingRandom();
    const swapped = { ...random, encapsulate: (key: Uint8Array) => ({ ...random.encapsulate(key), secret: Buffer.alloc(32) }) };
    const played = play(pair.initiator(), pair.responder({ random: swapped }));
    expect(played.initiator).toMatchObject({ code: 'unauthenticated' });
  });

  it('secret, the Noise keys and the transcript each change every key and the session id', () => {
    const base = {
      split: [Buffer.alloc(32, 1), Buffer.alloc(32, 2)] as const,
      kemSecret: Buffer.alloc(32, 3),
      handshakeHash: Buffer.alloc(32, 4),
    };
    const variants = [
      base,
      { ...base, kemSecret: Buffer.alloc(32) },
      { ...base, handshakeHash: Buffer.alloc(32) },
      { ...base, split: [Buffer.alloc(32), Buffer.alloc(32, 2)] as const },
      { ...base, split: [Buffer.alloc(32, 1), Buffer.alloc(32)] as const },
    ];
    const seen = variants.flatMap((secrets) => {
      const keys = deriveSessionKeys(secrets);
      const sealed = [keys.initiatorToResponder, keys.responderToInitiator].map((cipher) =>
        cipher.seal(Buffer.alloc(0), Buffer.alloc(16)).toString('hex'),
      );
      return [...sealed, keys.sessionId.toString('hex')];
    });
    expect(new Set(seen).size).toBe(3 * variants.length);
  });
});

describe('another version', () => {
  it('is refused by name, whatever the length of its init', () => {
    const pair = createPair();
    const init = Buffer.from(pair.initiator().start());
    init[33] = 2;
    for (const message of [init, init.subarray(0, 60), Buffer.concat([init, Buffer.alloc(500)])]) {
      const step = pair.responder().receive(message);
      expect(step).toMatchObject({ code: 'version' });
      expect(pair.initiator().receive(step.send ?? Buffer.alloc(0))).toMatchObject({
        code: 'version',
        refused: { code: 'unsupported' },
      });
    }
  });
});

describe('cookies', () => {
  it('are demanded when the listener says so, before any costly step, and then let the initiator in', () => {
    const pair = createPair();
    let encapsulations = 0;
    const random = repeatingRandom();
    const counting = {
      ...random,
      encapsulate: (key: Uint8Array) => {
        encapsulations += 1;
        return random.encapsulate(key);
      },
    };
    const atEachMessage: number[] = [];
    const played = play(pair.initiator(), pair.responder({ random: counting, cookieRequired: () => true }), (message) => {
      atEachMessage.push(encapsulations);
      return message;
    });
    expect(played.messages.map((message) => message[0])).toEqual([1, 5, 1, 2, 3, 4]);
    expect(atEachMessage.slice(0, 3)).toEqual([0, 0, 0]);
    expect(established(played.initiator).sessionId).toEqual(established(played.responder).sessionId);
    // A cookie is smaller than the init that asked for it: nobody can be flooded through this node.
    expect(played.messages[1]?.length).toBeLessThan(played.messages[0]?.length ?? 0);
  });

  it('are good for their address and key only, and for at most two minutes', () => {
    const pair = createPair();
    const key = Buffer.alloc(32, 1);
    const cookie = pair.cookies.make('192.0.2.1', key);
    expect(pair.cookies.check('192.0.2.1', key, cookie)).toBe(true);
    expect(pair.cookies.check('192.0.2.2', key, cookie)).toBe(false);
    expect(pair.cookies.check('192.0.2.1', Buffer.alloc(32, 2), cookie)).toBe(false);
    expect(pair.cookies.check('192.0.2.1', key, cookie.subarray(1))).toBe(false);
    pair.clock.advance(61_000);
    expect(pair.cookies.check('192.0.2.1', key, cookie)).toBe(true);
    pair.clock.advance(61_000);
    expect(pair.cookies.check('192.0.2.1', key, cookie)).toBe(false);
  });

  it('end the handshake when they are demanded twice', () => {
    const pair = createPair();
    const initiator = pair.initiator();
    initiator.start();
    const cookie = Buffer.concat([Buffer.of(5), Buffer.alloc(32)]);
    expect(initiator.receive(cookie).send?.[0]).toBe(1);
    expect(initiator.receive(cookie)).toMatchObject({ code: 'malformed' });
  });
});
