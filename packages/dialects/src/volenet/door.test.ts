import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createIdentity, type Identity } from '@skein/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MessageDoor } from './door.ts';
import { loadVoleKeys, publicHalf } from './keys.ts';
import type { VoleType } from './payloads.ts';
import { BoxSealer } from './seal.ts';
import { VoleSigner } from './signature.ts';
import { formatVoleLine, spkiBase64, voleIdOf } from './vole-id.ts';

const NOW = 1_700_000_000_000;
const directory = mkdtempSync(path.join(tmpdir(), 'vole-door-'));
const ownKeys = loadVoleKeys(path.join(directory, 'own'));
const peerKeys = loadVoleKeys(path.join(directory, 'peer'));
rmSync(directory, { recursive: true });
const own = createIdentity();
const self = voleIdOf(own);

/** A door that trusts these, and the ways they sign. */
function doorFor(trusted: readonly { readonly identity: Identity; readonly mlDsa?: string }[]) {
  const seen = new Set<string>();
  const pinned: string[] = [];
  let nowMs = NOW;
  const door = new MessageDoor({
    self,
    host: {
      find: (id) => trusted.map((peer) => ({ name: 'peer', ...peer })).find(({ identity }) => voleIdOf(identity) === id),
      pinMlDsa: (_peer, key) => pinned.push(key),
    },
    replay: {
      accept: (peer, id) => {
        if (seen.has(peer + id)) return 'seen';
        seen.add(peer + id);
        return 'new';
      },
    },
    boxKeys: ownKeys,
    now: () => nowMs,
  });
  return {
    pinned,
    at: (ms: number) => {
      nowMs = NOW + ms;
    },
    read: (sent: string | object) => {
      const text = typeof sent === 'string' ? sent : JSON.stringify(sent);
      return door.read(Buffer.isBuffer(sent) ? sent : Buffer.from(text));
    },
  };
}

function signerOf(identity: Identity, { hybrid = false } = {}) {
  const signer = new VoleSigner({ identity, mlDsa: hybrid ? peerKeys.mlDsa : undefined, now: () => NOW });
  return (type: VoleType, payload: unknown, to: ReturnType<typeof voleIdOf> | '*' = self) =>
    signer.sign({ type, to, payload, hybrid }).text;
}

const call = { callId: 'c', toolName: 't', params: {} };

