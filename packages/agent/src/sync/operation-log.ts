import { type Database, integerOf, type Reader, textOf, type Writer } from '@skein/engine';
import {
  CHAINS_MAX,
  type ChainHead,
  type ChainRange,
  type Identity,
  isBodyOf,
  NO_OPERATION,
  nextHybridTime,
  OPERATIONS_PAGE_BYTES_SOFT,
  OPERATIONS_PAGE_MAX,
  type OperationHead,
  type OperationLogName,
  type PeerId,
  parseOperationHead,
  parsePeerId,
  SkeinError,
  sealOperation,
  type WireOperation,
} from '@skein/protocol';
import { type Acceptance, AcceptedPage } from './accept-operations.ts';
import { assertSigned, readOperation, wireOperationOf } from './incoming-operations.ts';
import type { OperationLimits } from './judge-operation.ts';
import {
  allChains,
  chainHeadOf,
  eraseBody,
  findChain,
  findOperation,
  insertOperation,
  type OperationRow,
  operationBytes,
  operationsOf,
  readClock,
  writeClock,
} from './operation-rows.ts';
import { type OperationStamp, type OperationView, parseDot, stampOf } from './operation-view.ts';

/** How often a missing body is asked for. */
const ASKED_MAX = 32;

const DEFAULTS: OperationLimits = {
  maxAuthorBytes: 256 * 1024 * 1024,
  maxForeignBytes: 1024 * 1024 * 1024,
  maxChainsPerAuthor: 16,
  maxChains: CHAINS_MAX,
};

export interface OperationLogParts {
  /** Opened with `syncMigrations`. */
  readonly database: Database;
  readonly log: OperationLogName;
  readonly identity: Identity;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** 16 hex digits that nobody has drawn before: names a chain of this node. */
  readonly randomReplica: () => string;
  readonly limits?: Partial<OperationLimits>;
}

/**
 * Everything that was said in one log, each operation signed by its author and in a chain of its author's, with the
 * bodies of what was taken back erased. What it adds up to is the view's.
 */
export class OperationLog {
  readonly name: OperationLogName;
  readonly #parts: OperationLogParts;
  readonly #limits: OperationLimits;
  readonly #listeners = new Set<() => void>();
  #view: OperationView | undefined;
  #telling = false;

  constructor(parts: OperationLogParts) {
    this.name = parts.log;
    this.#parts = parts;
    this.#limits = { ...DEFAULTS, ...parts.limits };
  }

  /** Whose log this is. */
  get self(): PeerId {
    return this.#parts.identity.id;
  }

  /** Who takes over what operations say; before, none is accepted. */
  attach(view: OperationView): void {
    this.#view = view;
  }

