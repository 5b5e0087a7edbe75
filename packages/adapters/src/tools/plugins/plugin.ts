import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { type Tool, type ToolContext, untilAborted } from '@skein/agent';
import { type ErrorCode, type Json, SkeinError } from '@skein/protocol';
import type { Refusals, Sandboxed } from '../../sandbox/sandbox.ts';
import type { Lacks } from './lacks.ts';
import { type LifeStart, PluginLife } from './plugin-life.ts';
import type { ShownTool } from './plugin-messages.ts';

export interface PluginParts {
  /** Absolute, with its links resolved. */
  readonly file: string;
  /** Starts the program that runs it; the digest is the SHA-256 of the file that it may run, in hexadecimal. */
  readonly spawn: (digest: string) => Promise<Sandboxed>;
  /** What it was granted nothing of. */
  readonly lacks: Lacks;
  /** Told how a process of it ended without having been told to, with what it wrote at last. */
  readonly onCrash: (crash: PluginCrash) => void;
  readonly monotonicMs: () => number;
  /** Between 0 and 1. */
  readonly random: () => number;
}

export interface PluginCrash {
  readonly file: string;
  readonly problem: string;
  /** The end of its error stream, which may hold anything. */
  readonly lastWords: string;
}

/** From its start to its tools. */
const LOAD_MS = 30_000;
const CRASHES_MAX = 5;
const CRASHES_WITHIN_MS = 30_000;
/** A pause before it is started again is a random part of this, which doubles with each crash. */
const PAUSE_MS = 100;
const PAUSE_MAX_MS = 5_000;

/** One plug-in: a file whose code runs in a process of its own, which is started again when it fails. */
export class Plugin implements AsyncDisposable {
  readonly #parts: PluginParts;
  readonly #name: string;
  readonly #closing = new AbortController();
  /** All processes that have not ended. */
  readonly #lives = new Set<PluginLife>();
  #crashesAtMs: number[] = [];
  #digest: string | undefined;
  #shown: readonly ShownTool[] | undefined;
  /** The process that takes calls, or is about to. */
  #current: Promise<PluginLife> | undefined;
  /** Why it is not started any more. */
  #off: SkeinError | undefined;

  constructor(parts: PluginParts) {
    this.#parts = parts;
    this.#name = `The plug-in ${basename(parts.file)}`;
  }

  /**
   * Starts it for the first time.
   * @throws SkeinError `invalid` when it does not load or shows no tools, and what starting its process raises.
   */
  async load(): Promise<Tool[]> {
    const source = await readFile(this.#parts.file);
    this.#digest = createHash('sha256').update(source).digest('hex');
    this.#current = this.#start(this.#digest);
    await this.#current;
    return (this.#shown ?? []).map(({ descriptor, untrusted }) => ({
      descriptor,
      untrusted,
      run: (input, context) => this.#run(descriptor.name, input, context),
    }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#turnOff('was ended with its node', 'unavailable');
    this.#closing.abort();
    // One that is just being started ends itself once it sees that.
    await this.#current?.catch(() => undefined);
    const lives = [...this.#lives];
    for (const life of lives) life.end({ how: 'was ended with its node', crashed: false });
    await Promise.all(lives.map((life) => life.ended));
  }

  async #run(tool: string, input: unknown, context: ToolContext): Promise<Json> {
    const life = await untilAborted(this.#ready(), context.signal);
    return life.call(tool, input, context);
  }

  async #ready(): Promise<PluginLife> {
    for (;;) {
      if (this.#off !== undefined) throw this.#off;
      const current = this.#current;
      const life = await current;
      if (life?.alive === true) return life;
      await life?.ended;
      // After a crash it is started again by itself; after it was ended for a call that was stopped, by the next call.
      if (this.#current === current) this.#startAgain(0);
    }
  }

  #startAgain(pauseMs: number): void {
    const started = this.#startAfter(pauseMs);
    started.catch((error: unknown) => this.#crashed(SkeinError.from(error).message, ''));
    this.#current = started;
  }

  async #startAfter(pauseMs: number): Promise<PluginLife> {
    await wait(pauseMs, undefined, { signal: this.#closing.signal });
    return this.#start(this.#digest ?? '');
  }

  async #start(digest: string): Promise<PluginLife> {
    const process = await this.#parts.spawn(digest);
    const life = new PluginLife({ name: this.#name, process, lacks: this.#parts.lacks });
    this.#lives.add(life);
    let loaded = false;
    // Hears of its end first: whoever waits for that to start it again finds it being started.
    const ended = life.ended.then((end) => {
      this.#lives.delete(life);
      if (loaded && end.crashed) this.#crashed(`${this.#name} ${end.how}`, end.lastWords);
      return end;
    });
    if (this.#closing.signal.aborted) life.end({ how: 'was ended with its node', crashed: false });
    const late = setTimeout(() => life.end({ how: `did not load within ${LOAD_MS} ms`, crashed: true }), LOAD_MS);
    try {
      this.#check(await life.tools, process.refusals);
    } catch (error) {
      life.end({ how: 'did not load', crashed: false });
      const { lastWords } = await ended;
      // Only whoever starts the node hears of a first failure; later ones reach callers, who may be anybody.
      throw this.#shown === undefined && lastWords !== '' ? withLastWords(SkeinError.from(error), lastWords) : error;
    } finally {
      clearTimeout(late);
    }
    loaded = true;
    return life;
  }

  /** Whether it shows what it showed first. */
  #check(start: LifeStart, { last }: Refusals): void {
    if (start.type === 'refused') {
      throw start.reason === 'changed'
        ? this.#turnOff('has changed since this node started, and is not started again before that is', 'conflict')
        : new SkeinError(
            `The plug-in ${this.#parts.file} does not load: ${start.message}${last === undefined ? '' : `; it was refused the network: ${last}`}`,
            { code: 'invalid' },
          );
    }
    this.#shown ??= start.tools;
    if (isDeepStrictEqual(this.#shown, start.tools)) return;
    throw this.#turnOff('shows other tools than when this node started, and is not used before that starts again', 'conflict');
  }

  #crashed(problem: string, lastWords: string): void {
    if (this.#closing.signal.aborted) return;
    this.#parts.onCrash({ file: this.#parts.file, problem, lastWords });
    if (this.#off !== undefined) return;
    const nowMs = this.#parts.monotonicMs();
    this.#crashesAtMs = [...this.#crashesAtMs.filter((atMs) => nowMs - atMs < CRASHES_WITHIN_MS), nowMs];
    const crashes = this.#crashesAtMs.length;
    if (crashes >= CRASHES_MAX) {
      const often = `failed ${crashes} times within ${CRASHES_WITHIN_MS / 1_000} s and is off until its node starts again`;
      this.#turnOff(`${often}; the last time: ${problem}`, 'unavailable');
      return;
    }
    this.#startAgain(this.#parts.random() * Math.min(PAUSE_MAX_MS, PAUSE_MS * 2 ** crashes));
  }

  /** For good. The first reason stays, and is what calls fail with. */
  #turnOff(why: string, code: ErrorCode): SkeinError {
    this.#off ??= new SkeinError(`${this.#name} ${why}`, { code });
    return this.#off;
  }
}

function withLastWords(error: SkeinError, lastWords: string): SkeinError {
  return new SkeinError(`${error.message}; it wrote at last: ${lastWords}`, { code: error.code, cause: error });
}
