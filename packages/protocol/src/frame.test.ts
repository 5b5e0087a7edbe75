import { measured, sized, sizedTimeout } from '@skein/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HEADER_BYTES, MESSAGE_TYPE, type MessageType, type Priority, writeMessage } from './envelope.ts';
import { SkeinError } from './errors.ts';
import { FRAME_HEADER_BYTES, parseFrame, proveMessage, routeBetween, signFrame, verifyMessage } from './frame.ts';
import { createIdentity, type Identity } from './keys.ts';
import { FRAME_MESSAGES_MAX } from './limits.ts';
import { CipherState } from './noise/cipher-state.ts';

const SLOW = { timeout: sizedTimeout({ ci: 120_000, full: 3_600_000 }) };
/** Frames whose every bit is flipped: those that are recorded and, beyond them, such with random bodies. */
const FRAMES = sized({ ci: 5, full: 200 });
const MUTATED = sized({ ci: 20_000, full: 100_000 });
/** Of replays; each frame is tried in four or five ways. */
const ROUNDS = sized({ ci: 6_000, full: 46_000 });
const [ALICE, BOB, CAROL] = [createIdentity(), createIdentity(), createIdentity()];
const SESSION = Buffer.alloc(16, 7);
const OTHER_SESSION = Buffer.alloc(16, 8);
const ROUTE = routeBetween(ALICE, BOB, SESSION);

interface Said {
  readonly type: MessageType;
  readonly body: string;
  readonly priority?: Priority;
}

interface Written {
  readonly plaintext: Buffer;
  readonly route: Buffer;
  readonly firstSequence: number;
  readonly sender: Identity;
}

function write(said: readonly Said[], options: Partial<Omit<Written, 'plaintext'>> = {}): Written {
  const { route = ROUTE, firstSequence = 0, sender = ALICE } = options;
  const sizes = said.map(({ body }) => HEADER_BYTES + Buffer.byteLength(body));
  const plaintext = Buffer.alloc(FRAME_HEADER_BYTES + sizes.reduce((sum, size) => sum + size, 0));
  let at = FRAME_HEADER_BYTES;
  const ends = said.map(({ type, body, priority = 'interactive' }, index) => {
    const message = { type, priority, budgetMs: 1_000, call: index + 1, body, bodyBytes: Buffer.byteLength(body) };
    writeMessage(plaintext, at, route, message, { sequence: firstSequence + index, timeMs: 1_700_000_000_000 });
    at += sizes[index] ?? 0;
    return at;
  });
  signFrame(plaintext, ends, route, firstSequence, sender);
  return { plaintext, route, firstSequence, sender };
}

const ask = (body: string): Said => ({ type: MESSAGE_TYPE.request, body });
const SHORT = '{"method":"tools.list","params":{}}';
const LONG = JSON.stringify({ method: 'tools.call', params: { tool: 'shell_exec', input: { command: 'x'.repeat(520) } } });

/** Frames as they cross: one message, several, none with a body, a long one. */
function recorded(): Written[] {
  return [
    write([ask(SHORT)]),
    write([ask(LONG)], { firstSequence: 1_000 }),
    write([ask(SHORT), { type: MESSAGE_TYPE.result, body: '{}' }, { type: MESSAGE_TYPE.cancel, body: '' }], {
      firstSequence: 5,
    }),
    write([ask(LONG), ask(LONG), ask(SHORT)], { firstSequence: 2 ** 32 - 2 }),
    write([{ type: MESSAGE_TYPE.pong, body: '', priority: 'control' }], { firstSequence: 77 }),
  ];
}

/** As many frames as are asked for, each like one of those recorded, with texts and places of its own. */
function recordedAll(): readonly Written[] {
  const random = seeded(20_261_121);
  const some = recorded();
  const types = Object.values(MESSAGE_TYPE);
  while (some.length < FRAMES) {
    const said = Array.from({ length: 1 + Math.floor(3 * random()) }, () => {
      const input = { command: 'x'.repeat(Math.floor(500 * random() ** 2)) };
      return { type: pick(random, types), body: JSON.stringify({ method: 'tools.call', params: { input } }) };
    });
    some.push(write(said, { firstSequence: Math.floor(random() * 2 ** 40) }));
  }
  return some;
}