describe('a message is refused', () => {
  const identity = createIdentity();
  const sign = signerOf(identity);

  it('from a key that is not trusted', () => {
    expect(() => doorFor([]).read(sign('ping', {}))).toThrow('not trusted');
  });

  it('for another, and to everybody where it is for one alone', () => {
    const door = doorFor([{ identity }]);
    expect(() => door.read(sign('tool:call', call, voleIdOf(createIdentity())))).toThrow('for another');
    expect(() => door.read(sign('tool:call', call, '*'))).toThrow('for another');
    expect(door.read(sign('leader:heartbeat', {}, '*')).body.type).toBe('leader:heartbeat');
  });

  it('re-addressed by whoever holds it', () => {
    const door = doorFor([{ identity }]);
    const message = JSON.parse(sign('tool:call', call, voleIdOf(createIdentity())));
    expect(() => door.read({ ...message, to: self })).toThrow('signature');
    const broadcast = JSON.parse(sign('memory:sync', { file: 'f', content: 'c', mode: 'append', timestamp: 1 }, '*'));
    expect(() => door.read({ ...broadcast, to: self })).toThrow('signature');
  });

  it('older than 60 s, from more than 5 s ahead, of another version', () => {
    const door = doorFor([{ identity }]);
    const text = sign('ping', {});
    door.at(60_001);
    expect(() => door.read(text)).toThrow('60 s old');
    door.at(-5_001);
    expect(() => door.read(text)).toThrow('ahead');
    door.at(0);
    expect(() => door.read({ ...JSON.parse(text), version: 1 })).toThrow('version');
    door.at(60_000);
    expect(door.read(text).body.type).toBe('ping');
  });

  it('the second time', () => {
    const door = doorFor([{ identity }]);
    const text = sign('tool:call', call);
    door.read(text);
    expect(() => door.read(text)).toThrow('before');
    expect(() => door.read(JSON.stringify(JSON.parse(text), null, 2))).toThrow('before');
  });

  it('with the border between its id and its kind moved', () => {
    const door = doorFor([{ identity }]);
    const message = JSON.parse(sign('tool:call', call));
    expect(() => door.read({ ...message, id: `${message.id}:tool`, type: 'call' })).toThrow('no message');
  });

  it('without its ML-DSA signature from a key that has one, or with another’s', () => {
    const mlDsa = spkiBase64(publicHalf(peerKeys.mlDsa));
    const door = doorFor([{ identity, mlDsa }]);
    expect(() => door.read(sign('ping', {}))).toThrow('ML-DSA');
    const hybrid = signerOf(identity, { hybrid: true });
    const first = JSON.parse(hybrid('ping', {}));
    const second = JSON.parse(hybrid('ping', {}));
    expect(() => door.read({ ...first, sigPq: second.sigPq })).toThrow('ML-DSA');
    expect(door.read(first).body.type).toBe('ping');
  });

  it('for every single bit that is flipped in it', () => {
    const bytes = Buffer.from(sign('tool:call', { ...call, params: { command: 'df' } }));
    const door = doorFor([{ identity }]);
    const heard: number[] = [];
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      try {
        door.read(flipped);
        heard.push(bit);
      } catch {
        // As it must be.
      }
    }
    expect(heard).toEqual([]);
    expect(door.read(bytes).body.type).toBe('tool:call');
  });

  it('that is too deep, too long or no JSON, before anybody asks whose it is', () => {
    const door = doorFor([]);
    expect(() => door.read('['.repeat(100_000))).toThrow('no bounded JSON');
    expect(() => door.read(`{"payload":${'['.repeat(300)}${']'.repeat(300)}}`)).toThrow('no bounded JSON');
    expect(() => door.read('x'.repeat(1_000_001))).toThrow('over 1000000');
    expect(() => door.read('')).toThrow('no bounded JSON');
    for (const text of ['null', '[null]', '1', '"x"', '{}', '{"payload":null}'])
      expect(() => door.read(text)).toThrow('no message');
  });

  it('with a payload too deep to be taken is a request to be refused, once it is known whose it is', () => {
    const deep = (levels: number): unknown => JSON.parse(`${'['.repeat(levels)}${']'.repeat(levels)}`);
    const door = doorFor([{ identity }]);
    const read = (levels: number) =>
      door.read(sign('tool:call', { callId: 'c1', toolName: 'x', params: { a: deep(levels) } })).body;
    expect(read(29).type).toBe('tool:call');
    for (const levels of [30, 200]) {
      expect(read(levels)).toMatchObject({ type: 'unfit', request: 'tool:call', id: 'c1', error: { code: 'invalid' } });
    }
    const text = sign('tool:call', { callId: 'c1', toolName: 'x', params: deep(40) });
    expect(() => doorFor([]).read(text)).toThrow('not trusted');
    expect(() => doorFor([{ identity: createIdentity() }]).read(text)).toThrow('not trusted');
    expect(() => door.read(text.replace('"toolName":"x"', '"toolName":"y"'))).toThrow('signature');
  });

  it('with an answer that does not fit says which it is, once it is known whose it is', () => {
    const door = doorFor([{ identity }]);
    const unfit = { callId: 'c1', success: 'yes' };
    expect(door.read(sign('tool:result', unfit)).body).toMatchObject({
      type: 'unfit-answer',
      answer: 'tool:result',
      id: 'c1',
      error: { code: 'invalid' },
    });
    expect(() => doorFor([]).read(sign('tool:result', unfit))).toThrow('not trusted');
    expect(() => door.read(sign('tool:result', unfit).replace('"c1"', '"c2"'))).toThrow('signature');
    for (const callId of [undefined, null, 7, 'i'.repeat(1_025)])
      expect(() => door.read(sign('tool:result', { ...unfit, callId }))).toThrow('does not fit');
  });

  it('of a kind that is not spoken, or whose payload does not fit', () => {
    const door = doorFor([{ identity }]);
    for (const type of ['relay:deliver', 'file:offer', 'auth:challenge', 'roster', 'constructor', '__proto__']) {
      // Proven by the test's purpose: it says what no signer of ours would.
      const text = sign(type as VoleType, {});
      expect(() => door.read(text)).toThrow(/kind of message/);
    }
    for (const payload of [null, [null], 7, 'x', {}, { callId: null }])
      expect(() => door.read(sign('tool:call', payload))).toThrow('does not fit');
  });
});

