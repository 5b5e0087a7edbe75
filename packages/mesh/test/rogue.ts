import {
  createIdentity,
  createX25519,
  type Identity,
  InitiatorHandshake,
  MESSAGE_TYPE,
  type MessageHeader,
  type MessageType,
  type OutgoingMessage,
  type Priority,
} from '@skein/protocol';
import { type Clock, type Connection, createPipe, type Mesh, systemClock } from '../src/index.ts';
import { Link } from '../src/peer/link.ts';
import { runHandshake } from '../src/peer/run-handshake.ts';

/** What came from the other side. */
export interface Heard {
  readonly header: MessageHeader;
  readonly body: string;
}

/** A peer with a true key and a true session that sends whatever it likes in it. */
export class Rogue {
  readonly identity: Identity;
  readonly link: Link;
  readonly heard: Heard[] = [];
  readonly closed: Promise<string>;
  readonly #waiting = new Set<() => void>();
  #calls = 0;

  constructor(identity: Identity, link: Link) {
    this.identity = identity;
    this.link = link;
    const closed = Promise.withResolvers<string>();
    this.closed = closed.promise;
    link.open({
      pending: () => 0,
      message: (header, plaintext) => {
        this.heard.push({ header, body: plaintext.toString('utf8', header.bodyStart, header.bodyEnd) });
        for (const look of this.#waiting) look();
      },
      closed: (reason) => {
        closed.resolve(reason);
        for (const look of this.#waiting) look();
      },
    });
  }

  /** Sends one message of any type with any body; requests get a number of their own. */
  say(type: MessageType, body: string, options: { readonly call?: number; readonly priority?: Priority } = {}): number {
    const call = options.call ?? (type === MESSAGE_TYPE.request ? ++this.#calls : 0);
    const message: OutgoingMessage = {
      type,
      priority: options.priority ?? 'interactive',
      budgetMs: 0,
      call,
      body,
      bodyBytes: Buffer.byteLength(body),
    };
    if (this.link.isOpen) this.link.send(message);
    return call;
  }

  /** Resolves with the answer to a call; rejects when the session ends first. */
  answer(call: number): Promise<Heard> {
    return this.until(() =>
      this.heard.find(
        ({ header }) => header.call === call && (header.type === MESSAGE_TYPE.result || header.type === MESSAGE_TYPE.error),
      ),
    );
  }

  /** Resolves with what `find` finds in what was heard, past or coming. */
  until<T>(find: () => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = find();
        if (found === undefined && this.link.isOpen) return;
        this.#waiting.delete(look);
        if (found === undefined) reject(new Error('the session ended'));
        else resolve(found);
      };
      this.#waiting.add(look);
      look();
    });
  }
}

/** Shakes hands over this connection as anybody would. */
export function connectRogue(connection: Connection, identity = createIdentity(), clock: Clock = systemClock): Promise<Rogue> {
  const handshake = new InitiatorHandshake({
    identity,
    staticKey: createX25519(),
    hello: { name: 'rogue', boot: '0f'.repeat(16), features: [] },
    clock,
    admit: () => ({ admitted: true }),
    expected: undefined,
  });
  return new Promise((resolve, reject) => {
    runHandshake({
      connection,
      clock,
      first: handshake.start(),
      receive: (message) => handshake.receive(message),
      onEstablished: (established) =>
        resolve(new Rogue(identity, new Link({ connection, established, identity, name: 'rogue', clock }))),
      onFailed: reject,
    });
  });
}

/** A rogue that dialled this mesh over a pipe; `through` wraps the mesh's end of it. */
export function dialAsRogue(mesh: Mesh, through: (connection: Connection) => Connection = (far) => far): Promise<Rogue> {
  const [near, far] = createPipe();
  const rogue = connectRogue(near);
  mesh.accept(through(far));
  return rogue;
}
