import type { PeerMessage } from '@skein/host';
import { SkeinError } from '@skein/protocol';
import { Command } from 'commander';
import { openNodeOf } from '../node-access.ts';
import { plainLine } from '../plain-text.ts';
import type { Shell } from '../shell.ts';

const NAME_CHARACTERS = 80;
const TEXT_CHARACTERS = 4_000;
const PROBLEM_CHARACTERS = 300;

/** `skein net send` */
export function sendCommand(shell: Shell): Command {
  return new Command('send')
    .description('send a short message to the people at a peer; it waits here while the peer is away')
    .argument('<peer>', 'its name or id, as skein net peers shows it')
    .argument('<text...>', 'the message')
    .addHelpText('after', '\nExample:\n  $ skein net send eu-monitor "I restart the disk check at noon"')
    .action(async (peer: string, words: readonly string[]) => {
      await using node = await openNodeOf(shell, { peer });
      const message = await node.client.sendMessage({ peer, text: words.join(' ') }, { signal: shell.signal });
      const name = plainLine(message.peer.name, NAME_CHARACTERS);
      if (message.state === 'refused') throw new SkeinError(`${name} refused it: ${message.problem}`, { code: 'denied' });
      shell.result({ type: 'message', ...message }, () => {
        if (message.state === 'sent') return `Sent to ${name}`;
        const when = node.running ? 'when it does' : shell.typed('with the next skein start, when it does');
        return `${name} does not take it now: the message is kept, and goes out ${when}`;
      });
    });
}

/** `skein net messages` */
export function messagesCommand(shell: Shell): Command {
  return new Command('messages')
    .description('list the messages between the people here and at the peers, the latest last')
    .argument('[peer]', 'only those with this peer: its name or id')
    .addHelpText('after', '\nExample:\n  $ skein net messages eu-monitor')
    .action(async (peer: string | undefined) => {
      // They are here: no peer has to be met for them.
      await using node = await openNodeOf(shell, { peer: null });
      const messages = await node.client.messages(peer, { signal: shell.signal });
      if (shell.json) for (const message of messages) shell.event({ type: 'message', ...message });
      else
        shell.line(
          messages.length === 0
            ? shell.typed('No messages yet. Send one with: skein net send PEER "…"')
            : messages.map(lineOf(shell)).join('\n'),
        );
    });
}

function lineOf(shell: Shell): (message: PeerMessage) => string {
  const { bold, dim, red, yellow } = shell.colors;
  const states = {
    received: '',
    sent: '',
    waiting: `  ${yellow('waiting')}`,
    refused: `  ${red('refused')}`,
  } as const;
  return ({ peer, direction, atMs, state, text, problem }) => {
    const at = new Date(atMs).toISOString().slice(0, 16).replace('T', ' ');
    const who = bold(plainLine(peer.name, NAME_CHARACTERS));
    const why = problem === null ? '' : dim(`: ${plainLine(problem, PROBLEM_CHARACTERS)}`);
    const way = direction === 'in' ? `${who}:` : `to ${who}:`;
    return `${dim(`${at}Z`)}  ${way} ${plainLine(text, TEXT_CHARACTERS)}${states[state]}${why}`;
  };
}
