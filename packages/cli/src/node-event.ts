import type { NodeEvent } from '@skein/host';
import { clockTime } from './clock-time.ts';
import { plainLine } from './plain-text.ts';

const SHOWN_CHARACTERS = 300;

/** Peers whose last problem is remembered. */
const PEERS_MAX = 1_000;

/** Tells events to a person: a peer that cannot be reached has the same problem at every try, told once. */
export class EventTeller {
  readonly #problems = new Map<string, string>();

  /** The event in words; undefined when it says nothing new. */
  tell(event: NodeEvent): string | undefined {
    if (event.type === 'peer-joined') this.#problems.delete(event.name);
    if (event.type === 'peer-left') this.#remember(event.name, event.reason);
    if (event.type === 'peer-problem') {
      if (this.#problems.get(event.name) === event.problem) return undefined;
      this.#remember(event.name, event.problem);
    }
    return describeEvent(event);
  }

  #remember(name: string, problem: string): void {
    this.#problems.delete(name);
    this.#problems.set(name, problem);
    const [oldest] = this.#problems.keys();
    if (this.#problems.size > PEERS_MAX && oldest !== undefined) this.#problems.delete(oldest);
  }
}

/** What happened on a node, in one line of words. */
function describeEvent(event: NodeEvent): string {
  return plainLine(`${clockTime(event.atMs)} ${words(event)}`, SHOWN_CHARACTERS);
}

function words(event: NodeEvent): string {
  switch (event.type) {
    case 'peer-joined':
      return `${event.name} is here`;
    case 'peer-left':
      return `${event.name} left: ${event.reason}`;
    case 'peer-problem':
      return `${event.name}: ${event.problem}`;
    case 'tools-changed': {
      const parts = [list('new', event.added), list('gone', event.removed), list('changed their definition', event.redefined)];
      return `tools of ${event.name}: ${parts.filter((part) => part !== '').join('; ')}`;
    }
    case 'tool-served':
      return `${event.name} called ${event.tool}: ${event.ok ? 'done' : 'failed'} in ${Math.round(event.ms)} ms`;
    case 'chat-message':
      return `${event.name} says: ${event.text}`;
    case 'leader-changed':
      return event.leader === null ? 'nobody leads' : `${event.leader.name} leads (term ${event.term})`;
    case 'sessions-changed':
      return 'conversations went on elsewhere';
    case 'task-ended':
      return `task ${event.id.slice(0, 8)} ended ${event.state}: ${event.title}`;
    case 'config-reloaded': {
      const parts = [list('in force', event.applied), list('after a restart', event.needRestart)];
      return `the config was read again; ${parts.filter((part) => part !== '').join('; ') || 'all of it is in force'}`;
    }
    case 'config-rejected':
      return `the changed config is not used: ${event.problem}`;
  }
}

function list(what: string, names: readonly string[]): string {
  return names.length === 0 ? '' : `${what}: ${names.join(', ')}`;
}
