import type { OfferedTool } from '@skein/host';
import { Command } from 'commander';
import { openNodeOf } from '../node-access.ts';
import { plainLine } from '../plain-text.ts';
import type { Shell } from '../shell.ts';

/** `skein tools` */
export function toolsCommand(shell: Shell): Command {
  return new Command('tools')
    .description('list every tool the agent can use, of this node and of its peers')
    .addHelpText('after', '\nExample:\n  $ skein tools')
    .action(async () => {
      await using node = await openNodeOf(shell);
      const tools = await node.client.tools({ signal: shell.signal });
      if (shell.json) for (const tool of tools) shell.event({ type: 'tool', ...tool });
      else shell.line(describeTools(shell, tools));
    });
}

/** The tools by who runs them. */
export function describeTools(shell: Shell, tools: readonly OfferedTool[]): string {
  if (tools.length === 0) return 'There are no tools: this node enables none, and no peer shares any with it.';
  const { bold, dim, yellow } = shell.colors;
  const groups = Map.groupBy(tools, ({ peer }) => peer);
  return [...groups]
    .map(([peer, own]) => {
      const lines = own.map(({ name, description, effect }) => {
        const changes = effect === 'read' ? '' : yellow(' (changes something)');
        return `  ${plainLine(name, 130)}${changes}  ${dim(plainLine(description, 100))}`;
      });
      return [bold(peer === undefined ? 'this node' : plainLine(peer, 64)), ...lines].join('\n');
    })
    .join('\n\n');
}
