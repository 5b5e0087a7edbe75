import { createCipheriv, createHash, createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { MESSAGE_TYPE, PRIORITY, parseHeader, traceOf, writeMessage } from './envelope.ts';
import { FRAME_HEADER_BYTES, parseFrame, proveMessage, routeBetween, signFrame, verifyMessage } from './frame.ts';
import { parseIdentity } from './keys.ts';
import { CipherState } from './noise/cipher-state.ts';

const FILE = fileURLToPath(new URL('../vectors/frames.json', import.meta.url));
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const hex = (text: string): Buffer => Buffer.from(text, 'hex');

const ABOUT = {
  what: 'Frames of one direction of one session, from envelope to record. Bytes are hex, numbers decimal, integers on the wire big-endian, bodies UTF-8. The frames are in order: the record of each is sealed with the counter the one before left.',
  sender:
    'seed: Ed25519 private key (RFC 8032). publicKey: raw. idBytes: SHA-256 of publicKey. peerId: idBytes in lower-case base32 without padding.',
  recipient: 'The same for the receiving node.',
  session: 'The 16 bytes both sides took from the handshake.',
  route: 'sender idBytes || recipient idBytes || session.',
  sendKey: 'The ChaCha20-Poly1305 key of this direction at counter 0.',
  frames: {
    firstSequence: 'Number of the frame’s first message in this direction of the session.',
    kind: 'First byte of the record: 16, or 17 when it is the last under its key; then the key becomes REKEY(key) (Noise rev 34, 4.2) and the counter goes on.',
    counter: 'The nonce of the record: 4 zero bytes, then the counter as 8 bytes little-endian.',
    messages:
      'type, priority (0 control, 1 interactive, 2 bulk), sequence, timeMs, budgetMs, call, trace (16 bytes, all zero for none) and body as they stand in `envelope`, which is: version 1, type, priority, 0 (1 byte each), length of body (4), route (80), sequence (8), timeMs (8), budgetMs (4), 0 (4), call (8), trace (16), body. digest: SHA-256 of envelope.',
    signedText: '"skein frame 1\\n" || route || firstSequence (8) || count (2) || digests.',
    signature: 'Ed25519 by the sender over signedText.',
    plaintext: 'signature || count (2) || envelopes.',
    record: 'kind || ciphertext of plaintext || tag, with kind as associated data.',
  },
  proofs:
    'What shows by itself that the sender sent one message: the digests of its frame, its place there, the signature. The signed text is made again from the message’s own route and sequence less index. valid: whether a verifier must accept it.',
  refused: 'Plaintexts that a receiver which expects firstSequence must refuse, however well they decrypt.',
} as const;

const message = z.object({
  type: z.number(),
  priority: z.number(),
  sequence: z.number(),
  timeMs: z.number(),
  budgetMs: z.number(),
  call: z.number(),
  trace: z.string().length(32),
  body: z.string(),
  envelope: z.string(),
  digest: z.string(),
});
const frame = z.object({
  name: z.string(),
  firstSequence: z.number(),
  kind: z.number(),
  counter: z.number(),
  messages: z.array(message),
  signedText: z.string(),
  signature: z.string(),
  plaintext: z.string(),
  record: z.string(),
});
const proof = z.object({
  why: z.string(),
  message: z.string(),
  digests: z.array(z.string()),
  index: z.number(),
  signature: z.string(),
  valid: z.boolean(),
});
const node = z.object({ seed: z.string(), publicKey: z.string(), idBytes: z.string(), peerId: z.string() });
const vectorFile = z.object({
  sender: node,
  recipient: node,
  session: z.string(),
  route: z.string(),
  sendKey: z.string(),
  frames: z.array(frame),
  proofs: z.array(proof),
  refused: z.array(z.object({ why: z.string(), firstSequence: z.number(), plaintext: z.string() })),
});
type Vectors = z.infer<typeof vectorFile>;

it('the published vectors are what a second writer makes of the same text, byte for byte', async () => {
  const text = `${JSON.stringify({ _about: ABOUT, ...writeVectors() }, null, 1)}\n`;
  await expect(text).toMatchFileSnapshot(FILE);
});

describe('the published frames', () => {
  const vectors = vectorFile.parse(JSON.parse(readFileSync(FILE, 'utf8')));
  const [sender, recipient] = [identityOf(vectors.sender.seed), identityOf(vectors.recipient.seed)];
  const route = routeBetween(sender, recipient, hex(vectors.session));

  it('name their nodes and their route', () => {
    expect([sender.id, recipient.id]).toEqual([vectors.sender.peerId, vectors.recipient.peerId]);
    expect(route.toString('hex')).toBe(vectors.route);
  });

  it.each(vectors.frames)('$name: is written as published', (published) => {
    const plaintext = Buffer.alloc(hex(published.plaintext).length);
    let at = FRAME_HEADER_BYTES;
    const ends = published.messages.map(({ type, priority, trace, body, envelope, ...rest }) => {
      const outgoing = {
        ...rest,
        type: typeOf(type),
        priority: priorityOf(priority),
        trace: /^0+$/.test(trace) ? undefined : hex(trace),
        body,
        bodyBytes: Buffer.byteLength(body),
      };
      writeMessage(plaintext, at, route, outgoing, rest);
      expect(plaintext.toString('hex', at, at + envelope.length / 2)).toBe(envelope);
      at += envelope.length / 2;
      return at;
    });
    signFrame(plaintext, ends, route, published.firstSequence, sender);
    expect(plaintext.toString('hex')).toBe(published.plaintext);
  });

  it.each(vectors.frames)('$name: is read as published, and each of its messages proves itself', (published) => {
    const plaintext = hex(published.plaintext);
    const parsed = parseFrame(plaintext, route, published.firstSequence, sender);
    expect(parsed.signedText.toString('hex')).toBe(published.signedText);
    const read = parsed.messages.map(({ bodyStart, bodyEnd, priority, ...header }) => ({
      ...header,
      priority: PRIORITY[priority],
      trace: Buffer.from(traceOf(plaintext, bodyStart) ?? Buffer.alloc(16)).toString('hex'),
      body: plaintext.toString('utf8', bodyStart, bodyEnd),
    }));
    expect(read).toEqual(published.messages.map(({ envelope, digest, ...fields }) => fields));
    for (const [index, { envelope }] of published.messages.entries()) {
      expect(verifyMessage(hex(envelope), proveMessage(plaintext, parsed, index), sender)).toBe(true);
    }
  });

  it('are sealed and opened one after the other as published, through a change of key', () => {
    const [out, back] = [new CipherState(hex(vectors.sendKey)), new CipherState(hex(vectors.sendKey))];
    for (const { kind, counter, plaintext, record } of vectors.frames) {
      expect(out.counter).toBe(counter);
      expect(out.seal(Buffer.of(kind), hex(plaintext)).toString('hex')).toBe(record);
      expect(back.open(hex(record), 1).toString('hex')).toBe(plaintext);
      if (kind === 17) for (const cipher of [out, back]) cipher.rekey();
    }
  });

  it.each(vectors.proofs)('a proof: $why', ({ message: bytes, digests, index, signature, valid }) => {
    const given = { digests: digests.map(hex), index, signature: hex(signature) };
    expect(verifyMessage(hex(bytes), given, sender)).toBe(valid);
  });

  it.each(vectors.refused)('refused: $why', ({ firstSequence, plaintext }) => {
    expect(() => parseFrame(hex(plaintext), route, firstSequence, sender)).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/invalid|denied|unauthenticated|too-large|unsupported/) }),
    );
  });

  it('have a message of every type and every priority', () => {
    const messages = vectors.frames.flatMap(({ messages }) => messages);
    expect([...new Set(messages.map(({ type }) => type))].sort((a, b) => a - b)).toEqual(Object.values(MESSAGE_TYPE));
    expect(new Set(messages.map(({ priority }) => priority)).size).toBe(3);
    expect(messages.every(({ envelope }) => parseHeader(hex(envelope), 0, route).bodyEnd * 2 === envelope.length)).toBe(true);
  });
});

