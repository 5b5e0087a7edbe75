import path from 'node:path';
import type { ReadStream, WriteStream } from 'node:tty';
import { SkeinError } from '@skein/protocol';
import pc from 'picocolors';
import { plainText } from './plain-text.ts';
import { type CommandEnvironment, typedCommand, typedFolder, withTypedCommand } from './typed-command.ts';

/** What of the process the commands use. */
export interface Streams {
  readonly stdin: ReadStream;
  readonly stdout: WriteStream;
  readonly stderr: WriteStream;
  /** Says how this program was started, and nothing else here. */
  readonly env: CommandEnvironment;
  cwd(): string;
  on(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
  off(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
}

/** Options every command has. */
export interface GlobalOptions {
  readonly dir?: string;
  readonly dataDir?: string;
  readonly config?: string;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Where a command reads and writes. Results go to the standard output, all else to the error stream. */
export class Shell implements Disposable {
  readonly #streams: Streams;
  readonly #interrupt = new AbortController();
  #options: GlobalOptions = {};
  #interruptedBy: (typeof SIGNALS)[number] | undefined;
  #command: string | undefined;

  constructor(streams: Streams) {
    this.#streams = streams;
    for (const signal of SIGNALS) streams.on(signal, this.#onSignal);
    for (const stream of [streams.stdout, streams.stderr]) stream.on('error', this.#onBrokenPipe);
  }

  /** Takes the options that are the same for every command. */
  configure(options: GlobalOptions): void {
    this.#options = options;
  }

  get options(): GlobalOptions {
    return this.#options;
  }

  get json(): boolean {
    return this.#options.json === true;
  }

  get verbose(): boolean {
    return this.#options.verbose === true;
  }

  /** Fires when a person or the system wants the command to end. */
  get signal(): AbortSignal {
    return this.#interrupt.signal;
  }

  /** The signal that did it. */
  get interruptedBy(): 'SIGINT' | 'SIGTERM' | 'SIGHUP' | undefined {
    return this.#interruptedBy;
  }

  /** True when a person can be asked. */
  get isInteractive(): boolean {
    return !this.json && this.#streams.stdin.isTTY === true && this.#streams.stdout.isTTY === true;
  }

  get stdin(): ReadStream {
    return this.#streams.stdin;
  }

  get stdout(): WriteStream {
    return this.#streams.stdout;
  }

  get stderr(): WriteStream {
    return this.#streams.stderr;
  }

  /** Colours for the standard output; none where they would be noise. */
  get colors(): ReturnType<typeof pc.createColors> {
    return pc.createColors(this.#streams.stdout.isTTY === true && pc.isColorSupported);
  }

  /** A line of the result, as it is. */
  line(text = ''): void {
    this.#streams.stdout.write(`${text}\n`);
  }

  /** Part of the result, as it is. */
  write(text: string): void {
    this.#streams.stdout.write(text);
  }

  /** A line for programs. */
  event(value: object): void {
    this.#streams.stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** The result: an object a line for programs, or words. */
  result(value: object, words: () => string): void {
    if (this.json) this.event(value);
    else this.line(words());
  }

  /** What happens meanwhile; nothing a program reads. Its commands are told as they are typed here. */
  note(text: string): void {
    this.#streams.stderr.write(`${plainText(this.typed(text))}\n`);
  }

  /** Our own words to a person, with the commands in them as they are typed here for this node: `npx skein start`, say. */
  typed(text: string): string {
    const { dir, dataDir, config } = this.#options;
    const options = Object.entries({ '-C': dir, '--data-dir': dataDir, '--config': config });
    const given = options.map(([name, value]) => (value === undefined ? '' : ` ${name} ${this.typedFolder(value)}`));
    return withTypedCommand(text, this.#typedCommand(), given.join(''));
  }

  /** The same for what is typed on another machine, or for another node. */
  typedElsewhere(text: string): string {
    return withTypedCommand(text, this.#typedCommand());
  }

  /** A file or folder as a person types it here. */
  typedFolder(folder: string): string {
    const { env } = this.#streams;
    const cwd = this.#streams.cwd();
    return typedFolder(path.resolve(cwd, folder), env, cwd);
  }

  /** Ends the command as Ctrl-C does, for whoever reads the keys of a terminal themselves. */
  interrupt(): void {
    this.#onSignal('SIGINT');
  }

  /** Leaves Ctrl-C, which a terminal sends to the parent as well, to the parent. */
  ignoreCtrlC(): void {
    this.#streams.off('SIGINT', this.#onSignal);
    this.#streams.on('SIGINT', ignore);
  }

  [Symbol.dispose](): void {
    this.#streams.off('SIGINT', ignore);
    for (const signal of SIGNALS) this.#streams.off(signal, this.#onSignal);
  }

  #typedCommand(): string {
    this.#command ??= typedCommand(this.#streams.env, this.#streams.cwd());
    return this.#command;
  }

  readonly #onSignal = (signal: NodeJS.Signals): void => {
    this.#interruptedBy = SIGNALS.find((known) => known === signal);
    // The next one ends the process as the system does it.
    for (const name of SIGNALS) this.#streams.off(name, this.#onSignal);
    this.#interrupt.abort(new SkeinError('Interrupted', { code: 'canceled' }));
  };

  /** `skein tools | head -1`, or a terminal that was closed: whoever read has gone, so there is nothing more to do. */
  readonly #onBrokenPipe = (error: NodeJS.ErrnoException): void => {
    if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error;
    this.#interrupt.abort(new SkeinError('Nobody reads the output any more', { code: 'canceled' }));
  };
}

function ignore(): void {}
