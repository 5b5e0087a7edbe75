import type { Check } from '@skein/host';
import { SkeinError } from '@skein/protocol';
import { Command } from 'commander';
import { loadOptionsOf } from '../node-access.ts';
import { unlockKey } from '../passphrase.ts';
import { plainText } from '../plain-text.ts';
import type { Shell } from '../shell.ts';

/** `skein doctor` */
export function doctorCommand(shell: Shell): Command {
  return new Command('doctor')
    .description('check all that a node needs, and say what to do where something is wrong')
    .addHelpText('after', '\nExample:\n  $ skein doctor')
    .action(async () => {
      const { examineNode } = await import('@skein/host');
      const failed: string[] = [];
      for await (const check of examineNode(loadOptionsOf(shell), {
        signal: shell.signal,
        unlock: (loaded) => unlockKey(shell, loaded),
      })) {
        if (check.state === 'fail') failed.push(check.name);
        shell.result({ type: 'check', ...check }, () => describe(shell, check));
      }
      if (failed.length > 0) throw new SkeinError(`Not in order: ${failed.join(', ')}`, { code: 'unavailable' });
    });
}

function describe(shell: Shell, { name, state, text, fix }: Check): string {
  const { green, yellow, red, dim } = shell.colors;
  const mark = { ok: green('ok  '), warn: yellow('warn'), fail: red('fail') }[state];
  const advice = fix === null ? '' : dim(`\n${' '.repeat(21)}${plainText(shell.typed(fix))}`);
  return `${mark} ${plainText(name).padEnd(15)} ${plainText(shell.typed(text))}${advice}`;
}
