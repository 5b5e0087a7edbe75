import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { HandshakeState, type NoiseTransport } from './handshake-state.ts';
import { NOISE_PATTERNS, type NoisePattern } from './patterns.ts';
import { createX25519, x25519FromPrivate } from './x25519.ts';

const message = z.object({ from: z.enum(['initiator', 'responder']), payload: z.string(), message: z.string() });
const vectorSchema = z.object({
  source: z.string(),
  pattern: z.enum(['XX', 'XXpsk2', 'KKpsk0']),
  prologue: z.string(),
  psk: z.string().optional(),
  initiatorStatic: z.string(),
  initiatorEphemeral: z.string(),
  responderStatic: z.string(),
  responderEphemeral: z.string(),
  /** Of the finished handshake. */
  handshakeHash: z.string().optional(),
  /** What the cacophony vectors give in its place. */
  hashBeforeLastMessage: z.string().optional(),
  handshake: z.array(message),
  transport: z.array(message),
});
type Vector = z.infer<typeof vectorSchema>;

const { vectors } = z
  .object({ vectors: z.array(vectorSchema) })
  .parse(JSON.parse(readFileSync(new URL('../../vectors/noise.json', import.meta.url), 'utf8')));

const hex = (text: string): Buffer => Buffer.from(text, 'hex');

function sidesOf(vector: Vector): { initiator: HandshakeState; responder: HandshakeState } {
  const staticKeys = {
    initiator: x25519FromPrivate(hex(vector.initiatorStatic)),
    responder: x25519FromPrivate(hex(vector.responderStatic)),
  };
  const common = {
    pattern: NOISE_PATTERNS[vector.pattern],
    prologue: hex(vector.prologue),
    ...(vector.psk === undefined ? {} : { psk: hex(vector.psk) }),
  };
  return {
    initiator: new HandshakeState({
      ...common,
      initiator: true,
      staticKey: staticKeys.initiator,
      ephemeral: x25519FromPrivate(hex(vector.initiatorEphemeral)),
      remoteStatic: staticKeys.responder.publicBytes,
    }),
    responder: new HandshakeState({
      ...common,
      initiator: false,
      staticKey: staticKeys.responder,
      ephemeral: x25519FromPrivate(hex(vector.responderEphemeral)),
      remoteStatic: staticKeys.initiator.publicBytes,
    }),
  };
}

/** Two sides of a pattern with fresh keys, and the payload-less messages between them. */
function freshSides(pattern: NoisePattern, psk: { initiator?: Buffer; responder?: Buffer } = {}) {
  const [own, other] = [createX25519(), createX25519()];
  const initiator = new HandshakeState({
    pattern,
    initiator: true,
    prologue: Buffer.from('a'),
    staticKey: own,
    remoteStatic: other.publicBytes,
    ...(psk.initiator === undefined ? {} : { psk: psk.initiator }),
  });
  const responder = new HandshakeState({
    pattern,
    initiator: false,
    prologue: Buffer.from('a'),
    staticKey: other,
    remoteStatic: own.publicBytes,
    ...(psk.responder === undefined ? {} : { psk: psk.responder }),
  });
  return { initiator, responder };
}

function finish({ initiator, responder }: ReturnType<typeof freshSides>): {
  initiator: NoiseTransport;
  responder: NoiseTransport;
} {
  while (!initiator.finished) {
    responder.read(initiator.write(Buffer.alloc(0)));
    if (!responder.finished) initiator.read(responder.write(Buffer.alloc(0)));
  }
  return { initiator: initiator.split(), responder: responder.split() };
}

