import { type Database, integerOf, type Row, rowChecksum, textOf, verifyRow, type Writer } from '@skein/engine';
import { type PeerId, parsePeerId, SkeinError } from '@skein/protocol';
import { z } from 'zod';

/** Messages that may wait for one peer. */
const WAITING_MAX = 100;
/** Messages listed at once: the latest. */
const LISTED_MAX = 1_000;
const DAY_MS = 86_400_000;

const stateOf = z.enum(['received', 'waiting', 'sent', 'refused']);
const bodyOf = z.string();

/** How long messages are kept, of each peer by itself. */
export interface ChatRetention {
  /** Beyond, the oldest goes; one that waits to be sent counts and stays. */
  readonly maxMessages: number;
  /** Older ones go, those that wait too. */
  readonly maxAgeDays: number;
}

/** A message with a peer as it is kept. */
export interface KeptMessage {
  readonly num: number;
  /** Names it at its sender. */
  readonly id: string;
  readonly peer: PeerId;
  readonly direction: 'in' | 'out';
  /** When it was written, or came in. */
  readonly atMs: number;
  /** `received` of those that came; the others of those to be sent. */
  readonly state: z.infer<typeof stateOf>;
  readonly text: string;
  /** Why it was refused. */
  readonly problem: string | null;
}

export interface ChatStoreParts {
  /** Opened with `chatMigrations`; who opened it closes it. */
  readonly database: Database;
  readonly now: () => number;
  readonly retention: ChatRetention;
}

/** The messages between this node's people and those of its peers: what came, what went, and what waits to go. */
export class ChatStore {
  readonly #database: Database;
  readonly #now: () => number;
  readonly #retention: ChatRetention;

  constructor(parts: ChatStoreParts) {
    this.#database = parts.database;
    this.#now = parts.now;
    this.#retention = parts.retention;
  }

