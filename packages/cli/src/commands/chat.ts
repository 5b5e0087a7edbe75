import { Command } from 'commander';
import { openNodeOf } from '../node-access.ts';
import { Repl } from '../repl.ts';
import { tellIfNew } from '../run-turn.ts';
import type { Shell } from '../shell.ts';

/** `skein chat` */
export function chatCommand(shell: Shell): Command {
  return new Command('chat')
    .description('talk with the agent')
    .option('--session <id>', 'go on with a conversation')
    .addHelpText('after', '\nExample:\n  $ skein chat')
    .action(async ({ session }: { readonly session?: string }) => {
      await using node = await openNodeOf(shell);
      const { name, brain } = await node.client.status();
      if (session !== undefined) await tellIfNew(shell, node.client, session);
      if (shell.isInteractive) shell.line(`${name}, with ${brain?.name ?? 'no brain'}. /help shows what there is.`);
      await new Repl({ shell, client: node.client, running: node.running, sessionId: session }).run();
      shell.signal.throwIfAborted();
    });
}
