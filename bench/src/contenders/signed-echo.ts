import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { type Contender, type Facts, fact } from '../contender.ts';
import type { EchoAnswer, EchoCall } from '../payload.ts';
import { PendingCalls } from '../pending.ts';
import { openSocket, serveSockets } from '../sockets.ts';

const SIGNATURE_BYTES = 64;

/** The bare echo with an Ed25519 signature in front of every message, made by its sender and checked by its receiver. */
export const signedEcho: Contender = {
  name: 'signed-echo',
  title: 'the same, each message signed',
  missing: () => null,

  async prepare() {
    return { facts: { ...createKeys('server'), ...createKeys('caller') }, async [Symbol.asyncDispose]() {} };
  },

  serve(facts) {
    const own = privateKey(facts, 'server');
    const other = publicKey(facts, 'caller');
    return serveSockets((message) => {
      const { id, params }: EchoCall = JSON.parse(openSigned(message, other));
      return seal({ id, result: params }, own);
    });
  },

  async connect(facts) {
    const own = privateKey(facts, 'caller');
    const other = publicKey(facts, 'server');
    const pending = new PendingCalls();
    const socket = await openSocket(fact(facts, 'url'), (message) => {
      const { id, result }: EchoAnswer = JSON.parse(openSigned(message, other));
      pending.settle(id, result);
    });
    return {
      call(params) {
        const { id, answer } = pending.open();
        socket.send(seal({ id, method: 'echo', params }, own));
        return answer;
      },
      async [Symbol.asyncDispose]() {
        socket.terminate();
      },
    };
  },
};

function seal(message: object, key: KeyObject): Buffer {
  const bytes = Buffer.from(JSON.stringify(message));
  return Buffer.concat([sign(null, bytes, key), bytes]);
}

function openSigned(message: Buffer, key: KeyObject): string {
  const bytes = message.subarray(SIGNATURE_BYTES);
  if (!verify(null, bytes, key, message.subarray(0, SIGNATURE_BYTES))) throw new Error('A wrong signature');
  return bytes.toString();
}

function createKeys(side: string): Facts {
  const pair = generateKeyPairSync('ed25519');
  return {
    [`${side}-private`]: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    [`${side}-public`]: pair.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  };
}

function privateKey(facts: Facts, side: string): KeyObject {
  return createPrivateKey(fact(facts, `${side}-private`));
}

function publicKey(facts: Facts, side: string): KeyObject {
  return createPublicKey(fact(facts, `${side}-public`));
}
