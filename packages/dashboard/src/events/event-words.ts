import type { NodeEvent } from '@skein/gateway';
import { formatDuration } from '../ui/words.ts';

/** An event in words. */
export interface EventWords {
  readonly tone: 'good' | 'bad' | 'warn' | 'plain';
  readonly subject: string | null;
  readonly text: string;
}

/** Says what happened, for people. */
export function eventWords(event: NodeEvent): EventWords {
  switch (event.type) {
    case 'peer-joined':
      return { tone: 'good', subject: event.name, text: 'joined' };
    case 'peer-left':
      return { tone: 'bad', subject: event.name, text: `left: ${event.reason}` };
    case 'peer-problem':
      return { tone: 'warn', subject: event.name, text: event.problem };
    case 'tools-changed':
      return { tone: event.redefined.length > 0 ? 'warn' : 'plain', subject: event.name, text: changeWords(event) };
    case 'tool-served': {
      const outcome = event.ok ? `in ${formatDuration(event.ms)}` : `and it failed after ${formatDuration(event.ms)}`;
      return { tone: event.ok ? 'plain' : 'warn', subject: event.name, text: `used ${event.tool} here ${outcome}` };
    }
    case 'chat-message':
      return { tone: 'plain', subject: event.name, text: `says: ${event.text}` };
    case 'leader-changed':
      return event.leader === null
        ? { tone: 'warn', subject: null, text: 'Nobody leads' }
        : { tone: 'plain', subject: event.leader.name, text: `leads (term ${event.term})` };
    case 'sessions-changed':
      return { tone: 'plain', subject: null, text: 'Chats went on elsewhere' };
    case 'task-ended':
      return { tone: event.state === 'done' ? 'plain' : 'warn', subject: null, text: `Task ${event.state}: ${event.title}` };
    case 'config-reloaded': {
      const restart = event.needRestart.length > 0 ? `; needs a restart: ${event.needRestart.join(', ')}` : '';
      return {
        tone: 'plain',
        subject: null,
        text: `Configuration reloaded: ${event.applied.join(', ') || 'no change'}${restart}`,
      };
    }
    case 'config-rejected':
      return { tone: 'bad', subject: null, text: `Configuration not taken: ${event.problem}` };
  }
}

function changeWords(event: NodeEvent & { readonly type: 'tools-changed' }): string {
  const changes = [
    ['now shares', event.added],
    ['no longer shares', event.removed],
    ['changed the definition of', event.redefined],
  ] as const;
  return changes
    .filter(([, names]) => names.length > 0)
    .map(([verb, names]) => `${verb} ${names.join(', ')}`)
    .join('; ');
}
