import type { LoadedConfig } from '@skein/host';
import { SkeinError } from '@skein/protocol';
import type { Shell } from './shell.ts';

/** The config with the passphrase of its key, asked for where nothing else says it and there is a person to ask. */
export async function unlockKey(shell: Shell, loaded: LoadedConfig): Promise<LoadedConfig> {
  const { needsPassphrase } = await import('@skein/host');
  // Whoever reads the key then says what is missing, and for which file.
  if (!shell.isInteractive || !needsPassphrase(loaded)) return loaded;
  const passphrase = await askPassphrase(shell, loaded.config.net.keyPath);
  return { ...loaded, keyPassphrase: () => passphrase };
}

/** The passphrase of this file, from the person at the terminal. */
export function askPassphrase(shell: Shell, file: string): Promise<string> {
  return ask(shell, `Passphrase of ${file}`);
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
  const { checkPassphrase } = await import('@skein/host');
  const validate = (answer = '') => problemOf(() => checkPassphrase(answer));
  const passphrase = await ask(shell, 'New passphrase for the key, of 12 characters or more', validate);
  if ((await ask(shell, 'The same again')) !== passphrase) {
    throw new SkeinError('The two passphrases differ; nothing was changed', { code: 'invalid' });
  }
  return passphrase;
}

function problemOf(check: () => void): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    return SkeinError.from(error).message;
  }
}

/** `validate` says what is wrong with what was typed, and it is asked for again. */
async function ask(
  shell: Shell,
  message: string,
  validate: (answer: string | undefined) => string | undefined = () => undefined,
): Promise<string> {
  const { isCancel, password } = await import('@clack/prompts');
  const answer = await password({ message, validate });
  if (!isCancel(answer)) return answer;
  shell.interrupt();
  throw new SkeinError('Nothing was changed', { code: 'canceled' });
}
