import { createPrivateKey } from 'node:crypto';
import { type Identity, parseIdentity } from '@skein/protocol';
import { describe, expect, it } from 'vitest';
import { canonicalJson, canonicalPayload, signedText } from './canonical.ts';
import { MessageDoor } from './door.ts';
import { VoleSigner, verifySignature } from './signature.ts';
import vectors from './vectors/messages.json' with { type: 'json' };
import { formatVoleLine, parseVoleLine, voleIdOf } from './vole-id.ts';

const PKCS8 = '302e020100300506032b657004220420';

function identityOf(who: string): Identity {
  const { seed } = known(who);
  const key = createPrivateKey({ key: Buffer.from(PKCS8 + seed, 'hex'), format: 'der', type: 'pkcs8' });
  return parseIdentity(key.export({ type: 'pkcs8', format: 'pem' }).toString());
}

function known(who: string) {
  const found = who === 'worker' ? vectors.identities.worker : who === 'probe' ? vectors.identities.probe : undefined;
  if (found === undefined) throw new Error(`no identity ${who}`);
  return found;
}

describe('identities of VoleNet', () => {
  it.each(['worker', 'probe'])('gives %s its id and line', (who) => {
    const identity = identityOf(who);
    expect(voleIdOf(identity)).toBe(known(who).id);
    expect(formatVoleLine(identity, who)).toBe(known(who).line);
    expect(parseVoleLine(known(who).line)).toMatchObject({ id: known(who).id, name: who });
  });
});

describe('the canonical form', () => {
  it.each(vectors.canonical)('is $text', ({ value, text }) => {
    expect(canonicalJson(value)).toBe(text);
  });
});

describe('messages of VoleNet', () => {
  it.each(vectors.messages)('$name: has this signed text and this signature', (message) => {
    const identity = identityOf(message.from);
    const from = voleIdOf(identity);
    const to = message.to === '*' ? '*' : known(message.to).id;
    const { id, type, timestamp } = message;
    const text = signedText({ id, type, from, to, timestamp }, canonicalPayload(message.payload));
    if (message.text !== undefined) expect(text).toBe(message.text);
    const bytes = Buffer.from(text);
    expect(verifySignature(identity, { bytes, signature: message.signature, sigPq: undefined })).toBe(true);
  });

  it.each(vectors.messages)('$name: passes the door of the one it is for', (message) => {
    const identity = identityOf(message.from);
    const worker = identityOf('worker');
    const door = new MessageDoor({
      self: voleIdOf(worker),
      host: { find: (id) => (id === voleIdOf(identity) ? { identity, name: message.from } : undefined), pinMlDsa: () => {} },
      replay: { accept: () => 'new' },
      boxKeys: { x25519: worker.privateKey, mlKem: worker.privateKey },
      now: () => message.timestamp + 9,
    });
    const { name: _name, text: _text, from: _from, to, ...fields } = message;
    const sent = { version: 2, ...fields, from: voleIdOf(identity), to: to === '*' ? '*' : known(to).id };
    expect(door.read(Buffer.from(JSON.stringify(sent))).body.type).toBe(message.type);
  });

  it('writes the canonical form it signs', () => {
    const identity = identityOf('probe');
    const signer = new VoleSigner({ identity, mlDsa: undefined, now: () => 1_700_000_000_000 });
    const to = voleIdOf(identityOf('worker'));
    const { text } = signer.sign({ type: 'tool:call', to, payload: { b: 1, a: 'é' }, hybrid: false });
    expect(text).toContain('"payload":{"a":"é","b":1}');
    const parsed = JSON.parse(text);
    const bytes = Buffer.from(signedText(parsed, canonicalPayload(parsed.payload)));
    expect(verifySignature(identity, { bytes, signature: parsed.signature, sigPq: undefined })).toBe(true);
  });
});
