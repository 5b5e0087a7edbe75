import { describe, expect, it } from 'vitest';
import { createIdentity } from '../keys.ts';
import { HELLO_BYTES_MAX } from '../limits.ts';
import { openLateRefusal } from './refusal.ts';
import { inviteMac } from './session-keys.ts';
import { systemHandshakeRandom } from './step.ts';
import { createPair, established, play, TestClock } from './testing.ts';

describe('a handshake', () => {
  it('ends with both sides holding the same session and the keys of each other', () => {
    const pair = createPair();
    const played = play(pair.initiator(), pair.responder());
    const [a, b] = [established(played.initiator), established(played.responder)];
    expect(a.peer.id).toBe(pair.bob.id);
    expect(b.peer.id).toBe(pair.alice.id);
    expect([a.hello.name, b.hello.name]).toEqual(['bob', 'alice']);
    expect(a.sessionId).toHaveLength(16);
    expect(a.sessionId).toEqual(b.sessionId);
    expect(a.handshakeHash).toEqual(b.handshakeHash);
    expect([a.initiator, b.initiator]).toEqual([true, false]);
    for (const text of ['1', '2']) {
      expect(b.receive.open(a.send.seal(Buffer.from('p'), Buffer.from(text)), 1).toString()).toBe(text);
      expect(a.receive.open(b.send.seal(Buffer.from('p'), Buffer.from(text)), 1).toString()).toBe(text);
    }
  });

  it('has fresh keys and another session id each time', () => {
    const pair = createPair();
    const fresh = { random: systemHandshakeRandom };
    const ids = [1, 2].map(() => established(play(pair.initiator(fresh), pair.responder(fresh)).initiator).sessionId);
    expect(ids[0]).not.toEqual(ids[1]);
    expect(pair.initiator(fresh).start()).not.toEqual(pair.initiator(fresh).start());
  });

  it('shows neither identity nor hello of the initiator on the wire', () => {
    const pair = createPair();
    const bytes = Buffer.concat([...play(pair.initiator(), pair.responder()).messages]);
    for (const secret of [pair.alice.bytes, pair.bob.bytes, Buffer.from('alice'), Buffer.from('"name":"bob"')]) {
      expect(bytes.includes(Buffer.from(secret))).toBe(false);
    }
  });

  it('takes four messages of at most 8 KiB in all', () => {
    const pair = createPair();
    const { messages } = play(pair.initiator(), pair.responder());
    expect(messages.map((message) => message[0])).toEqual([1, 2, 3, 4]);
    expect(messages.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(4_096);
  });

  it('measures the other clock on both sides to within half of the round trip', () => {
    const pair = createPair();
    const bobClock = new TestClock(pair.clock.wallMs + 30_000);
    const bothPass = (message: Buffer) => {
      pair.clock.advance(40);
      bobClock.advance(40);
      return message;
    };
    const played = play(pair.initiator(), pair.responder({ clock: bobClock }), bothPass);
    expect(Math.abs(established(played.initiator).clockOffsetMs - 30_000)).toBeLessThanOrEqual(40);
    expect(Math.abs(established(played.responder).clockOffsetMs + 30_000)).toBeLessThanOrEqual(40);
  });

  it('tells admit at first contact which key answered', () => {
    const pair = createPair();
    const seen: string[] = [];
    const admit = (peer: { id: string }) => {
      seen.push(peer.id);
      return { admitted: true } as const;
    };
    const played = play(pair.initiator({ expected: undefined, admit }), pair.responder());
    expect(established(played.initiator).peer.id).toBe(pair.bob.id);
    expect(seen).toEqual([pair.bob.id]);
  });

  it('carries the proof of an invitation, bound to this handshake', () => {
    const pair = createPair();
    const secret = Buffer.alloc(16, 9);
    play(pair.initiator({ invite: { id: '0123456789abcdef', secret } }), pair.responder());
    const [atBob, atAlice] = pair.admitted;
    expect(atBob?.hello.invite?.id).toBe('0123456789abcdef');
    expect(atBob?.hello.invite?.mac).toBe(inviteMac(secret, atBob?.binding ?? Buffer.alloc(0)).toString('hex'));
    expect(atAlice?.hello.invite).toBeUndefined();
    const other = createPair();
    play(other.initiator({ invite: { id: '0123456789abcdef', secret } }), other.responder());
    expect(other.admitted[0]?.binding).not.toEqual(atBob?.binding);
  });

  it('says before the first byte when this node does not fit: itself as peer, or a hello too large', () => {
    const pair = createPair();
    expect(() => pair.initiator({ expected: pair.alice.id })).toThrow(expect.objectContaining({ code: 'conflict' }));
    const features = Array.from({ length: 33 }, (_, index) => `f${index}`);
    const hello = { name: 'alice', boot: 'ab'.repeat(16), features };
    expect(play(pair.initiator({ hello }), pair.responder()).initiator).toMatchObject({ code: 'malformed' });
    expect(HELLO_BYTES_MAX).toBe(2_048);
  });
});

describe('a refusal by admit', () => {
  const refusing = (code: 'untrusted' | 'revoked' | 'busy' | 'invite-invalid') => () =>
    ({ admitted: false, code, retryAfterMs: 1_234 }) as const;

  it('names to each side the command that helps, with the key it is about', () => {
    const pair = createPair();
    const played = play(pair.initiator(), pair.responder({ admit: refusing('untrusted') }));
    const line = `skein-ed25519 ${Buffer.from(pair.alice.bytes).toString('base64')} alice`;
    expect(played.initiator).toMatchObject({ code: 'untrusted', refused: { code: 'denied' } });
    expect(played.initiator.refused?.message).toContain(`On the other machine run: skein net trust "${line}"`);
    expect(played.responder.refused?.message).toContain(`skein net trust "${line}"`);
    expect(played.initiator.established ?? played.responder.established).toBeUndefined();
  });

  it.each(['untrusted', 'revoked', 'busy', 'invite-invalid'] as const)('%s arrives sealed, with when to come back', (code) => {
    const pair = createPair();
    const played = play(pair.initiator(), pair.responder({ admit: refusing(code) }));
    expect(played.initiator.code).toBe(code);
    expect(played.initiator.refused?.retryAfterMs).toBe(1_234);
    const refusal = played.messages[3];
    expect(refusal?.subarray(0, 2)).toEqual(Buffer.of(6, 1));
    expect(refusal).toHaveLength(2 + 5 + 16);
  });

  it('also ends the session for an initiator that does not want the key which answered', () => {
    const pair = createPair();
    const played = play(pair.initiator({ expected: undefined, admit: refusing('untrusted') }), pair.responder());
    expect(played.initiator).toMatchObject({ code: 'untrusted' });
    expect(played.initiator.established).toBeUndefined();
    expect(played.initiator.refused?.message).toMatch(/^The key of the node that answered is not trusted/);
  });

  it('of a welcome reaches the responder sealed, in the place of the first record', () => {
    const pair = createPair();
    const initiator = pair.initiator({ expected: undefined, admit: refusing('untrusted') });
    const played = play(initiator, pair.responder(), (message, index) => (index === 4 ? undefined : message));
    const refusal = played.messages[4] ?? Buffer.alloc(0);
    expect(refusal.subarray(0, 2)).toEqual(Buffer.of(6, 1));
    const { receive } = established(played.responder);
    expect(openLateRefusal(Buffer.of(0x10, 1, 2), receive, 'the line')).toBeUndefined();
    expect(() => openLateRefusal(Buffer.of(6, 0, 7, 0, 0, 0, 0), receive, 'the line')).toThrow('in the clear');
    expect(openLateRefusal(refusal, receive, 'the line')).toMatchObject({
      code: 'denied',
      message: expect.stringContaining('On the other machine run: skein net trust "the line"'),
    });
  });

  it('stands for an admit that throws, without its words', () => {
    const pair = createPair();
    const admit = () => {
      throw new Error('database is locked');
    };
    const played = play(pair.initiator(), pair.responder({ admit }));
    expect(played.initiator).toMatchObject({ code: 'unavailable', refused: { code: 'unavailable' } });
    expect(played.initiator.refused?.message).not.toContain('database');
    expect(played.responder.refused?.cause).toMatchObject({ message: 'database is locked' });
  });

  it('is told to a node that reaches another key than it expects, before it says who it is', () => {
    const pair = createPair();
    const played = play(pair.initiator({ expected: createIdentity().id }), pair.responder());
    expect(played.initiator).toMatchObject({ code: 'wrong-recipient' });
    expect(played.initiator.refused?.message).toContain(Buffer.from(pair.bob.bytes).toString('base64'));
    expect(played.responder).toMatchObject({ code: 'wrong-recipient' });
    expect(played.messages.map((message) => message[0])).toEqual([1, 2, 6]);
  });
});
