import type { Readable, Writable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import type { JSONRPCMessage, Transport } from '@modelcontextprotocol/client';
import { parseJSONRPCMessage } from '@modelcontextprotocol/client';
import { jsonWithin, SkeinError } from '@skein/protocol';

/** A running program as far as this needs it. */
export interface PipedProcess {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves once it has ended; never rejects. */
  readonly closed: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  /** Ends it with all it started. */
  kill(): void | Promise<void>;
}

const MAX_LINE_BYTES = 4_194_304;
const MAX_DEPTH = 64;
const MAX_VALUES = 200_000;
/** Bytes on its standard output that are no messages, between two that are. */
const MAX_NOISE_BYTES = 1_048_576;
/** Messages that are read at once, and how often. */
const BURST = 200;
const BURST_MS = 100;
/** What it wrote last to its standard error, for a message of how it ended. */
const SHOWN_STDERR = 1_000;
const LINE_END = 0x0a;

/**
 * MCP over a program's standard input and output (modelcontextprotocol.io, Transports, stdio): a JSON-RPC message a line.
 * Lines that are no messages are passed over, up to a bound; a program that writes faster than it is read waits; a line
 * that is too long ends it.
 */
export class PipeTransport implements Transport {
  onclose: (() => void) | undefined;
  onerror: ((error: Error) => void) | undefined;
  onmessage: ((message: JSONRPCMessage) => void) | undefined;
  readonly #process: PipedProcess;
  #stderr = '';
  #noise = 0;
  #closing = false;
  #ended: Promise<void> | undefined;

  constructor(process: PipedProcess) {
    this.#process = process;
  }

  /** How it ended, or what it is saying, in words for a message. */
  get lastWords(): string {
    const text = this.#stderr.trim();
    return text === '' ? 'it wrote nothing to its standard error' : `it wrote at last: ${text}`;
  }

  async start(): Promise<void> {
    const { stdin, stdout, stderr } = this.#process;
    // A write to a program that has ended fails by itself; that it has is told by `closed`.
    for (const stream of [stdin, stdout, stderr]) stream.on('error', () => undefined);
    stderr.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString('utf8')).slice(-SHOWN_STDERR);
    });
    this.#ended = this.#run(stdout);
  }

  async send(message: JSONRPCMessage): Promise<void> {
    const { stdin } = this.#process;
    if (this.#closing || !stdin.writable) throw new SkeinError('The server has ended', { code: 'unavailable' });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    stdin.write(`${JSON.stringify(message)}\n`, (error) => {
      if (error === null || error === undefined) resolve();
      else reject(new SkeinError('The server does not read', { code: 'unavailable', cause: error }));
    });
    await promise;
  }

  async close(): Promise<void> {
    this.#closing = true;
    await this.#process.kill();
    await this.#ended;
  }

  async #run(stdout: Readable): Promise<void> {
    try {
      await this.#read(stdout);
    } catch (error) {
      if (!this.#closing) this.onerror?.(SkeinError.from(error));
    }
    this.#closing = true;
    await this.#process.kill();
    await this.#process.closed;
    this.onclose?.();
  }

  async #read(stdout: Readable): Promise<void> {
    let kept: Buffer[] = [];
    let keptBytes = 0;
    let burst = 0;
    let burstAt = performance.now();
    for await (const chunk of stdout) {
      let rest: Buffer = chunk;
      for (let end = rest.indexOf(LINE_END); end >= 0; end = rest.indexOf(LINE_END)) {
        this.#line(Buffer.concat([...kept, rest.subarray(0, end)]).toString('utf8'));
        kept = [];
        keptBytes = 0;
        rest = rest.subarray(end + 1);
        burst += 1;
        if (burst < BURST) continue;
        // What it writes meanwhile stays in its pipe.
        await wait(Math.max(0, burstAt + BURST_MS - performance.now()));
        burst = 0;
        burstAt = performance.now();
      }
      if (rest.length > 0) kept.push(rest);
      keptBytes += rest.length;
      if (keptBytes > MAX_LINE_BYTES) {
        throw new SkeinError(`The server wrote more than ${MAX_LINE_BYTES} bytes in one line`, { code: 'too-large' });
      }
    }
  }

  #line(line: string): void {
    if (this.#closing) return;
    const message = parse(line);
    if (message !== undefined) {
      this.#noise = 0;
      this.onmessage?.(message);
      return;
    }
    this.#noise += line.length;
    if (this.#noise > MAX_NOISE_BYTES) {
      throw new SkeinError(`The server wrote more than ${MAX_NOISE_BYTES} bytes that are no messages of MCP`, {
        code: 'invalid',
      });
    }
  }
}

function parse(line: string): JSONRPCMessage | undefined {
  if (!line.startsWith('{') || !jsonWithin(line, MAX_DEPTH, MAX_VALUES)) return undefined;
  try {
    return parseJSONRPCMessage(JSON.parse(line));
  } catch {
    // No message: a line of a log, most likely.
    return undefined;
  }
}
