import path from 'node:path';
import type { ConfigInput } from '@skein/host';
import { SkeinError } from '@skein/protocol';
import { Command } from 'commander';
import { loadOptionsOf } from '../node-access.ts';
import { type BrainInput, parseBrain, parsePort } from '../option-values.ts';
import { askNewPassphrase, unlockKey } from '../passphrase.ts';
import type { Shell } from '../shell.ts';

interface Options {
  readonly name?: string;
  readonly port?: number;
  readonly shareTools?: boolean;
  readonly brain?: BrainInput;
  readonly passphrase?: boolean;
  readonly passphraseFile?: string;
  readonly yes?: boolean;
  readonly force?: boolean;
}

/** `skein init [name]` */
export function initCommand(shell: Shell): Command {
  return new Command('init')
    .description('write a commented config file and make the key of this node')
    .argument('[name]', "what this node is called; absent, the machine's name")
    .option('--name <name>', 'the same')
    .option('--port <port>', 'port to listen on; 0 lets the system choose', parsePort)
    .option('--share-tools', 'let trusted peers call the tools of this node')
    .option('--brain <provider[:model]>', 'the model; absent, one is looked for at each start', parseBrain)
    .option('--passphrase', 'protect the key by a passphrase, asked for on the terminal now and at each start')
    .option('--passphrase-file <file>', 'take it from this file, of mode 0600, now and at each start')
    .option('-y, --yes', 'ask nothing')
    .option('--force', 'write over a config file (never over a key)')
    .addHelpText('after', '\nExample:\n  $ skein init us-monitor --share-tools')
    .action(async (argument: string | undefined, options: Options) => {
      const given = { ...options, ...(argument === undefined ? {} : { name: argument }) };
      const { checkNodeName, initNode } = await import('@skein/host');
      if (given.name !== undefined) checkNodeName(given.name);
      const chosen = shell.isInteractive && options.yes !== true ? await askFor(shell, given) : given;
      const { overrides = {}, ...where } = loadOptionsOf(shell, { mayBeMade: true });
      const keyPassphrase = await passphraseOf(shell, options);
      const done = initNode({
        ...where,
        values: valuesOf(chosen, overrides),
        force: options.force === true,
        ...(keyPassphrase === undefined ? {} : { keyPassphrase }),
      });
      const { key, file, madeKey } = done;
      shell.result({ type: 'initialised', file, madeKey, ...key }, () =>
        [
          `Wrote ${file}`,
          `${madeKey ? 'Made the key' : 'Kept the key'} ${key.keyPath}`,
          `This node is ${key.name}: ${key.fingerprint}`,
          shell.typed('Next: skein start, and skein invite to let another node in'),
        ].join('\n'),
      );
    });
}

/** Of the key that is to be made, or of one that stays; undefined where it has none. */
async function passphraseOf(shell: Shell, { passphrase, force }: Options): Promise<(() => string) | undefined> {
  if (passphrase === true) {
    const asked = await askNewPassphrase(shell, '--passphrase-file FILE');
    return () => asked;
  }
  const { locateNode } = await import('@skein/host');
  const { loaded } = locateNode(loadOptionsOf(shell, { mayBeMade: true }));
  // Where a config is in the way, that is told first.
  if (loaded === undefined || (loaded.file !== null && force !== true)) return undefined;
  return (await unlockKey(shell, loaded)).keyPassphrase;
}

function valuesOf({ name, port, shareTools, brain, passphraseFile }: Options, overrides: ConfigInput): ConfigInput {
  const net = {
    ...(port === undefined ? {} : { port }),
    ...(shareTools === true ? { share: { tools: true } } : {}),
    ...(passphraseFile === undefined ? {} : { keyPassphraseFile: path.resolve(passphraseFile) }),
  };
  return {
    ...overrides,
    ...(name === undefined ? {} : { name }),
    ...(Object.keys(net).length === 0 ? {} : { net }),
    ...(brain === undefined ? {} : { brain }),
  };
}

/** What was not said with an option, from the person. */
async function askFor(shell: Shell, options: Options): Promise<Options> {
  const { confirm, isCancel, text } = await import('@clack/prompts');
  const { nodeNameProblem } = await import('@skein/host');
  const question = { message: 'What is this node called?', placeholder: "the machine's name" };
  const validate = (answer = '') => (answer === '' ? undefined : nodeNameProblem(answer));
  const name = options.name ?? (await text({ ...question, validate }));
  if (isCancel(name)) throw nothingWritten(shell);
  const message = 'Let trusted peers call the tools of this node?';
  const shareTools = options.shareTools ?? (await confirm({ message, initialValue: false }));
  if (isCancel(shareTools)) throw nothingWritten(shell);
  const { name: _name, ...rest } = options;
  return { ...rest, shareTools, ...(name ? { name } : {}) };
}

function nothingWritten(shell: Shell): SkeinError {
  shell.interrupt();
  return new SkeinError('Nothing was written', { code: 'canceled' });
}
