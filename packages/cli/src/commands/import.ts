import path from 'node:path';
import type { ImportedVole } from '@skein/host';
import { Command } from 'commander';
import { plainText } from '../plain-text.ts';
import type { Shell } from '../shell.ts';

interface Options {
  readonly to?: string;
  readonly withoutMissing?: boolean;
  readonly force?: boolean;
}

/** `skein import …` */
export function importCommand(shell: Shell): Command {
  const group = new Command('import').description('take over what another system has').helpCommand(false);
  return group.addCommand(vole(shell)).addHelpText('after', '\nExample:\n  $ skein import vole ../my-vole');
}

function vole(shell: Shell): Command {
  return new Command('vole')
    .description('make a node of the folder of an OpenVole node: its config, key, trust and memory; nothing there is changed')
    .argument('[dir]', 'the folder of its vole.config.json; absent, this one')
    .option('--to <dir>', 'the folder of the node; absent, this one')
    .option('--without-missing', 'leave out what this version lacks')
    .option('--force', 'write over a config file (never over a key)')
    .addHelpText('after', '\nExample:\n  $ skein import vole ../my-vole --to my-node')
    .action(async (from: string | undefined, { to, withoutMissing = false, force = false }: Options) => {
      const { importVole } = await import('@skein/host');
      const { dir = '.', dataDir } = shell.options;
      const folder = path.resolve(dir, to ?? '.');
      const imported = await importVole({
        from: path.resolve(dir, from ?? '.'),
        to: folder,
        dataDir: dataDir === undefined ? undefined : path.resolve(dataDir),
        force,
        withoutMissing,
      });
      shell.result({ type: 'imported', ...imported }, () =>
        shell.typedElsewhere(plainText(describe(imported, shell.typedFolder(folder)))),
      );
    });
}

const KEY_CAME = {
  copied: 'Copied the key to',
  kept: 'Kept the same key in',
  made: 'There was no key to copy; made',
} as const;

function describe(imported: ImportedVole, folder: string): string {
  const { file, key, keyCame, trusted, alreadyKnown, skipped, facts, notes, leftOut } = imported;
  const names = trusted.length === 0 ? '' : `: ${trusted.map(({ name, trust }) => `${name} (${trust})`).join(', ')}`;
  return [
    `Wrote ${file}`,
    `${KEY_CAME[keyCame]} ${key.keyPath}`,
    `This node is ${key.name}: ${key.fingerprint}`,
    `Trusted ${count(trusted.length, 'key')}${names}${alreadyKnown === 0 ? '' : `; known before: ${alreadyKnown}`}`,
    ...skipped.map(({ line, reason }) => `  line ${line} of authorized_voles is left out: ${reason}`),
    `Remembered ${count(facts, 'fact')}`,
    ...section('What differs:', notes),
    ...section('Left out:', leftOut),
    folder === '.' ? 'Next: skein start' : `Next: skein -C ${folder} start`,
  ].join('\n');
}

function count(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? '' : 's'}`;
}

function section(title: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : [title, ...lines.map((line) => `  ${line}`)];
}
