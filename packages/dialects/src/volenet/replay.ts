import path from 'node:path';
import { readOwnFile, writeFileAtomic } from '@skein/mesh';
import { jsonWithin, type PeerId, SkeinError } from '@skein/protocol';
import { z } from 'zod';
import { VOLE_AGE_MAX_MS, VOLE_AHEAD_MAX_MS } from './limits.ts';
import { ReplayMarks, readReplayMarks } from './replay-marks.ts';

/** Messages of one peer that are remembered before the older half of them is covered by a floor instead. */
const SEEN_MAX = 65_536;
/** A message is fresh for so long at most, from its acceptance on. */
const FRESH_MS = VOLE_AGE_MAX_MS + VOLE_AHEAD_MAX_MS;
/** How far ahead of what was seen the file on the disk is written, so that it is not written for every message. */
const RESERVE_MS = 10_000;
const FILE_BYTES_MAX = 4 * 1024 * 1024;
const FILE_NAME = 'vole-replay.json';
const MARKS_NAME = 'vole-replay.marks';

const fileShape = z.record(z.string().max(64), z.number());

/** `unsure`: it may have come before, which is not known any more. */
export type Novelty = 'new' | 'seen' | 'unsure';

/** What one peer has sent: of each message that is still fresh whether it came before. */
export class ReplayWindow {
  /** Stamps up to this are refused: what was seen of them is not known any more. */
  #floorMs: number;
  #recent = new Set<string>();
  #older = new Set<string>();
  #turnedAtMs: number;
  #newestMs = Number.NEGATIVE_INFINITY;
  #newestOlderMs = Number.NEGATIVE_INFINITY;

  constructor(parts: { readonly floorMs: number; readonly monotonicMs: number }) {
    this.#floorMs = parts.floorMs;
    this.#turnedAtMs = parts.monotonicMs;
  }