describe('a sealed message', () => {
  const identity = createIdentity();
  const sign = signerOf(identity);
  const keys = { x25519: publicHalf(ownKeys.x25519), mlKem: publicHalf(ownKeys.mlKem) };
  const clock = { monotonicMs: () => 0 };
  const seal = (inner: string, aad = `${voleIdOf(identity)}|${self}`) =>
    sign('sealed:direct', { box: new BoxSealer({ to: keys, aad, clock }).seal(inner) });

  it('is what is in it', () => {
    expect(doorFor([{ identity }]).read(seal(sign('tool:call', call)))).toMatchObject({
      sealed: true,
      body: { type: 'tool:call' },
    });
  });

  it('is refused when it holds the message of another, an older one, one for another, or a sealed one', () => {
    const thief = createIdentity();
    const door = doorFor([{ identity }, { identity: thief }]);
    const stolen = signerOf(thief)('tool:call', call);
    expect(() => door.read(seal(stolen))).toThrow('another than its envelope');
    const text = sign('tool:call', call);
    door.read(text);
    expect(() => door.read(seal(text))).toThrow('before');
    expect(() => door.read(seal(sign('tool:call', call, voleIdOf(thief))))).toThrow('for another');
    expect(() => door.read(seal(seal(sign('tool:call', call))))).toThrow('holds a sealed');
    expect(() => door.read(seal(sign('tool:call', call), `${voleIdOf(thief)}|${self}`))).toThrow('does not open');
    expect(() => door.read(seal('not json'))).toThrow('no bounded JSON');
  });
});

describe('an announcement', () => {
  it('makes its ML-DSA key count only when it is signed with that key', () => {
    const identity = createIdentity();
    const publicKey = formatVoleLine(identity, 'peer', publicHalf(peerKeys.mlDsa));
    const payload = { name: 'peer', publicKey };
    const door = doorFor([{ identity }]);
    door.read(signerOf(identity)('discover', payload, '*'));
    expect(door.pinned).toEqual([]);
    door.read(signerOf(identity, { hybrid: true })('discover', payload, '*'));
    expect(door.pinned).toHaveLength(1);
    expect(() => door.read(signerOf(identity)('ping', {}))).toThrow('ML-DSA');
  });

  it('cannot give somebody else a key', () => {
    const [identity, victim] = [createIdentity(), createIdentity()];
    const publicKey = formatVoleLine(victim, 'victim', publicHalf(peerKeys.mlDsa));
    const door = doorFor([{ identity }, { identity: victim }]);
    door.read(signerOf(identity, { hybrid: true })('discover', { name: 'x', publicKey }, '*'));
    expect(door.pinned).toEqual([]);
    expect(door.read(signerOf(victim)('ping', {})).body.type).toBe('ping');
  });
});

describe('the door', () => {
  it('takes back what the signer wrote, whatever JSON is in it', () => {
    const identity = createIdentity();
    const sign = signerOf(identity);
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        // As it will be read: -0 is written 0.
        const params: unknown = JSON.parse(JSON.stringify(value));
        const { body } = doorFor([{ identity }]).read(sign('tool:call', { ...call, params }));
        expect(body).toMatchObject({ type: 'tool:call', payload: { params } });
      }),
      { numRuns: 300 },
    );
  });
});