function isAccepted({ plaintext, route, firstSequence, sender }: Written): boolean {
  try {
    parseFrame(plaintext, route, firstSequence, sender);
    return true;
  } catch (error) {
    if (!(error instanceof SkeinError) || error.code === 'internal') throw error;
    return false;
  }
}

function flip(bytes: Buffer, bit: number): void {
  bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
}

describe('a frame', () => {
  const said = fc.record({
    type: fc.constantFrom(...Object.values(MESSAGE_TYPE)),
    body: fc.string({ unit: 'binary', maxLength: 200 }),
    priority: fc.constantFrom('control', 'interactive', 'bulk'),
  });

  it('is read as it was written, and each message of it proves itself and no other', () => {
    const frames = fc.array(said, { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(frames, fc.integer({ min: 0, max: 2 ** 40 }), (messages, firstSequence) => {
        const { plaintext } = write(messages, { firstSequence });
        const frame = parseFrame(plaintext, ROUTE, firstSequence, ALICE);
        expect(
          frame.messages.map(({ type, priority, bodyStart, bodyEnd }) => ({
            type,
            priority,
            body: plaintext.toString('utf8', bodyStart, bodyEnd),
          })),
        ).toEqual(messages.map((message) => ({ ...message, body: Buffer.from(message.body).toString() })));
        for (const [index, { bodyStart, bodyEnd }] of frame.messages.entries()) {
          const bytes = Buffer.from(plaintext.subarray(bodyStart - HEADER_BYTES, bodyEnd));
          const proof = proveMessage(plaintext, frame, index);
          expect(verifyMessage(bytes, proof, ALICE)).toBe(true);
          expect(verifyMessage(bytes, proof, BOB)).toBe(false);
          expect(verifyMessage(bytes, { ...proof, index: index + 1 }, ALICE)).toBe(false);
          expect(verifyMessage(bytes, { ...proof, index: index + 0.5 }, ALICE)).toBe(false);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('holds up to 256 messages and no more', () => {
    const many = (count: number) => write(Array.from({ length: count }, () => ({ type: MESSAGE_TYPE.pong, body: '' })));
    expect(isAccepted(many(FRAME_MESSAGES_MAX))).toBe(true);
    expect(isAccepted(many(FRAME_MESSAGES_MAX + 1))).toBe(false);
  });

  it('is refused from its own signer when it numbers its messages otherwise, or says they are somebody else’s', () => {
    const { plaintext } = write([ask(SHORT), ask(SHORT)], { firstSequence: 5 });
    const ends = cuts(plaintext).map(([, end]) => end);
    const forged: readonly ((bytes: Buffer, start: number) => void)[] = [
      (bytes, start) => bytes.writeUInt32BE(7, start + 92),
      (bytes, start) => bytes.writeUInt32BE(5, start + 92),
      (bytes, start) => bytes.set(routeBetween(CAROL, BOB, SESSION), start + 8),
      (bytes, start) => bytes.set(routeBetween(ALICE, CAROL, SESSION), start + 8),
      (bytes, start) => bytes.set(routeBetween(ALICE, BOB, OTHER_SESSION), start + 8),
    ];
    for (const forge of forged) {
      const bytes = Buffer.from(plaintext);
      const second = cuts(bytes)[1];
      if (second === undefined) throw new Error('no second message');
      forge(bytes, second[0]);
      signFrame(bytes, ends, ROUTE, 5, ALICE);
      expect(isAccepted({ plaintext: bytes, route: ROUTE, firstSequence: 5, sender: ALICE })).toBe(false);
    }
  });

  it('is refused from random bytes of any length, and never by a fault', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
        expect(isAccepted({ ...write([ask(SHORT)]), plaintext: Buffer.from(bytes) })).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });

  it('is refused cut at every length', () => {
    for (const written of recorded()) {
      for (let length = 0; length < written.plaintext.length; length += 1) {
        expect(isAccepted({ ...written, plaintext: written.plaintext.subarray(0, length) })).toBe(false);
      }
    }
  });
});

describe('somebody who can change what was sent', () => {
  it('gets no frame accepted with any one bit flipped', SLOW, () => {
    let flips = 0;
    for (const written of recordedAll()) {
      expect(isAccepted(written)).toBe(true);
      const { plaintext } = written;
      for (let bit = 0; bit < plaintext.length * 8; bit += 1) {
        flip(plaintext, bit);
        if (isAccepted(written)) expect.fail(`bit ${bit} of ${plaintext.length} bytes does not count`);
        flip(plaintext, bit);
        flips += 1;
      }
      expect(isAccepted(written), 'the frame as it was').toBe(true);
    }
    expect(flips).toBeGreaterThan(25_000);
    measured('tampering', { counts: { frames: FRAMES, flips } });
  });

  it('gets no record opened with any one bit flipped', SLOW, () => {
    let flips = 0;
    const key = Buffer.alloc(32, 9);
    for (const { plaintext } of [...recordedAll(), ...recorded(), ...recorded()]) {
      const record = new CipherState(key).seal(Buffer.of(0x10), plaintext);
      const receiver = new CipherState(key);
      for (let bit = 0; bit < record.length * 8; bit += 1) {
        flip(record, bit);
        expect(() => receiver.open(record, 1)).toThrow(SkeinError);
        flip(record, bit);
        flips += 1;
      }
      expect(receiver.open(record, 1).equals(plaintext), 'the record as it was').toBe(true);
    }
    expect(flips).toBeGreaterThan(75_000);
    measured('tampering', { counts: { flips } });
  });

  it('gets no proof accepted with any one bit of message, digests or signature flipped', SLOW, () => {
    const written = recorded()[2];
    if (written === undefined) throw new Error('no frame');
    const frame = parseFrame(written.plaintext, ROUTE, written.firstSequence, ALICE);
    const [header] = frame.messages;
    if (header === undefined) throw new Error('no message');
    const message = Buffer.from(written.plaintext.subarray(header.bodyStart - HEADER_BYTES, header.bodyEnd));
    const proof = proveMessage(written.plaintext, frame, 0);
    for (const part of [message, ...proof.digests.map((digest) => digest), proof.signature]) {
      const bytes = Buffer.from(part.buffer, part.byteOffset, part.length);
      for (let bit = 0; bit < bytes.length * 8; bit += 1) {
        flip(bytes, bit);
        if (verifyMessage(message, proof, ALICE)) expect.fail(`bit ${bit} of ${bytes.length} bytes does not count`);
        flip(bytes, bit);
      }
    }
    expect(verifyMessage(message, proof, ALICE)).toBe(true);
  });

  it(`gets nothing accepted by changing what the bytes mean: ${MUTATED} mutations`, SLOW, () => {
    const random = seeded(20_240_601);
    const pool = [
      ...recorded(),
      write([ask('{"method":"a","params":1}'), ask('{"method":"b","params":2}')], { firstSequence: 6 }),
      write([ask(SHORT)], { route: routeBetween(ALICE, BOB, OTHER_SESSION) }),
      write([ask(SHORT)], { route: routeBetween(ALICE, CAROL, SESSION) }),
      write([ask(SHORT)], { route: routeBetween(BOB, ALICE, SESSION), sender: BOB }),
      write([ask(SHORT)], { route: routeBetween(CAROL, BOB, SESSION), sender: CAROL }),
      // Mallory signs as herself what says it is from Alice.
      { ...write([ask(SHORT)], { sender: CAROL }), sender: ALICE },
    ];
    const honest = new Set(pool.slice(0, -1).map(keyOf));
    const tried = new Map<string, number>();
    for (let round = 0; [...tried.values()].reduce((sum, count) => sum + count, 0) < MUTATED; round += 1) {
      const name = pick(random, Object.keys(MUTATIONS));
      const changed = MUTATIONS[name]?.(pick(random, pool), pick(random, pool), random);
      if (changed === undefined || honest.has(keyOf(changed))) continue;
      if (isAccepted(changed)) expect.fail(`round ${round}: accepted after "${name}"`);
      tried.set(name, (tried.get(name) ?? 0) + 1);
    }
    for (const name of Object.keys(MUTATIONS)) expect(tried.get(name) ?? 0, name).toBeGreaterThan(300);
    measured('tampering', { counts: { mutations: MUTATED } });
  });
});

/** What a replay in another context is, in the words of the figures. */
const WAY_OF = { session: 'inOtherSessions', recipient: 'toOthers', reflected: 'toTheirSender' } as const;

describe('somebody who recorded what was sent', () => {
  it(
    `gets nothing accepted again: ${22.5 * ROUNDS} replays at other places, in other sessions, to others, back to its sender`,
    SLOW,
    () => {
      const accepted = { later: 0, session: 0, recipient: 0, reflected: 0, sealed: 0 };
      const tried = { atLaterPlaces: 0, inOtherSessions: 0, toOthers: 0, toTheirSender: 0, onTheirSocket: 0 };
      const contexts = {
        session: { route: routeBetween(ALICE, BOB, OTHER_SESSION), sender: ALICE },
        recipient: { route: routeBetween(ALICE, CAROL, SESSION), sender: ALICE },
        reflected: { route: routeBetween(BOB, ALICE, SESSION), sender: BOB },
      };
      const frames = recorded();
      const key = Buffer.alloc(32, 5);
      const receiver = new CipherState(key);
      const sender = new CipherState(key);
      const records = frames.map(({ plaintext }) => sender.seal(Buffer.of(0x10), plaintext));
      for (const record of records) receiver.open(record, 1);
      for (let round = 1; round <= ROUNDS; round += 1) {
        for (const [index, written] of frames.entries()) {
          if (round <= ROUNDS / 2) {
            tried.atLaterPlaces += 1;
            if (isAccepted({ ...written, firstSequence: written.firstSequence + round })) accepted.later += 1;
          }
          for (const name of ['session', 'recipient', 'reflected'] as const) {
            tried[WAY_OF[name]] += 1;
            if (isAccepted({ ...written, ...contexts[name] })) accepted[name] += 1;
          }
          tried.onTheirSocket += 1;
          try {
            receiver.open(records[index] ?? Buffer.alloc(0), 1);
            accepted.sealed += 1;
          } catch (error) {
            expect(SkeinError.from(error).code).toBe('unauthenticated');
          }
        }
      }
      expect(accepted).toEqual({ later: 0, session: 0, recipient: 0, reflected: 0, sealed: 0 });
      const replays = Object.values(tried).reduce((sum, count) => sum + count);
      measured('replay', { counts: { replays, ...tried } });
    },
  );
});

type Mutation = (frame: Written, other: Written, random: () => number) => Written | undefined;

const MUTATIONS: Readonly<Record<string, Mutation>> = {
  'a header field set to another value': (frame, _other, random) => {
    const plaintext = Buffer.from(frame.plaintext);
    const [start] = pick(random, cuts(plaintext));
    const [offset, size] = pick(random, FIELDS);
    const edges = [0, 1, 2, 3, 10, 11, 127, 128, 255, 256, 65_535, 65_536, 2 ** 31, 2 ** 32 - 1];
    const value = random() < 0.5 ? pick(random, edges) : Math.floor(random() * 2 ** 32);
    plaintext.writeUIntBE(value % 2 ** (8 * Math.min(size, 6)), start + offset + Math.max(0, size - 6), Math.min(size, 6));
    return { ...frame, plaintext };
  },
  'a length set to another': (frame, _other, random) => {
    const plaintext = Buffer.from(frame.plaintext);
    const [start, end] = pick(random, cuts(plaintext));
    const bodyBytes = end - start - HEADER_BYTES;
    plaintext.writeUInt32BE(Math.max(0, bodyBytes + Math.floor(random() * 301) - 150), start + 4);
    return { ...frame, plaintext };
  },
  'another count': (frame, _other, random) => {
    const plaintext = Buffer.from(frame.plaintext);
    plaintext.writeUInt16BE(Math.floor(random() * (random() < 0.5 ? 6 : 65_536)), 64);
    return { ...frame, plaintext };
  },
  'another order': (frame, _other, random) => rebuilt(frame, shuffled(messagesOf(frame), random)),
  'a message left out': (frame, _other, random) => {
    const messages = messagesOf(frame);
    return rebuilt(frame, messages.toSpliced(Math.floor(random() * messages.length), 1));
  },
  'a message twice': (frame, _other, random) => {
    const messages = messagesOf(frame);
    return rebuilt(frame, [...messages, pick(random, messages)]);
  },
  'a message of another frame put in': (frame, other, random) => {
    const messages = messagesOf(frame);
    return rebuilt(frame, messages.toSpliced(Math.floor(random() * (messages.length + 1)), 0, pick(random, messagesOf(other))));
  },
  'a message changed for one of another frame': (frame, other, random) => {
    const messages = messagesOf(frame);
    return rebuilt(frame, messages.with(Math.floor(random() * messages.length), pick(random, messagesOf(other))));
  },
  'two frames in one': (frame, other) => rebuilt(frame, [...messagesOf(frame), ...messagesOf(other)]),
  'the signature of another frame': (frame, other) => ({
    ...frame,
    plaintext: Buffer.concat([other.plaintext.subarray(0, 64), frame.plaintext.subarray(64)]),
  }),
  'the beginning of one, the end of another': (frame, other, random) => {
    const at = Math.floor(random() * Math.min(frame.plaintext.length, other.plaintext.length));
    return { ...frame, plaintext: Buffer.concat([frame.plaintext.subarray(0, at), other.plaintext.subarray(at)]) };
  },
  'bytes behind the end': (frame, _other, random) => ({
    ...frame,
    plaintext: Buffer.concat([frame.plaintext, Buffer.alloc(1 + Math.floor(random() * 300), Math.floor(random() * 256))]),
  }),
  'bytes of a body moved to the next message': (frame, _other, random) => {
    const plaintext = Buffer.from(frame.plaintext);
    const at = FRAME_HEADER_BYTES + Math.floor(random() * (plaintext.length - FRAME_HEADER_BYTES - 1));
    const length = 1 + Math.floor(random() * Math.min(40, plaintext.length - at - 1));
    plaintext.copyWithin(at + length, at);
    return { ...frame, plaintext };
  },
  'expected at another place': (frame, _other, random) => ({
    ...frame,
    firstSequence: frame.firstSequence + 1 + Math.floor(random() * 9),
  }),
  'brought into another session': (frame, other) => ({ ...frame, route: other.route, sender: other.sender }),
  'its route rewritten for the taker': (frame, other) => {
    const plaintext = Buffer.from(frame.plaintext);
    for (const [start] of cuts(plaintext)) plaintext.set(other.route, start + 8);
    return { ...frame, plaintext, route: other.route };
  },
};

/** Offset and size of each header field. */
const FIELDS = [
  [0, 1],
  [1, 1],
  [2, 1],
  [3, 1],
  [4, 4],
  [8, 32],
  [40, 32],
  [72, 16],
  [88, 8],
  [96, 8],
  [104, 4],
  [108, 4],
  [112, 8],
  [120, 16],
] as const;

/** Where the messages of a frame as it was written begin and end. */
function cuts(plaintext: Buffer): readonly (readonly [number, number])[] {
  const found: [number, number][] = [];
  for (let at = FRAME_HEADER_BYTES; at < plaintext.length; ) {
    const end = at + HEADER_BYTES + plaintext.readUInt32BE(at + 4);
    found.push([at, end]);
    at = end;
  }
  return found;
}

function messagesOf({ plaintext }: Written): readonly Buffer[] {
  return cuts(plaintext).map(([start, end]) => plaintext.subarray(start, end));
}

function rebuilt(frame: Written, messages: readonly Buffer[]): Written {
  const plaintext = Buffer.concat([frame.plaintext.subarray(0, FRAME_HEADER_BYTES), ...messages]);
  plaintext.writeUInt16BE(messages.length, 64);
  return { ...frame, plaintext };
}

/** What was honestly sent, and is accepted only there. */
function keyOf({ plaintext, route, firstSequence, sender }: Written): string {
  return `${sender.id} ${firstSequence} ${route.toString('base64')} ${plaintext.toString('base64')}`;
}

function shuffled<T>(items: readonly T[], random: () => number): readonly T[] {
  return items
    .map((item) => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

function pick<T>(random: () => number, items: readonly T[]): T {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error('nothing to pick from');
  return item;
}

/** Mulberry32: numbers from 0 to 1 that are the same for the same seed. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
