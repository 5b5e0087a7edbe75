import { nearestNames } from '@skein/protocol';
import { Command, type CommanderError } from 'commander';
import manifest from '../package.json' with { type: 'json' };
import { askCommand } from './commands/ask.ts';
import { callCommand } from './commands/call.ts';
import { chatCommand } from './commands/chat.ts';
import { demoCommand } from './commands/demo.ts';
import { doctorCommand } from './commands/doctor.ts';
import { importCommand } from './commands/import.ts';
import { initCommand } from './commands/init.ts';
import { inviteCommand } from './commands/invite.ts';
import { joinCommand } from './commands/join.ts';
import { netCommand } from './commands/net.ts';
import { pageCommand } from './commands/page.ts';
import { startCommand } from './commands/start.ts';
import { tasksCommand } from './commands/tasks.ts';
import { toolsCommand } from './commands/tools.ts';
import type { GlobalOptions, Shell } from './shell.ts';

const EXAMPLES = `
To begin on one machine:
  $ skein demo
To join two machines:
  $ skein invite              on the first
  $ skein join <code>         on the second
  $ skein start               on both`;

/** The command line. Commands load what they need when they run. */
export function createProgram(shell: Shell): Command {
  const program = new Command('skein')
    .description('A network of AI agents across machines')
    .version(manifest.version, '-V, --version')
    .option('-C, --dir <dir>', 'folder of the config file, and where relative paths begin')
    .option('--data-dir <dir>', "folder of the node's key, trust and sessions")
    .option('--config <file>', 'another config file')
    .option('--json', 'print JSON, one object a line')
    .option('--verbose', 'show more, and where errors come from')
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true })
    .addHelpText('after', EXAMPLES)
    .hook('preAction', (_program, command) => shell.configure(command.optsWithGlobals<GlobalOptions>()));
  const commands = [
    demoCommand(shell),
    initCommand(shell),
    startCommand(shell),
    pageCommand(shell),
    askCommand(shell),
    chatCommand(shell),
    callCommand(shell),
    toolsCommand(shell),
    tasksCommand(shell),
    inviteCommand(shell),
    joinCommand(shell),
    netCommand(shell),
    importCommand(shell),
    doctorCommand(shell),
  ];
  for (const command of commands) program.addCommand(command);
  raiseErrors(program, shell);
  return program;
}

/** Commander prints and exits by itself unless each command is told otherwise. */
function raiseErrors(command: Command, shell: Shell): void {
  command.exitOverride((error: CommanderError) => {
    if (error.code === 'commander.unknownCommand') error.message = unknownCommand(command);
    // What is no command of a group is taken for an argument of the one that the group runs when none is named.
    if (error.code === 'commander.excessArguments' && command.parent !== null && command.parent.args[0] !== command.name())
      error.message = unknownCommand(command.parent);
    if (error.code === 'commander.unknownOption') error.message = unknownOption(command, error.message);
    throw error;
  });
  command.configureOutput({
    writeOut: (text) => shell.write(shell.typed(text)),
    writeErr: (text) => shell.note(text.trimEnd()),
    outputError: () => {}, // Said once, where all errors are.
  });
  command.configureHelp({ showGlobalOptions: true });
  for (const inner of command.commands) raiseErrors(inner, shell);
}

function unknownCommand(command: Command): string {
  const [word = ''] = command.args;
  const names = command.commands.map((inner) => inner.name());
  const inner = command.commands.flatMap((group) => group.commands.map((each) => `${group.name()} ${each.name()}`));
  const nearest = inner.find((name) => name.endsWith(` ${word}`)) ?? nearestNames(word, names)[0];
  return `there is no command "${word}"${near(nearest)}. There are: ${names.join(', ')}`;
}

function unknownOption(command: Command, message: string): string {
  const word = /'([^']*)'/.exec(message)?.[1] ?? '';
  const flags = command.createHelp();
  const known = [...flags.visibleOptions(command), ...flags.visibleGlobalOptions(command)].flatMap(({ long }) => long ?? []);
  return `there is no option "${word}"${near(nearestNames(word, known)[0])}. There are: ${known.join(', ')}`;
}

function near(name: string | undefined): string {
  return name === undefined ? '' : `; the nearest is "${name}"`;
}
