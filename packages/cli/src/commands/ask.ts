import { Command } from 'commander';
import { askYesNo } from '../confirm.ts';
import { openNodeOf } from '../node-access.ts';
import { parseQuestion } from '../option-values.ts';
import { runTurn, tellIfNew, tellLeft } from '../run-turn.ts';
import type { Shell } from '../shell.ts';
import { TurnView } from '../turn-view.ts';

interface Options {
  readonly session?: string;
  readonly yes?: boolean;
}

const HELP = `
Ctrl-C stops the work. If this command ends in any other way, work that a running node accepted goes on:
"skein tasks" shows it, "skein tasks show ID" its answer. Without a running node it ends with the command.

Example:
  $ skein ask "how full is the disk on us-monitor?"`;

/** `skein ask TEXT` */
export function askCommand(shell: Shell): Command {
  return new Command('ask')
    .description('ask the agent; the answer streams, and each tool call shows')
    .argument('<text...>', 'what to ask')
    .option('--session <id>', 'go on with a conversation')
    .option('-y, --yes', 'say yes to every tool call that must be confirmed')
    .addHelpText('after', HELP)
    .action(async (words: readonly string[], options: Options) => {
      const text = parseQuestion(words.join(' '));
      await using node = await openNodeOf(shell);
      if (options.session !== undefined) await tellIfNew(shell, node.client, options.session);
      const view = new TurnView({ write: (text) => shell.write(text), colors: shell.colors, verbose: shell.verbose });
      try {
        await runTurn(
          {
            client: node.client,
            text,
            sessionId: options.session,
            confirm: confirmBy(shell, options),
            onEvent: (event) => (shell.json ? shell.event(event) : view.show(event)),
            // Without a node that runs on, work that is left would wait for whatever command comes next.
            endsWork: () => !node.running || shell.interruptedBy === 'SIGINT',
            onLeft: (id) => tellLeft(shell, id),
          },
          { signal: shell.signal },
        );
      } finally {
        view.end();
      }
    });
}

function confirmBy(shell: Shell, { yes }: Options): (() => Promise<boolean>) | undefined {
  if (yes === true) return async () => true;
  return shell.isInteractive ? () => askYesNo(shell, 'Do it?') : undefined;
}
