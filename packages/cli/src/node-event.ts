import type { NodeEvent } from '@skein/host';
import { plainLine } from './plain-text.ts';

const SHOWN_CHARACTERS = 300;

/** What happened on a node, in one line of words. */
export function describeEvent(event: NodeEvent): string {
  const at = new Date(event.atMs).toTimeString().slice(0, 8);
  return plainLine(`${at} ${words(event)}`, SHOWN_CHARACTERS);
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
    case 'config-reloaded': {
      const parts = [list('in force', event.applied), list('after a restart', event.needRestart)];
      return `the config was read again; ${parts.filter((part) => part !== '').join('; ') || 'nothing changed'}`;
    }
    case 'config-rejected':
      return `the changed config is not used: ${event.problem}`;
  }
}

function list(what: string, names: readonly string[]): string {
  return names.length === 0 ? '' : `${what}: ${names.join(', ')}`;
}
