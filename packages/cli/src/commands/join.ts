import type { TrustLevel } from '@skein/host';
import { SkeinError } from '@skein/protocol';
import { Command } from 'commander';
import { loadConfigOf, loadOptionsOf } from '../node-access.ts';
import { parseLevel } from '../option-values.ts';
import { unlockKey } from '../passphrase.ts';
import { plainLine } from '../plain-text.ts';
import type { Shell } from '../shell.ts';

interface Options {
  readonly trust?: TrustLevel;
  readonly allowBrain?: boolean;
  readonly voter?: boolean;
  readonly name?: string;
  readonly yes?: boolean;
}

/** `skein join CODE` */
export function joinCommand(shell: Shell): Command {
  return new Command('join')
    .description('accept an invitation: both machines then trust each other as far as each says')
    .argument('<code...>', 'what `skein invite` printed')
    .option('--trust <level>', 'full, tool or read: what the one who invites may do here', parseLevel)
    .option('--allow-brain', 'let the brain of this node work for it')
    .option('--voter', 'count its vote where the leader is elected by "quorum"')
    .option('--name <name>', 'what this node is called; written to a config file where there is none')
    .option('-y, --yes', 'ask nothing; trust it as a "tool" peer unless --trust says otherwise')
    .addHelpText('after', '\nExample:\n  $ skein join skein1abcd… --trust tool')
    .action(async (words: readonly string[], options: Options) => {
      const { initNetwork, joinPeer, loadConfig, readInvite } = await import('@skein/host');
      const invite = readInvite(words.join(''));
      if (!shell.json) shell.note(`The invitation is from:  ${invite.fingerprint}`);
      const trust = options.trust ?? (await chooseLevel(shell, options));
      const { allowBrain = false, voter = false, name } = options;
      // Written down: under a name for this command alone the node would have another one at its start.
      const where = loadOptionsOf(shell, { mayBeMade: name !== undefined });
      const { keyPassphrase } = await unlockKey(shell, loadConfig(where));
      const unlocking = keyPassphrase === undefined ? {} : { keyPassphrase };
      if (name !== undefined) initNetwork({ ...where, ...unlocking, name });
      const loaded = { ...(await loadConfigOf(shell)), ...unlocking };
      const joined = await joinPeer(loaded, invite, {
        trust,
        allowBrain,
        voter,
        signal: shell.signal,
        onProgress: (text) => shell.note(text),
      });
      shell.result({ type: 'joined', trust, ...joined }, () =>
        [
          `Paired with ${plainLine(joined.name, 64)}: ${shell.colors.bold(joined.fingerprint)}`,
          ...(joined.givenName === null
            ? []
            : [
                `It calls itself ${plainLine(joined.givenName, 64)}, which is another's name here: this node calls it ${joined.name}`,
              ]),
          `It must show this fingerprint of yours:  ${shell.colors.bold(joined.ownFingerprint)}`,
          shell.typed(`It may do here what "${trust}" says. Next: skein start`),
        ].join('\n'),
      );
    });
}

async function chooseLevel(shell: Shell, { yes }: Options): Promise<TrustLevel> {
  if (yes === true) return 'tool';
  if (!shell.isInteractive) {
    throw new SkeinError('Say what the other machine may do here: --trust full, tool or read (or --yes for "tool")', {
      code: 'invalid',
    });
  }
  const { isCancel, select } = await import('@clack/prompts');
  const answer = await select<TrustLevel>({
    message: 'Does the other machine show the same words? Then what may it do here?',
    initialValue: 'tool',
    options: [
      { value: 'tool', label: 'tool', hint: 'call the tools this node shares' },
      { value: 'read', label: 'read', hint: 'be connected, but call no tools' },
      { value: 'full', label: 'full', hint: 'the same, and whatever else a node can share' },
    ],
  });
  if (isCancel(answer)) {
    shell.interrupt();
    throw new SkeinError('Nothing was changed', { code: 'canceled' });
  }
  return answer;
}