  /**
   * Calls back after this node has written, or tried to, until the returned function is called. The listener must not
   * throw.
   */
  onWritten(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Appends an operation by this node inside a transaction; `atMs` when it is the record of something earlier.
   * @throws SkeinError `too-large`.
   */
  append(writer: Writer, body: string, options?: { readonly atMs?: number }): OperationStamp {
    const { identity, now, randomReplica } = this.#parts;
    const clock = readClock(writer, this.name);
    const replica = clock.replica ?? randomReplica();
    const chain = findChain(writer, this.name, identity.id, replica);
    const head = sealOperation(identity, {
      log: this.name,
      replica,
      seq: (chain?.seq ?? 0) + 1,
      time: nextHybridTime(clock.time, Math.min(options?.atMs ?? now(), now())),
      previous: chain?.digest ?? NO_OPERATION,
      body,
    });
    insertOperation(writer, this.name, head, { body });
    writeClock(writer, this.name, replica, head.time);
    this.#tellWritten();
    return stampOf(head, identity.id);
  }

  /** Takes an operation's body out for ever, if it is here. */
  erase(writer: Writer, dot: string): void {
    const { author, replica, seq } = parseDot(dot);
    const chain = findChain(writer, this.name, author, replica);
    if (chain !== undefined) eraseBody(writer, chain.id, seq);
  }

  /** How far every chain goes. */
  heads(): readonly ChainHead[] {
    return allChains(this.#parts.database, this.name).map(chainHeadOf);
  }

  /** How far one chain goes. */
  headOf({ author, replica }: Pick<ChainHead, 'author' | 'replica'>): ChainHead | undefined {
    const chain = findChain(this.#parts.database, this.name, author, replica);
    return chain === undefined ? undefined : chainHeadOf(chain);
  }

  /** How far the chain goes that this node writes now; undefined before its first operation. */
  ownHead(): ChainHead | undefined {
    const { replica } = readClock(this.#parts.database, this.name);
    return replica === undefined ? undefined : this.headOf({ author: this.self, replica });
  }

  /** A page of what is asked for and is here, in order. @throws SkeinError `corrupt` for what is damaged on the disk. */
  read(wants: readonly ChainRange[]): WireOperation[] {
    const page: WireOperation[] = [];
    let room = OPERATIONS_PAGE_BYTES_SOFT;
    for (const { author, replica, from, to } of wants) {
      const chain = findChain(this.#parts.database, this.name, author, replica);
      if (chain === undefined) continue;
      for (const row of operationsOf(this.#parts.database, chain.id, { from, to })) {
        room -= operationBytes(row.body);
        if (page.length >= OPERATIONS_PAGE_MAX || (page.length > 0 && room < 0)) return page;
        assertWhole(row);
        page.push(wireOperationOf(row.head, row.body));
      }
    }
    return page;
  }

  /** One operation by its name, unless it was erased. @throws SkeinError `corrupt`. */
  find(dot: string): WireOperation | undefined {
    const { author, replica, seq } = parseDot(dot);
    const [operation] = this.read([{ author, replica, from: seq, to: seq }]);
    return operation?.body === undefined ? undefined : operation;
  }

  /**
   * Operations whose body never came, and that nobody is known to have erased: those first that were given out least often
   * to be asked for, and none any more that were so often. For most, the word that they were erased went with their body.
   */
  async takeHoles(limit: number): Promise<readonly ChainRange[]> {
    const holes = (reader: Reader) =>
      reader.all(
        `SELECT operations.id AS id, author, replica, operations.seq AS number FROM operations
         JOIN operation_chains ON operation_chains.id = chain
         WHERE body IS NULL AND erased = 0 AND log = ? AND asked < ? ORDER BY asked, operations.id DESC LIMIT ?`,
        this.name,
        ASKED_MAX,
        limit,
      );
    if (holes(this.#parts.database).length === 0) return [];
    return this.#parts.database.write((writer) =>
      holes(writer).map((row) => {
        writer.run('UPDATE operations SET asked = asked + 1 WHERE id = ?', integerOf(row, 'id'));
        const seq = integerOf(row, 'number');
        return { author: parsePeerId(textOf(row, 'author')), replica: textOf(row, 'replica'), from: seq, to: seq };
      }),
    );
  }

  /**
   * Judges what somebody brought and keeps what is good, of each chain in order; on the disk when it resolves. One that is
   * refused stops nobody but its author.
   * @throws SkeinError `invalid` or `unauthenticated` when something was forged: then nothing is taken.
   */
  async accept(
    operations: readonly WireOperation[],
    options: { readonly mayWrite: (author: PeerId) => boolean },
  ): Promise<Acceptance> {
    const view = this.#view;
    if (view === undefined) throw new SkeinError(`The log ${this.name} is not open yet`, { code: 'unavailable' });
    const mayWrite = (author: PeerId) => author === this.self || options.mayWrite(author);
    const incoming = operations.map((operation) => readOperation(operation, this.name));
    const authors = new Set(incoming.map(({ head }) => head.author).filter(mayWrite));
    // Dear, and so only for what could be taken: not for strangers' operations, nor for what is here already.
    assertSigned(incoming.filter(({ head }) => authors.has(head.author) && !this.#has(head)));
    const parts = {
      log: this.name,
      self: this.self,
      view,
      limits: this.#limits,
      nowMs: this.#parts.now(),
      // Who is let in only meanwhile was a stranger when the signatures were looked at.
      mayWrite: (author: PeerId) => authors.has(author) && mayWrite(author),
      freshReplica: this.#parts.randomReplica(),
    };
    return this.#parts.database.write((writer) => {
      const page = new AcceptedPage(writer, parts);
      for (const operation of incoming) page.take(operation);
      return page.finish();
    });
  }

  /** Authors whose operations are not taken any more, and how they were found out. */
  quarantined(): readonly { readonly author: PeerId; readonly atMs: number; readonly reason: string }[] {
    return this.#parts.database
      .all('SELECT author, at_ms, reason FROM operation_quarantine WHERE log = ? ORDER BY at_ms', this.name)
      .map((row) => ({
        author: parsePeerId(textOf(row, 'author')),
        atMs: integerOf(row, 'at_ms'),
        reason: textOf(row, 'reason'),
      }));
  }

  /** Takes operations of an author again, as a person decided; false when it was not quarantined. */
  async pardon(author: PeerId): Promise<boolean> {
    return this.#parts.database.write(
      (writer) => writer.run('DELETE FROM operation_quarantine WHERE log = ? AND author = ?', this.name, author) > 0,
    );
  }

  /** Whether exactly this operation is here, so that its signature was checked before. */
  #has(head: OperationHead): boolean {
    const chain = findChain(this.#parts.database, this.name, head.author, head.replica);
    if (chain === undefined || head.seq > chain.seq) return false;
    const known = findOperation(this.#parts.database, chain.id, head.seq);
    return known !== undefined && parseOperationHead(known.head).digest.equals(head.digest);
  }

  /** A transaction runs and commits without a pause, so a microtask comes after it. */
  #tellWritten(): void {
    if (this.#telling) return;
    this.#telling = true;
    queueMicrotask(() => {
      this.#telling = false;
      for (const listener of this.#listeners) listener();
    });
  }
}

function assertWhole(row: OperationRow): void {
  if (row.body === undefined || isBodyOf(parseOperationHead(row.head), row.body)) return;
  throw new SkeinError(`Operation ${row.seq} is damaged in the database: restore the database from a backup`, {
    code: 'corrupt',
  });
}