describe('published Noise vectors', () => {
  it.each(vectors.map((vector) => [vector.pattern, vector.source, vector] as const))(
    '%s of %s is met byte for byte',
    (_p, _s, vector) => {
      const sides = sidesOf(vector);
      let hashBefore = '';
      for (const { from, payload, message: expected } of vector.handshake) {
        hashBefore = sides.initiator.transcriptHash.toString('hex');
        const [writer, reader] = from === 'initiator' ? [sides.initiator, sides.responder] : [sides.responder, sides.initiator];
        const written = writer.write(hex(payload));
        expect(written.toString('hex')).toBe(expected);
        expect(reader.read(written).toString('hex')).toBe(payload);
        expect(reader.payloadHash).toEqual(writer.payloadHash);
      }
      expect(sides.responder.transcriptHash).toEqual(sides.initiator.transcriptHash);
      if (vector.handshakeHash !== undefined) expect(sides.initiator.transcriptHash.toString('hex')).toBe(vector.handshakeHash);
      if (vector.hashBeforeLastMessage !== undefined) expect(hashBefore).toBe(vector.hashBeforeLastMessage);
      const ciphers = { initiator: sides.initiator.split(), responder: sides.responder.split() };
      for (const { from, payload, message: expected } of vector.transport) {
        const [sender, receiver] =
          from === 'initiator' ? [ciphers.initiator, ciphers.responder] : [ciphers.responder, ciphers.initiator];
        const sealed = sender.send.encryptWithAd(Buffer.alloc(0), hex(payload));
        expect(sealed.toString('hex')).toBe(expected);
        expect(receiver.receive.decryptWithAd(Buffer.alloc(0), sealed).toString('hex')).toBe(payload);
      }
    },
  );

  it('cover every pattern of the engine', () => {
    expect(new Set(vectors.map(({ pattern }) => pattern))).toEqual(new Set(Object.keys(NOISE_PATTERNS)));
  });
});

describe('a Noise handshake', () => {
  it('is refused with another pre-shared key, at the first message that uses it', () => {
    const kk = freshSides(NOISE_PATTERNS.KKpsk0, { initiator: Buffer.alloc(32, 1), responder: Buffer.alloc(32, 2) });
    const first = kk.initiator.write(Buffer.alloc(0));
    expect(() => kk.responder.read(first)).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
    const xx = freshSides(NOISE_PATTERNS.XXpsk2, { initiator: Buffer.alloc(32, 1), responder: Buffer.alloc(32, 2) });
    xx.responder.read(xx.initiator.write(Buffer.alloc(0)));
    const second = xx.responder.write(Buffer.alloc(0));
    expect(() => xx.initiator.read(second)).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
  });

  it('is refused when the prologues differ', () => {
    const parts = { pattern: NOISE_PATTERNS.XX, staticKey: createX25519() };
    const initiator = new HandshakeState({ ...parts, initiator: true, prologue: Buffer.from('a') });
    const responder = new HandshakeState({ ...parts, initiator: false, prologue: Buffer.from('b') });
    responder.read(initiator.write(Buffer.alloc(0)));
    const second = responder.write(Buffer.alloc(0));
    expect(() => initiator.read(second)).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
  });

  it('refuses an ephemeral key of small order', () => {
    const { responder } = freshSides(NOISE_PATTERNS.XX);
    responder.read(Buffer.alloc(32));
    expect(() => responder.write(Buffer.alloc(0))).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
  });

  it('refuses junk with a SkeinError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (junk) => {
        const { initiator, responder } = freshSides(NOISE_PATTERNS.XX);
        initiator.write(Buffer.alloc(0));
        expect(() => initiator.read(junk)).toThrow(expect.objectContaining({ name: 'SkeinError', code: 'unauthenticated' }));
        if (junk.length < 32) expect(() => responder.read(junk)).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
      }),
      { numRuns: 50 },
    );
  });

  it('throws when it is not its turn, when split early, and when a key is missing', () => {
    const { initiator, responder } = freshSides(NOISE_PATTERNS.XX);
    expect(() => responder.write(Buffer.alloc(0))).toThrow(expect.objectContaining({ code: 'internal' }));
    expect(() => initiator.split()).toThrow(expect.objectContaining({ code: 'internal' }));
    const parts = { initiator: true, prologue: Buffer.alloc(0), staticKey: createX25519() };
    expect(() => new HandshakeState({ ...parts, pattern: NOISE_PATTERNS.XXpsk2 })).toThrow(/needs a pre-shared key/);
    expect(() => new HandshakeState({ ...parts, pattern: NOISE_PATTERNS.KKpsk0, psk: Buffer.alloc(32) })).toThrow(/static key/);
    expect(() => new HandshakeState({ ...parts, pattern: NOISE_PATTERNS.XX, psk: Buffer.alloc(32) })).toThrow(/no pre-shared/);
  });

  it('ends in ciphers whose directions differ', () => {
    const { initiator, responder } = finish(freshSides(NOISE_PATTERNS.XX));
    const sealed = initiator.send.seal(Buffer.alloc(0), Buffer.from('x'));
    expect(() => initiator.receive.open(sealed, 0)).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
    expect(responder.receive.open(sealed, 0).toString()).toBe('x');
  });
});
