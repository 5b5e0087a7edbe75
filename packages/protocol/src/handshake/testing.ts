import { createIdentity, type Identity } from '../keys.ts';
import { createX25519 } from '../noise/x25519.ts';
import { CookieJar } from './cookie-jar.ts';
import type { Hello } from './hello.ts';
import { InitiatorHandshake, type InitiatorParts } from './initiator-handshake.ts';
import { createKemKeys, encapsulateTo } from './kem.ts';
import { ResponderHandshake, type ResponderParts } from './responder-handshake.ts';
import type { Established, HandshakeRandom, HandshakeStep } from './step.ts';

/** Wall and monotonic time that stand still until moved. */
export class TestClock {
  wallMs: number;
  steadyMs = 0;

  constructor(wallMs = 1_700_000_000_000) {
    this.wallMs = wallMs;
  }

  now = (): number => this.wallMs;
  monotonicMs = (): number => this.steadyMs;

  advance(ms: number): void {
    this.wallMs += ms;
    this.steadyMs += ms;
  }
}

/** Randomness that gives the same keys, and the same secret for the same KEM key, each time. */
export function repeatingRandom(): HandshakeRandom {
  const [ephemeral, kem] = [createX25519(), createKemKeys()];
  const secrets = new Map<string, ReturnType<typeof encapsulateTo>>();
  return {
    x25519: () => ephemeral,
    kemKeys: () => kem,
    encapsulate: (publicBytes) => {
      const name = Buffer.from(publicBytes).toString('base64');
      const known = secrets.get(name) ?? encapsulateTo(publicBytes);
      secrets.set(name, known);
      return known;
    },
  };
}

/** A pair of nodes that can shake hands as often as a test likes, with the same keys and the same bytes each time. */
export function createPair() {
  const [alice, bob] = [createIdentity(), createIdentity()];
  const clock = new TestClock();
  const cookies = new CookieJar({ monotonicMs: clock.monotonicMs });
  const admitted: { id: string; hello: Hello; binding: Buffer }[] = [];
  const common = (identity: Identity, name: string) => ({
    identity,
    staticKey: createX25519(),
    hello: { name, boot: 'ab'.repeat(16), features: ['streams'] },
    clock,
    admit: (peer: { id: string }, hello: Hello, binding: Buffer) => {
      admitted.push({ id: peer.id, hello, binding });
      return { admitted: true } as const;
    },
    random: repeatingRandom(),
  });
  const aliceParts: InitiatorParts = { ...common(alice, 'alice'), expected: bob.id };
  const bobParts: ResponderParts = {
    ...common(bob, 'bob'),
    remoteAddress: '192.0.2.1',
    cookies,
    cookieRequired: () => false,
  };
  return {
    alice,
    bob,
    clock,
    cookies,
    admitted,
    initiator: (change: Partial<InitiatorParts> = {}) => new InitiatorHandshake({ ...aliceParts, ...change }),
    responder: (change: Partial<ResponderParts> = {}) => new ResponderHandshake({ ...bobParts, ...change }),
  };
}

/** What each side came to, and the messages that were sent. */
export interface Played {
  readonly initiator: HandshakeStep;
  readonly responder: HandshakeStep;
  readonly messages: readonly Buffer[];
}

/** Plays a handshake to its end; `tamper` may change each message on its way, or drop it. */
export function play(
  initiator: InitiatorHandshake,
  responder: ResponderHandshake,
  tamper: (message: Buffer, index: number) => Buffer | undefined = (message) => message,
): Played {
  const messages: Buffer[] = [];
  let steps: { initiator: HandshakeStep; responder: HandshakeStep } = { initiator: {}, responder: {} };
  let next: Buffer | undefined = initiator.start();
  for (let toResponder = true; next !== undefined; toResponder = !toResponder) {
    messages.push(next);
    const arrived = tamper(next, messages.length - 1);
    if (arrived === undefined) break;
    const step: HandshakeStep = toResponder ? responder.receive(arrived) : initiator.receive(arrived);
    steps = toResponder ? { ...steps, responder: step } : { ...steps, initiator: step };
    next = step.send;
  }
  return { ...steps, messages };
}

/** @throws Error when the step established nothing. */
export function established(step: HandshakeStep): Established {
  if (step.established === undefined) throw step.refused ?? new Error('not established');
  return step.established;
}
