import { randomUUID } from 'node:crypto';
import { createInterface, type Interface } from 'node:readline/promises';
import type { GatewayClient, NodeEvent, SessionSummary } from '@skein/host';
import { nearestNames, SkeinError } from '@skein/protocol';
import { clockDate } from './clock-time.ts';
import { describeTools } from './commands/tools.ts';
import { askLine, isYes } from './confirm.ts';
import { describePeers } from './peer-table.ts';
import { plainLine, plainText } from './plain-text.ts';
import { runTurn, tellLeft } from './run-turn.ts';
import type { Shell } from './shell.ts';
import { TurnView } from './turn-view.ts';

const SESSIONS_SHOWN = 20;
const HELP = `/tools     what the agent can use
/peers     who is there
/sessions  past conversations; /session ID goes on with one
/new       begin a new conversation
/quit      leave; so does Ctrl-C when nothing runs
Anything else is asked. Ctrl-C stops an answer and the work for it.`;

const COMMANDS = ['/help', '/tools', '/peers', '/sessions', '/session', '/new', '/quit'];

export interface ReplParts {
  readonly shell: Shell;
  readonly client: GatewayClient;
  /** Whether the node is a process of its own, which goes on after this. Default: it ends as well. */
  readonly running?: boolean;
  readonly sessionId: string | undefined;
}

/** A conversation on a terminal, or line by line from a pipe. */
export class Repl {
  readonly #parts: ReplParts;
  readonly #closing = new AbortController();
  #sessionId: string;
  #reader: Interface | undefined;
  #turn: AbortController | undefined;

  constructor(parts: ReplParts) {
    this.#parts = parts;
    this.#sessionId = parts.sessionId ?? randomUUID();
  }

  /** Whether an event of the node is the end of what was asked here: the answer to that stands here already. */
  hasShown(event: NodeEvent): boolean {
    return event.type === 'task-ended' && event.session === this.#sessionId;
  }

  /** Runs until the person leaves, the input ends or the shell is interrupted. */
  async run(): Promise<void> {
    const { shell } = this.#parts;
    const { isInteractive } = shell;
    const reader = createInterface({
      input: shell.stdin,
      output: shell.stdout,
      terminal: isInteractive,
      prompt: isInteractive ? shell.colors.bold('› ') : '',
      historySize: 500,
    });
    this.#reader = reader;
    const close = () => this.close();
    shell.signal.addEventListener('abort', close, { once: true });
    if (shell.signal.aborted) close();
    reader.on('SIGINT', () => this.#onCtrlC(reader));
    // The end of the input closes it while lines that came before are still to be asked.
    let isOpen = !this.#closing.signal.aborted;
    reader.once('close', () => {
      isOpen = false;
      // Who is to be asked after that says nothing.
      this.#reader = undefined;
    });
    try {
      if (isOpen) reader.prompt();
      for await (const line of reader) {
        await this.#take(line.trim());
        if (this.#closing.signal.aborted) break;
        if (isOpen) reader.prompt();
      }
    } finally {
      shell.signal.removeEventListener('abort', close);
      this.#reader = undefined;
      reader.close();
    }
  }

  /** Says something in between, without tearing the line that is being typed. */
  notice(text: string): void {
    const { shell } = this.#parts;
    const isPrompting = shell.isInteractive && this.#reader !== undefined && this.#turn === undefined;
    if (isPrompting) shell.write('\r\u001b[K');
    shell.line(shell.colors.dim(plainText(text)));
    if (isPrompting) this.#reader?.prompt(true);
  }

  /** Ends it, and the turn that runs. */
  close(): void {
    this.#closing.abort();
    this.#turn?.abort();
    this.#reader?.close();
  }

  #onCtrlC(reader: Interface): void {
    if (this.#turn !== undefined && !this.#turn.signal.aborted) this.#turn.abort();
    else if (this.#turn === undefined && reader.line !== '') reader.write(null, { ctrl: true, name: 'u' });
    else this.close();
  }

  async #take(line: string): Promise<void> {
    const { shell } = this.#parts;
    if (line === '') return;
    try {
      if (line.startsWith('/')) await this.#command(line);
      else await this.#ask(line);
    } catch (thrown) {
      const error = SkeinError.from(thrown);
      if (shell.json) shell.event({ type: 'error', code: error.code, message: error.message });
      else if (error.code === 'canceled') shell.line(shell.colors.dim('Stopped'));
      else shell.line(`${shell.colors.red('error:')} ${plainText(shell.typed(error.message))}`);
    }
  }

  async #ask(text: string): Promise<void> {
    const { shell, client, running = false } = this.#parts;
    const view = new TurnView({ write: (part) => shell.write(part), colors: shell.colors, verbose: shell.verbose });
    const turn = new AbortController();
    this.#turn = turn;
    try {
      await runTurn(
        {
          client,
          text,
          sessionId: this.#sessionId,
          confirm: shell.isInteractive ? () => this.#confirm(turn.signal) : undefined,
          onEvent: (event) => (shell.json ? shell.event(event) : view.show(event)),
          // A terminal that closes and a command that is killed leave the work to the node; a person stops it.
          endsWork: () => !running || !shell.signal.aborted || shell.interruptedBy === 'SIGINT',
          onLeft: (id) => tellLeft(shell, id),
        },
        { signal: turn.signal },
      );
    } finally {
      this.#turn = undefined;
      view.end();
    }
  }

  async #confirm(signal: AbortSignal): Promise<boolean> {
    const reader = this.#reader;
    return reader !== undefined && isYes(await askLine(reader, 'Do it? [y/N] ', { signal }));
  }

