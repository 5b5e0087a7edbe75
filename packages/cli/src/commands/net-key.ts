import path from 'node:path';
import { SkeinError } from '@skein/protocol';
import { Command } from 'commander';
import { loadConfigOf } from '../node-access.ts';
import { askNewPassphrase, unlockKey } from '../passphrase.ts';
import type { Shell } from '../shell.ts';
import { readRoot } from './net-root.ts';

interface RotateFlags {
  readonly root?: string;
  readonly rootPassphraseFile?: string;
  readonly lost?: string;
}

/** `skein net rotate-key` */
export function rotateKeyCommand(shell: Shell): Command {
  return new Command('rotate-key')
    .description('give this node a new key; peers that trust the old one move over to it by themselves, once')
    .option('--root <file>', 'by the root key in this file, as a key that has one needs; the old key is not needed')
    .option('--root-passphrase-file <file>', 'take the passphrase of the root from this file, of mode 0600')
    .option('--lost <node>', 'with --root: this node takes the place of that one, which was lost; its name or id')
    .addHelpText('after', '\nExample:\n  $ skein net rotate-key --root /media/stick/skein-root')
    .action(async ({ root, rootPassphraseFile, lost }: RotateFlags) => {
      const { rotateKey, rotateKeyByRoot } = await import('@skein/host');
      if (root === undefined && (lost ?? rootPassphraseFile) !== undefined) {
        throw new SkeinError('--lost and --root-passphrase-file go with --root', { code: 'invalid' });
      }
      const loaded = await unlockKey(shell, await loadConfigOf(shell));
      const key =
        root === undefined ? rotateKey(loaded) : rotateKeyByRoot(loaded, await readRoot(shell, root, rootPassphraseFile), lost);
      shell.result({ type: 'key-rotated', ...key }, () =>
        [
          `The new key of ${key.name}: ${key.fingerprint}`,
          `In the place of:     ${key.former.fingerprint}`,
          shell.typed('Peers take the new key up, and refuse the old one, when this node has met them. Next: skein start'),
          ...(key.root === null
            ? [
                shell.typedElsewhere(
                  'Where the old key may be in other hands, run on each peer: skein net revoke, and trust the new key line:',
                ),
              ]
            : []),
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
