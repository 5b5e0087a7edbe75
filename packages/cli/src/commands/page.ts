import { SkeinError } from '@skein/protocol';
import { Command } from 'commander';
import { loadOptionsOf } from '../node-access.ts';
import type { Shell } from '../shell.ts';

const HELP = `
The link is for this machine, and holds the token in its fragment, which a browser sends nowhere. Who has it can do
what you can. From elsewhere, through SSH: ssh -L 9700:127.0.0.1:9700 this-machine, with the port of the link.

Example:
  $ skein page`;

/** `skein page` */
export function pageCommand(shell: Shell): Command {
  return new Command('page')
    .description("print the link to the running node's page, with its token")
    .addHelpText('after', HELP)
    .action(async () => {
      const { dataDir, locateNode, pageOf } = await import('@skein/host');
      // A node that runs goes on as it was configured before, also while the file has an error.
      const { dataDir: root, loaded, problem } = locateNode(loadOptionsOf(shell));
      if (loaded?.config.page.enabled === false) {
        throw new SkeinError('This node serves no page: page.enabled is false', { code: 'unsupported' });
      }
      const page = pageOf(dataDir(root));
      if (page === undefined) {
        throw (
          problem ??
          new SkeinError('No node runs here; skein start runs it, and --dir says where another one is', {
            code: 'unavailable',
          })
        );
      }
      shell.result({ type: 'page', page }, () => page);
    });
}