// From here on nothing of the implementation is used but the numbers of types and priorities.

type Fields = Omit<Vectors['frames'][number]['messages'][number], 'envelope' | 'digest' | 'sequence'>;

function writeVectors(): Vectors {
  const [sender, recipient] = [writeNode('11'.repeat(32)), writeNode('22'.repeat(32))];
  const session = '33'.repeat(16);
  const route = sender.idBytes + recipient.idBytes + session;
  const sendKey = '44'.repeat(32);
  const timeMs = 1_767_225_600_000;
  const plain = { priority: 1, timeMs, budgetMs: 0, call: 0, trace: '00'.repeat(16), body: '' };
  const ask = { ...plain, type: 1, budgetMs: 30_000, call: 1, body: '{"method":"tools.list","params":{}}' };
  const lists: readonly (readonly [string, number, number, readonly Fields[]])[] = [
    ['a request alone, with deadline and trace', 0, 16, [{ ...ask, trace: 'a0a1a2a3a4a5a6a7a8a9aaabacadaeaf' }]],
    [
      'one of each type',
      1,
      16,
      [
        { ...ask, call: 2, priority: 2 },
        { ...plain, type: 2, call: 7, body: '{"tools":[]}' },
        { ...plain, type: 3, call: 8, body: '{"code":"busy","message":"later","retryAfterMs":100}' },
        { ...plain, type: 4, call: 9, body: '{"delta":"Grüße, 世界 🌍"}' },
        { ...plain, type: 5, call: 2, priority: 2 },
        { ...plain, type: 6, call: 3, priority: 0, body: '131072' },
        { ...plain, type: 7, body: '{"method":"tools.changed","params":{}}' },
        { ...plain, type: 8, call: 1, priority: 0, body: 'null' },
        { ...plain, type: 9, call: 1, priority: 0 },
        { ...plain, type: 10, priority: 0, body: '{"code":"unavailable","message":"this node is stopping"}' },
      ],
    ],
    [
      'the largest numbers, last of its key',
      2 ** 32 - 1,
      17,
      [
        { ...ask, call: Number.MAX_SAFE_INTEGER, budgetMs: 2 ** 32 - 1, timeMs: 0 },
        { ...ask, call: 2 ** 32, budgetMs: 1, timeMs: 2 ** 48 },
      ],
    ],
    ['the first under the next key', 2 ** 32 + 1, 16, [{ ...plain, type: 9, call: 5, priority: 0 }]],
  ];
  let key = hex(sendKey);
  const frames = lists.map(([name, firstSequence, kind, fields], counter) => {
    const written = writeFrame(sender.seed, route, firstSequence, fields);
    const record = Buffer.concat([Buffer.of(kind), seal(key, counter, Buffer.of(kind), hex(written.plaintext))]);
    if (kind === 17) key = seal(key, 2n ** 64n - 1n, Buffer.alloc(0), Buffer.alloc(32)).subarray(0, 32);
    return { name, firstSequence, kind, counter, ...written, record: record.toString('hex') };
  });
  return { sender, recipient, session, route, sendKey, frames, ...writeJudged(frames, route) };
}

