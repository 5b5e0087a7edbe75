import { Command } from 'commander';
import { askYesNo } from '../confirm.ts';
import { openNodeOf } from '../node-access.ts';
import { runTurn } from '../run-turn.ts';
import type { Shell } from '../shell.ts';
import { TurnView } from '../turn-view.ts';

interface Options {
  readonly session?: string;
  readonly yes?: boolean;
}

/** `skein ask TEXT` */
export function askCommand(shell: Shell): Command {
  return new Command('ask')
    .description('ask the agent; the answer streams, and each tool call shows')
    .argument('<text...>', 'what to ask')
    .option('--session <id>', 'go on with a conversation')
    .option('-y, --yes', 'say yes to every tool call that must be confirmed')
    .addHelpText('after', '\nExample:\n  $ skein ask "how full is the disk on us-monitor?"')
    .action(async (words: readonly string[], options: Options) => {
      await using node = await openNodeOf(shell);
      const view = new TurnView({ write: (text) => shell.write(text), colors: shell.colors, verbose: shell.verbose });
      try {
        await runTurn(
          {
            client: node.client,
            text: words.join(' '),
            sessionId: options.session,
            confirm: confirmBy(shell, options),
            onEvent: (event) => (shell.json ? shell.event(event) : view.show(event)),
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