  /**
   * Keeps a message that came, and resolves once it is on the disk: false when it is there already.
   * @throws SkeinError `conflict` when there is another text under its id, and what `Database.write` raises.
   */
  receive(message: { readonly peer: PeerId; readonly id: string; readonly text: string }): Promise<boolean> {
    return this.#database.write((writer) => {
      const { peer, id, text } = message;
      const known = writer.get("SELECT * FROM peer_messages WHERE peer = ? AND direction = 'in' AND id = ?", peer, id);
      if (known !== undefined) {
        if (messageOf(known).text === text) return false;
        throw new SkeinError(`There is another message with the id ${id}`, { code: 'conflict' });
      }
      this.#insert(writer, { ...message, direction: 'in', state: 'received' });
      return true;
    });
  }

  /** Keeps a message to be sent. @throws SkeinError `busy` when as many wait for the peer as may, and what `Database.write` raises. */
  enqueue(message: { readonly peer: PeerId; readonly id: string; readonly text: string }): Promise<KeptMessage> {
    return this.#database.write((writer) => {
      const sql = "SELECT count(*) AS waiting FROM peer_messages WHERE peer = ? AND state = 'waiting'";
      const counted = writer.get(sql, message.peer);
      if (counted !== undefined && integerOf(counted, 'waiting') >= WAITING_MAX) {
        throw new SkeinError(`${WAITING_MAX} messages wait for that peer already; they go out when it is back`, {
          code: 'busy',
        });
      }
      return this.#insert(writer, { ...message, direction: 'out', state: 'waiting' });
    });
  }

  /** One message by its number; undefined when it is not kept any more. */
  get(num: number): KeptMessage | undefined {
    const row = this.#database.get('SELECT * FROM peer_messages WHERE num = ?', num);
    return row === undefined ? undefined : messageOf(row);
  }

  /** What waited longest for a peer. */
  next(peer: PeerId): KeptMessage | undefined {
    const sql = "SELECT * FROM peer_messages WHERE peer = ? AND state = 'waiting' AND at_ms >= ? ORDER BY num LIMIT 1";
    const row = this.#database.get(sql, peer, this.#oldestMs());
    return row === undefined ? undefined : messageOf(row);
  }

  /** What became of a message to be sent; nothing for one that is not kept any more. */
  settle(num: number, state: 'waiting' | 'sent' | 'refused', problem: string | null = null): Promise<void> {
    return this.#database.write((writer) => {
      const sql = "UPDATE peer_messages SET state = ?, problem = ? WHERE num = ? AND direction = 'out'";
      writer.run(sql, state, problem, num);
    });
  }

  /** The latest messages, with one peer or with all, in the order in which they came about. */
  list(peer?: PeerId): readonly KeptMessage[] {
    const rows =
      peer === undefined
        ? this.#database.all(
            'SELECT * FROM peer_messages WHERE at_ms >= ? ORDER BY num DESC LIMIT ?',
            this.#oldestMs(),
            LISTED_MAX,
          )
        : this.#database.all(
            'SELECT * FROM peer_messages WHERE peer = ? AND at_ms >= ? ORDER BY num DESC LIMIT ?',
            peer,
            this.#oldestMs(),
            LISTED_MAX,
          );
    return rows.map(messageOf).reverse();
  }

  /** The peers for which something waits. */
  waitingPeers(): readonly PeerId[] {
    const rows = this.#database.all("SELECT DISTINCT peer FROM peer_messages WHERE state = 'waiting'");
    return rows.map((row) => parsePeerId(textOf(row, 'peer')));
  }

  /** Nothing that waits for this peer is sent any more. */
  refuseWaiting(peer: PeerId, problem: string): Promise<void> {
    return this.#database.write((writer) => {
      writer.run("UPDATE peer_messages SET state = 'refused', problem = ? WHERE peer = ? AND state = 'waiting'", problem, peer);
    });
  }

  /** Another key has taken the place of a peer's: the messages are with that one now. */
  move(from: PeerId, to: PeerId): Promise<void> {
    return this.#database.write((writer) => {
      writer.run('UPDATE OR IGNORE peer_messages SET peer = ? WHERE peer = ?', to, from);
    });
  }

  /** Takes away what is too old. */
  prune(): Promise<void> {
    return this.#database.write((writer) => this.#pruneOld(writer));
  }

  #insert(writer: Writer, message: Pick<KeptMessage, 'peer' | 'id' | 'text' | 'direction' | 'state'>): KeptMessage {
    const { peer, id, text, direction, state } = message;
    const atMs = this.#now();
    // JSON holds any text; a column of SQLite holds none with half a character or a zero in it.
    const values = [direction, id, atMs, JSON.stringify(text)] as const;
    const row = writer.get(
      'INSERT INTO peer_messages (direction, id, at_ms, body, peer, state, sum) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING num',
      ...values,
      peer,
      state,
      rowChecksum(values),
    );
    if (row === undefined) throw new SkeinError('A message was not kept', { code: 'internal' });
    this.#pruneOld(writer);
    writer.run(
      "DELETE FROM peer_messages WHERE peer = ?1 AND state <> 'waiting' AND num <= (SELECT num FROM peer_messages WHERE peer = ?1 ORDER BY num DESC LIMIT 1 OFFSET ?2)",
      peer,
      this.#retention.maxMessages,
    );
    return { num: integerOf(row, 'num'), id, peer, direction, atMs, state, text, problem: null };
  }

  #pruneOld(writer: Writer): void {
    writer.run('DELETE FROM peer_messages WHERE at_ms < ?', this.#oldestMs());
  }

  #oldestMs(): number {
    return this.#now() - this.#retention.maxAgeDays * DAY_MS;
  }
}

function messageOf(row: Row): KeptMessage {
  const [id, body, atMs] = [textOf(row, 'id'), textOf(row, 'body'), integerOf(row, 'at_ms')];
  const direction = textOf(row, 'direction') === 'in' ? 'in' : 'out';
  verifyRow(row, `The message ${id}`, [direction, id, atMs, body]);
  return {
    num: integerOf(row, 'num'),
    id,
    peer: parsePeerId(textOf(row, 'peer')),
    direction,
    atMs,
    state: stateOf.parse(row.state),
    text: bodyOf.parse(JSON.parse(body)),
    problem: row.problem === null ? null : textOf(row, 'problem'),
  };
}