  async #command(line: string): Promise<void> {
    const { shell, client } = this.#parts;
    const [name = '', argument] = line.split(/\s+/);
    switch (name) {
      case '/help':
        shell.result({ type: 'help', text: HELP }, () => HELP);
        break;
      case '/tools':
        this.#rows('tool', await client.tools(), (tools) => describeTools(shell, tools));
        break;
      case '/peers':
        this.#rows('peer', await client.peers(), (peers) => describePeers(shell, peers));
        break;
      case '/sessions':
        this.#rows('session', await client.sessions(), (sessions) => this.#describeSessions(sessions));
        break;
      case '/session':
        if (argument === undefined) throw new SkeinError('Say which: /session ID', { code: 'invalid' });
        await this.#goOn(argument);
        break;
      case '/new':
        this.#sessionId = randomUUID();
        shell.result({ type: 'session', id: this.#sessionId }, () => 'A new conversation');
        break;
      case '/quit':
      case '/exit':
        this.close();
        break;
      default:
        throw new SkeinError(`There is no ${name}; ${hintFor(name)}/help shows what there is`, { code: 'not-found' });
    }
  }

  async #goOn(id: string): Promise<void> {
    const { shell, client } = this.#parts;
    const session = (await client.sessions()).find((known) => known.id === id);
    if (session === undefined) {
      throw new SkeinError(`There is no conversation "${id}"; /sessions lists them`, { code: 'not-found' });
    }
    this.#sessionId = id;
    shell.result({ type: 'session', ...session }, () => `Going on with: ${plainLine(session.title, 60)}`);
  }

  /** A list, as a line of JSON each or in words. */
  #rows<T extends object>(type: string, rows: readonly T[], describe: (rows: readonly T[]) => string): void {
    const { shell } = this.#parts;
    if (shell.json) for (const row of rows) shell.event({ type, ...row });
    else shell.line(describe(rows));
  }

  #describeSessions(sessions: readonly SessionSummary[]): string {
    if (sessions.length === 0) return 'There are none yet.';
    return sessions
      .slice(0, SESSIONS_SHOWN)
      .map(({ id, title, updatedAtMs }) => {
        const mark = id === this.#sessionId ? '*' : ' ';
        return `${mark} ${plainLine(id, 64)}  ${clockDate(updatedAtMs)}  ${plainLine(title, 60)}`;
      })
      .join('\n');
  }
}

function hintFor(command: string): string {
  const [near] = nearestNames(command, COMMANDS);
  return near === undefined ? '' : `did you mean ${near}? `;
}
