import type { LoadedConfig } from '@skein/host';
import { SkeinError } from '@skein/protocol';
import type { Shell } from './shell.ts';

/** The config with the passphrase of its key, asked for where nothing else says it and there is a person to ask. */
export async function unlockKey(shell: Shell, loaded: LoadedConfig): Promise<LoadedConfig> {
  const { needsPassphrase } = await import('@skein/host');
  // Whoever reads the key then says what is missing, and for which file.
  if (!shell.isInteractive || !needsPassphrase(loaded)) return loaded;
  const passphrase = await ask(shell, `Passphrase of ${loaded.config.net.keyPath}`);
  return { ...loaded, keyPassphrase: () => passphrase };
}

/**
 * A new passphrase, asked for twice; `option` is the one that takes it from a file instead.
 * @throws SkeinError `invalid` where nobody can be asked, or the two differ.
 */
export async function askNewPassphrase(shell: Shell, option: string): Promise<string> {
  if (!shell.isInteractive) {
    throw new SkeinError(`A passphrase is asked for on a terminal; without one, say which file holds it with ${option}`, {
      code: 'invalid',
    });
  }
  const passphrase = await ask(shell, 'New passphrase for the key, of 12 characters or more');
  if ((await ask(shell, 'The same again')) !== passphrase) {
    throw new SkeinError('The two passphrases differ; nothing was changed', { code: 'invalid' });
  }
  return passphrase;
}

async function ask(shell: Shell, message: string): Promise<string> {
  const { isCancel, password } = await import('@clack/prompts');
  const answer = await password({ message });
  if (!isCancel(answer)) return answer;
  shell.interrupt();
  throw new SkeinError('Nothing was changed', { code: 'canceled' });
}