function writeNode(seed: string): Vectors['sender'] {
  const key = privateKeyOf(seed);
  const publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' }).subarray(12);
  const idBytes = createHash('sha256').update(publicKey).digest();
  const bits = [...idBytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const fives = bits.padEnd(260, '0').match(/.{5}/g) ?? [];
  const peerId = fives.map((five) => 'abcdefghijklmnopqrstuvwxyz234567'.charAt(Number.parseInt(five, 2))).join('');
  return { seed, publicKey: publicKey.toString('hex'), idBytes: idBytes.toString('hex'), peerId };
}

function writeFrame(seed: string, route: string, firstSequence: number, fields: readonly Fields[]) {
  const messages = fields.map((field, index) => {
    const sequence = firstSequence + index;
    const body = Buffer.from(field.body);
    const envelope = Buffer.concat([
      Buffer.of(1, field.type, field.priority, 0),
      uint(body.length, 4),
      hex(route),
      uint(sequence, 8),
      uint(field.timeMs, 8),
      uint(field.budgetMs, 4),
      uint(0, 4),
      uint(field.call, 8),
      hex(field.trace),
      body,
    ]);
    const digest = createHash('sha256').update(envelope).digest('hex');
    const { type, priority, timeMs, budgetMs, call, trace } = field;
    return {
      ...{ type, priority, sequence, timeMs, budgetMs, call, trace, body: field.body },
      envelope: envelope.toString('hex'),
      digest,
    };
  });
  const count = uint(messages.length, 2);
  const digests = messages.map(({ digest }) => hex(digest));
  const signedText = Buffer.concat([Buffer.from('skein frame 1\n'), hex(route), uint(firstSequence, 8), count, ...digests]);
  const signature = sign(null, signedText, privateKeyOf(seed));
  const plaintext = Buffer.concat([signature, count, ...messages.map(({ envelope }) => hex(envelope))]);
  return {
    messages,
    signedText: signedText.toString('hex'),
    signature: signature.toString('hex'),
    plaintext: plaintext.toString('hex'),
  };
}

/** What a verifier must say yes and no to. */
function writeJudged(frames: Vectors['frames'], route: string): Pick<Vectors, 'proofs' | 'refused'> {
  const [alone, many] = frames;
  const [first, second, third] = many?.messages ?? [];
  if (alone === undefined || many === undefined || !first || !second || !third) throw new Error('no frames to judge');
  const digests = many.messages.map(({ digest }) => digest);
  const proofOf = (index: number) => ({
    message: many.messages[index]?.envelope ?? '',
    digests,
    index,
    signature: many.signature,
  });
  const lonely = { message: alone.messages[0]?.envelope ?? '', digests: [alone.messages[0]?.digest ?? ''], index: 0 };
  const proofs = [
    { why: 'a message that was alone', ...lonely, signature: alone.signature, valid: true },
    { why: 'the first of ten', ...proofOf(0), valid: true },
    { why: 'the last of ten', ...proofOf(9), valid: true },
    { why: 'another place than its own', ...proofOf(0), index: 1, valid: false },
    { why: 'a place behind the last', ...proofOf(0), index: 10, valid: false },
    { why: 'two digests swapped', ...proofOf(0), digests: [digests[0] ?? '', ...digests.slice(1).reverse()], valid: false },
    { why: 'one digest fewer', ...proofOf(0), digests: digests.slice(0, -1), valid: false },
    { why: 'another frame’s signature', ...proofOf(0), signature: alone.signature, valid: false },
    { why: 'a byte more', ...proofOf(0), message: `${first.envelope}00`, valid: false },
    { why: 'cut short', ...proofOf(0), message: first.envelope.slice(0, 200), valid: false },
  ];
  const { plaintext, signature } = many;
  const inOrder = (...envelopes: readonly string[]) => envelopes.join('');
  const rest = many.messages.slice(2).map(({ envelope }) => envelope);
  const other = route.slice(0, 64) + 'ff'.repeat(32) + route.slice(128);
  const elsewhere = plaintext.replaceAll(route, other);
  const refused = [
    { why: 'came again', firstSequence: 11, plaintext },
    { why: 'came too early', firstSequence: 0, plaintext },
    {
      why: 'its first two messages swapped',
      firstSequence: 1,
      plaintext: `${signature}000a${inOrder(second.envelope, first.envelope, ...rest)}`,
    },
    { why: 'its first message left out', firstSequence: 1, plaintext: `${signature}0009${inOrder(second.envelope, ...rest)}` },
    {
      why: 'one message counted too few',
      firstSequence: 1,
      plaintext: plaintext.replace(`${signature}000a`, `${signature}0009`),
    },
    {
      why: 'one message counted too many',
      firstSequence: 1,
      plaintext: plaintext.replace(`${signature}000a`, `${signature}000b`),
    },
    { why: 'no message at all', firstSequence: 1, plaintext: `${signature}0000` },
    { why: 'to somebody else', firstSequence: 1, plaintext: elsewhere },
    { why: 'a byte behind the last message', firstSequence: 1, plaintext: `${plaintext}00` },
    { why: 'the signature of another frame', firstSequence: 1, plaintext: plaintext.replace(signature, alone.signature) },
    { why: 'ends inside its last body', firstSequence: 1, plaintext: plaintext.slice(0, -2) },
    {
      why: 'a version of tomorrow',
      firstSequence: 0,
      plaintext: alone.plaintext.replace(lonely.message, `02${lonely.message.slice(2)}`),
    },
  ];
  return { proofs, refused };
}

function seal(key: Buffer, counter: number | bigint, ad: Buffer, plaintext: Buffer): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64LE(BigInt(counter), 4);
  const cipher = createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 });
  cipher.setAAD(ad, { plaintextLength: plaintext.length });
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

function uint(value: number, bytes: number): Buffer {
  return hex(value.toString(16).padStart(2 * bytes, '0'));
}

function privateKeyOf(seed: string) {
  return createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, hex(seed)]), format: 'der', type: 'pkcs8' });
}

function identityOf(seed: string) {
  return parseIdentity(privateKeyOf(seed).export({ type: 'pkcs8', format: 'pem' }).toString());
}

function typeOf(number: number) {
  const type = Object.values(MESSAGE_TYPE).find((known) => known === number);
  if (type === undefined) throw new Error(`no type ${number}`);
  return type;
}

function priorityOf(number: number) {
  const names = ['control', 'interactive', 'bulk'] as const;
  const name = names[number];
  if (name === undefined) throw new Error(`no priority ${number}`);
  return name;
}
