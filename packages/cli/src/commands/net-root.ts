import path from 'node:path';
import type { BoundRoot, RootKey } from '@skein/host';
import { Command } from 'commander';
import { loadConfigOf } from '../node-access.ts';
import { askNewPassphrase, askPassphrase, unlockKey } from '../passphrase.ts';
import type { Shell } from '../shell.ts';

interface InitFlags {
  readonly passphrase?: boolean;
  readonly passphraseFile?: string;
}

/** `skein net root …` */
export function rootCommand(shell: Shell): Command {
  return new Command('root')
    .description('a root key, kept off the node: without it nobody who steals the key of the node can rotate it')
    .helpCommand(false)
    .addCommand(init(shell))
    .addCommand(bind(shell))
    .addHelpText('after', '\nExample:\n  $ skein net root init /media/stick/skein-root');
}

/** What a person said of a root key; its passphrase asked for where it needs one and there is somebody to ask. */
export async function readRoot(shell: Shell, file: string, passphraseFile: string | undefined): Promise<RootKey> {
  const { needsRootPassphrase, readPassphraseFile } = await import('@skein/host');
  const root = { file: path.resolve(file) };
  if (passphraseFile !== undefined) return { ...root, passphrase: readPassphraseFile(path.resolve(passphraseFile)) };
  if (!shell.isInteractive || !needsRootPassphrase(root)) return root;
  return { ...root, passphrase: await askPassphrase(shell, root.file) };
}

function init(shell: Shell): Command {
  return new Command('init')
    .description('make a root key and bind the key of this node to it; a file is never written over')
    .argument('<file>', 'where: on a stick, say, and never in the data directory')
    .option('--passphrase', 'protect it by a passphrase, asked for on the terminal now and at each use')
    .option('--passphrase-file <file>', 'take it from this file, of mode 0600')
    .addHelpText('after', '\nExample:\n  $ skein net root init /media/stick/skein-root --passphrase')
    .action(async (file: string, { passphrase, passphraseFile }: InitFlags) => {
      const { initRoot } = await import('@skein/host');
      const loaded = await unlockKey(shell, await loadConfigOf(shell));
      const root = await readRoot(shell, file, passphraseFile);
      const asked = passphrase === true ? { passphrase: await askNewPassphrase(shell, '--passphrase-file FILE') } : {};
      report(shell, 'root-made', initRoot(loaded, { ...root, ...asked }));
    });
}

function bind(shell: Shell): Command {
  return new Command('bind')
    .description('bind the key of this node to a root key that was made for another node')
    .argument('<file>', 'the file of the root key')
    .option('--passphrase-file <file>', 'take the passphrase of the root from this file, of mode 0600')
    .addHelpText('after', '\nExample:\n  $ skein net root bind /media/stick/skein-root')
    .action(async (file: string, { passphraseFile }: InitFlags) => {
      const { bindNodeRoot } = await import('@skein/host');
      const loaded = await unlockKey(shell, await loadConfigOf(shell));
      report(shell, 'root-bound', bindNodeRoot(loaded, await readRoot(shell, file, passphraseFile)));
    });
}

function report(shell: Shell, type: 'root-made' | 'root-bound', bound: BoundRoot): void {
  shell.result({ type, ...bound }, () =>
    [
      `The root of ${bound.name}: ${bound.root.fingerprint}`,
      `Take ${bound.file} off this machine, and keep a copy: without it this key cannot be rotated any more.`,
      shell.typed('Peers remember the root when they next meet this node. Next: skein start'),
    ].join('\n'),
  );
}
