import type { TurnEvent } from '@skein/host';
import type pc from 'picocolors';
import { PlainStream, plainLine, plainText } from './plain-text.ts';

/** Characters of a call's arguments, and of what went wrong, that fit a line. */
const SHOWN_CHARACTERS = 160;

export interface TurnViewParts {
  readonly write: (text: string) => void;
  readonly colors: ReturnType<typeof pc.createColors>;
  /** Shows partial output of tools too. */
  readonly verbose: boolean;
}

/** A turn on a terminal: the answer as it comes, and each tool call with who ran it and how long it took. */
export class TurnView {
  readonly #parts: TurnViewParts;
  readonly #text = new PlainStream();
  readonly #output = new PlainStream();
  /** Whether the cursor stands at the beginning of a line. */
  #fresh = true;
  /** Whether text has come since the last tool call: then it is the answer's. */
  #said = false;

  constructor(parts: TurnViewParts) {
    this.#parts = parts;
  }

  /** Shows one event. An `error` only ends the line: whoever runs the turn says it. */
  show(event: TurnEvent): void {
    const { colors, verbose } = this.#parts;
    switch (event.type) {
      case 'task-accepted':
        if (verbose) this.#line(colors.dim(`  task ${event.id}`));
        break;
      case 'turn-start':
        if (verbose) this.#line(colors.dim(`  brain ${plainLine(event.brain, SHOWN_CHARACTERS)}, session ${event.sessionId}`));
        break;
      case 'text-delta':
        this.#said = true;
        this.#write(this.#text.push(event.text));
        break;
      case 'tool-call':
        this.#line(`  ${colors.cyan('→')} ${this.#who(event)} ${colors.dim(jsonLine(event.input))}`);
        this.#said = false;
        break;
      case 'tool-output':
        if (verbose) this.#write(colors.dim(this.#output.push(event.delta)));
        break;
      case 'tool-result': {
        const mark = event.ok ? colors.green('✓') : colors.red('✗');
        const problem = event.ok ? '' : `: ${problemOf(event.output)}`;
        this.#line(`  ${mark} ${this.#who(event)} ${Math.round(event.ms)} ms${problem}`);
        this.#said = false;
        break;
      }
      case 'confirm-request':
        this.#line(`  ${colors.yellow('?')} ${this.#who(event)} ${jsonLine(event.input)}`);
        this.#line(`    ${plainLine(event.reason, SHOWN_CHARACTERS * 2)}`);
        break;
      case 'answer':
        this.#write(this.#said ? this.#text.end() : plainText(event.text));
        this.end();
        break;
      case 'error':
        this.end();
        break;
    }
  }

  /** Ends the line that is being written. */
  end(): void {
    this.#write(this.#text.end());
    if (!this.#fresh) this.#write('\n');
    this.#said = false;
  }

  #who({ name, peer }: { readonly name: string; readonly peer: string | null }): string {
    return this.#parts.colors.bold(plainLine(peer === null || name.startsWith(`${peer}/`) ? name : `${peer}/${name}`, 130));
  }

  #line(text: string): void {
    if (!this.#fresh) this.#write('\n');
    this.#write(`${text}\n`);
  }

  #write(text: string): void {
    if (text === '') return;
    this.#parts.write(text);
    this.#fresh = text.endsWith('\n');
  }
}

function jsonLine(value: unknown): string {
  return plainLine(JSON.stringify(value) ?? '', SHOWN_CHARACTERS);
}

/** What a failed call gave back, in words where it has some. */
function problemOf(output: unknown): string {
  if (typeof output === 'object' && output !== null && 'error' in output) {
    const { error } = output;
    if (typeof error === 'string') return plainLine(error, SHOWN_CHARACTERS);
    if (typeof error === 'object' && error !== null && 'message' in error)
      return plainLine(String(error.message), SHOWN_CHARACTERS);
  }
  return typeof output === 'string' ? plainLine(output, SHOWN_CHARACTERS) : jsonLine(output);
}
