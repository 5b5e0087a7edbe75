import { generateKeyPairSync } from 'node:crypto';
import { createIdentity, SkeinError } from '@skein/protocol';
import { VirtualClock } from '@skein/testing';
import { describe, expect, it } from 'vitest';
import type { VoleTrust } from './host.ts';
import { publicHalf } from './keys.ts';
import { type Encryption, MessageWriter } from './message-writer.ts';
import type { Announcement } from './payloads.ts';
import { BoxOpener } from './seal.ts';
import { VoleSigner } from './signature.ts';
import { spkiBase64, voleIdOf } from './vole-id.ts';

const own = createIdentity();
const ownMlDsa = generateKeyPairSync('ml-dsa-65').privateKey;

function keys() {
  return { x25519: generateKeyPairSync('x25519').privateKey, mlKem: generateKeyPairSync('ml-kem-768').privateKey };
}

function announcementOf({ x25519, mlKem }: Partial<ReturnType<typeof keys>>): Announcement {
  return {
    name: 'peer',
    publicKey: '',
    endpoint: '',
    capabilities: [],
    role: 'peer',
    version: '3.0.0',
    ...(x25519 === undefined ? {} : { xPublicKey: spkiBase64(publicHalf(x25519)) }),
    ...(mlKem === undefined ? {} : { mlkemPublicKey: spkiBase64(publicHalf(mlKem)) }),
  };
}

function writerTo(encryption: Encryption = 'prefer') {
  const identity = createIdentity();
  const clock = new VirtualClock();
  const to = voleIdOf(identity);
  let trust: VoleTrust | undefined = { identity, name: 'peer' };
  const signer = new VoleSigner({ identity: own, mlDsa: ownMlDsa, now: () => clock.now() });
  const writer = new MessageWriter({ to, name: 'peer', signer, clock, encryption, trusted: () => trust });
  const write = (type: 'tool:call' | 'ping') => JSON.parse(writer.write(type, { callId: 'c', toolName: 't' }));
  return {
    writer,
    write,
    setTrust: (now: Partial<VoleTrust> | undefined) => {
      trust = now && { identity, name: 'peer', ...now };
    },
    openedBy: (recipient: ReturnType<typeof keys>) => {
      const opener = new BoxOpener(recipient);
      return (message: { payload: { box: never } }) =>
        JSON.parse(opener.open(message.payload.box, `${signer.id}|${to}`).toString());
    },
  };
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return SkeinError.from(error).code;
  }
  return 'none';
}

describe('what is written to a peer', () => {
  it('is nothing once its key is not trusted any more', () => {
    const { write, setTrust } = writerTo();
    write('tool:call');
    setTrust(undefined);
    expect(codeOf(() => write('tool:call'))).toBe('denied');
  });

  it('is sealed to the keys it announced last, but for what is no secret', () => {
    const { writer, write, openedBy } = writerTo();
    const [before, after] = [keys(), keys()];
    expect(write('tool:call').type).toBe('tool:call');
    writer.learn(announcementOf(before), { hasMlDsa: true });
    expect(openedBy(before)(write('tool:call'))).toMatchObject({ type: 'tool:call', payload: { callId: 'c' } });
    expect(write('ping').type).toBe('ping');
    writer.learn(announcementOf(after), { hasMlDsa: true });
    const sealed = write('tool:call');
    expect(openedBy(after)(sealed)).toMatchObject({ type: 'tool:call' });
    expect(() => openedBy(before)(sealed)).toThrow('does not open');
    writer.learn(announcementOf({ x25519: after.x25519 }), { hasMlDsa: true });
    expect(writer.canSeal).toBe(false);
    expect(write('tool:call').type).toBe('tool:call');
  });

  it('is never open where sealing is required, and never sealed where it is off', () => {
    const required = writerTo('require');
    expect(codeOf(() => required.write('tool:call'))).toBe('unsupported');
    expect(required.write('ping').type).toBe('ping');
    required.writer.learn(announcementOf(keys()), { hasMlDsa: true });
    expect(required.write('tool:call').type).toBe('sealed:direct');
    required.writer.learn(announcementOf({}), { hasMlDsa: true });
    expect(codeOf(() => required.write('tool:call'))).toBe('unsupported');
    const off = writerTo('off');
    off.writer.learn(announcementOf(keys()), { hasMlDsa: true });
    expect(off.write('tool:call').type).toBe('tool:call');
  });

  it('has an ML-DSA signature unless the peer is known to have no such key', () => {
    const { writer, write, setTrust } = writerTo();
    expect(write('tool:call').sigPq).toBeTypeOf('string');
    writer.learn(announcementOf({}), { hasMlDsa: false });
    expect(write('tool:call').sigPq).toBeUndefined();
    setTrust({ mlDsa: 'one' });
    writer.learn(announcementOf({}), { hasMlDsa: false });
    expect(write('tool:call').sigPq).toBeTypeOf('string');
  });
});