  /** Whether a message that is otherwise good is new; if so, it is not again. */
  accept(id: string, stampMs: number, monotonicMs: number): Novelty {
    if (this.#recent.has(id) || this.#older.has(id)) return 'seen';
    if (stampMs <= this.#floorMs) return 'unsure';
    if (monotonicMs - this.#turnedAtMs >= FRESH_MS || this.#recent.size >= SEEN_MAX / 2) {
      this.#turn(monotonicMs);
      if (stampMs <= this.#floorMs) return 'unsure';
    }
    this.#recent.add(id);
    this.#newestMs = Math.max(this.#newestMs, stampMs);
    return 'new';
  }

  /** Lets go of the older half. Nothing of it is fresh any more, but where it filled too soon or a clock was set back. */
  #turn(monotonicMs: number): void {
    this.#floorMs = Math.max(this.#floorMs, this.#newestOlderMs);
    this.#older = this.#recent;
    this.#recent = new Set();
    this.#newestOlderMs = this.#newestMs;
    this.#turnedAtMs = monotonicMs;
  }
}

export interface ReplayGuardParts {
  /** Where the file is that outlives this process. */
  readonly directory: string;
  readonly clock: { now(): number; monotonicMs(): number };
  /** The run of the system this process is in, where it has a name. */
  readonly boot: string | undefined;
  readonly onError: (error: SkeinError) => void;
}

/**
 * Refuses what came before, also before a restart. For each peer a stamp is on the disk that is at or above that of
 * every message accepted from it, written before the first one above it is accepted; after a restart nothing at or below
 * it is. It follows the peer's own clock, so one that is slow is not shut out. Stopped in order, the file says exactly
 * what was seen; where only this process was killed, a second one does (`ReplayMarks`). After a crash of the system, and
 * where its runs have no name, a peer is not heard for what was reserved, 10 s at most. A peer that has no stamp there is
 * heard from what it stamps after this start.
 */
export class ReplayGuard {
  readonly #parts: ReplayGuardParts;
  readonly #file: string;
  readonly #windows = new Map<PeerId, ReplayWindow>();
  /** By peer, the newest stamp accepted, in this life or the last. */
  readonly #newest = new Map<PeerId, number>();
  /** By peer, what the file says. */
  readonly #reserved = new Map<PeerId, number>();
  readonly #startedAtMs: number;
  #marks: ReplayMarks | undefined;

  constructor(parts: ReplayGuardParts) {
    this.#parts = parts;
    this.#file = path.join(parts.directory, FILE_NAME);
    this.#startedAtMs = parts.clock.now();
    // A clock that was set back must not shut everybody out: nothing accepted was ever further ahead than this.
    const highestMs = this.#startedAtMs + VOLE_AHEAD_MAX_MS + RESERVE_MS;
    const marksFile = path.join(parts.directory, MARKS_NAME);
    const { boot } = parts;
    const exact = boot === undefined ? undefined : readReplayMarks(marksFile, boot);
    for (const [id, markMs] of [...this.#load(), ...(exact ?? [])]) {
      const floorMs = Math.min(markMs, highestMs);
      this.#newest.set(id, floorMs);
      this.#windows.set(id, this.#window(floorMs));
    }
    if (boot !== undefined) this.#mark(() => new ReplayMarks({ file: marksFile, boot, marks: this.#newest }));
  }

  /** Whether a fresh, verified message of this peer is new; remembered from now on. */
  accept(peer: PeerId, id: string, stampMs: number): Novelty {
    let window = this.#windows.get(peer);
    if (window === undefined) {
      window = this.#window(this.#startedAtMs - 1);
      this.#windows.set(peer, window);
    }
    const novelty = window.accept(id, stampMs, this.#parts.clock.monotonicMs());
    if (novelty !== 'new') return novelty;
    const newest = this.#newest.get(peer);
    if (newest !== undefined && newest >= stampMs) return 'new';
    this.#newest.set(peer, stampMs);
    this.#mark((marks) => {
      marks?.set(peer, stampMs);
      return marks;
    });
    if (stampMs > (this.#reserved.get(peer) ?? Number.NEGATIVE_INFINITY)) this.#save(RESERVE_MS);
    return 'new';
  }

  /** Forgets peers that are not trusted any more, once nothing of theirs can be fresh. */
  prune(isTrusted: (peer: PeerId) => boolean): void {
    const longAgoMs = this.#parts.clock.now() - 2 * FRESH_MS;
    for (const [peer, newestMs] of this.#newest) {
      if (newestMs > longAgoMs || isTrusted(peer)) continue;
      this.#newest.delete(peer);
      this.#windows.delete(peer);
      this.#reserved.delete(peer);
    }
  }

  /** Writes exactly what was seen. */
  close(): void {
    this.#save(0);
    this.#marks?.close();
    this.#marks = undefined;
  }

  #window(floorMs: number): ReplayWindow {
    return new ReplayWindow({ floorMs, monotonicMs: this.#parts.clock.monotonicMs() });
  }

  /** Without this file a crash costs the peers a few seconds, and nothing is heard twice. */
  #mark(write: (marks: ReplayMarks | undefined) => ReplayMarks | undefined): void {
    try {
      this.#marks = write(this.#marks);
    } catch (cause) {
      this.#marks = undefined;
      const message = `${MARKS_NAME} in ${this.#parts.directory} cannot be written; after a crash peers are not heard for up to 10 s`;
      this.#parts.onError(new SkeinError(message, { code: 'unavailable', cause }));
    }
  }

  #save(reserveMs: number): void {
    if (this.#newest.size === 0) return;
    const marks = new Map([...this.#newest].map(([peer, newestMs]) => [peer, newestMs + reserveMs]));
    try {
      writeFileAtomic(this.#file, JSON.stringify(Object.fromEntries(marks)));
      for (const [peer, markMs] of marks) this.#reserved.set(peer, markMs);
    } catch (cause) {
      // Heard on: in this life nothing is taken twice. Tried again with the next message.
      this.#parts.onError(
        new SkeinError(`${this.#file} cannot be written; a restart may hear old messages again`, {
          code: 'unavailable',
          cause,
        }),
      );
    }
  }

  #load(): readonly (readonly [PeerId, number])[] {
    try {
      const text = readOwnFile(this.#file, { maxBytes: FILE_BYTES_MAX, secret: false });
      if (text === undefined) return [];
      if (!jsonWithin(text, 2, 100_000)) throw new SkeinError('it is nested too deep', { code: 'corrupt' });
      // Proven by whoever wrote it: a key that is no peer id is never asked for.
      return Object.entries(fileShape.parse(JSON.parse(text))) as [PeerId, number][];
    } catch (cause) {
      this.#parts.onError(
        new SkeinError(`${this.#file} cannot be read; only what is stamped after this start is heard`, {
          code: 'corrupt',
          cause,
        }),
      );
      return [];
    }
  }
}
