import path from 'node:path';
import { SkeinError } from '@skein/protocol';
import { Command } from 'commander';
import { loadConfigOf } from '../node-access.ts';
import { askNewPassphrase, unlockKey } from '../passphrase.ts';
import type { Shell } from '../shell.ts';

/** `skein net rotate-key` */
export function rotateKeyCommand(shell: Shell): Command {
  return new Command('rotate-key')
    .description('give this node a new key; peers that trust the old one move over to it by themselves, once')
    .addHelpText('after', '\nExample:\n  $ skein net rotate-key')
    .action(async () => {
      const { rotateKey } = await import('@skein/host');
      const key = rotateKey(await unlockKey(shell, await loadConfigOf(shell)));
      shell.result({ type: 'key-rotated', ...key }, () =>
        [
          `The new key of ${key.name}: ${key.fingerprint}`,
          `The old one is gone:  ${key.former.fingerprint}`,
          shell.typed('Peers take the new key up, and refuse the old one, when this node has met them. Next: skein start'),
          shell.typedElsewhere(
            'Where the old key may be in other hands, run on each peer: skein net revoke, and trust the new key line:',
          ),
          key.line,
        ].join('\n'),
      );
    });
}

/** `skein net passphrase` */
export function passphraseCommand(shell: Shell): Command {
  return new Command('passphrase')
    .description('set, change or remove the passphrase of the key file')
    .option('--new-file <file>', 'take the new passphrase from this file, of mode 0600, and ask nothing')
    .option('--remove', 'keep the key without a passphrase')
    .addHelpText('after', '\nExample:\n  $ skein net passphrase')
    .action(async ({ newFile, remove }: { readonly newFile?: string; readonly remove?: boolean }) => {
      if (newFile !== undefined && remove === true) {
        throw new SkeinError('--remove and --new-file do not go together', { code: 'invalid' });
      }
      const { ownKey, readPassphraseFile, setKeyPassphrase } = await import('@skein/host');
      const loaded = await unlockKey(shell, await loadConfigOf(shell));
      // Before anything new is asked for: a wrong passphrase is told at once.
      const { keyPath } = ownKey(loaded);
      const given = newFile === undefined ? undefined : readPassphraseFile(path.resolve(newFile));
      const to = remove === true ? undefined : (given ?? (await askNewPassphrase(shell, '--new-file FILE')));
      setKeyPassphrase(loaded, to);
      shell.result({ type: 'passphrase', keyPath, encrypted: to !== undefined }, () =>
        to === undefined ? `${keyPath} has no passphrase any more` : `${keyPath} has the new passphrase`,
      );
    });
}
