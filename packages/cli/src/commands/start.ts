import type { ConfigInput, NodeEvent, NodeStatus, Ready } from '@skein/host';
import { Command } from 'commander';
import { loadOptionsOf } from '../node-access.ts';
import { EventTeller } from '../node-event.ts';
import { type BrainInput, parseBrain, parsePort } from '../option-values.ts';
import { unlockKey } from '../passphrase.ts';
import type { Shell } from '../shell.ts';

/** Whoever asks for help does not wait for the host to be loaded; a test holds this to what the host reads. */
const HELP = `
Example:
  $ skein start --port 9700

Variables, stronger than the config file and weaker than options:
  SKEIN_CONFIG               another config file
  SKEIN_NAME                 name
  SKEIN_DATA_DIR             dataDir
  SKEIN_NET_ENABLED          net.enabled
  SKEIN_HOST                 net.host
  SKEIN_PORT                 net.port
  SKEIN_HOSTNAME             net.hostname
  SKEIN_PUBLIC_URL           net.publicUrl
  SKEIN_KEY_PATH             net.keyPath
  SKEIN_KEY_PASSPHRASE_FILE  net.keyPassphraseFile
  SKEIN_SHARE_TOOLS          net.share.tools
  SKEIN_BRAIN_PROVIDER       brain.provider
  SKEIN_BRAIN_MODEL          brain.model
  SKEIN_BRAIN_URL            brain.baseUrl
  SKEIN_CONFIRM_BEFORE_ACT   agent.confirmBeforeAct
  SKEIN_PAGE_ENABLED         page.enabled
  SKEIN_PAGE_HOST            page.host
  SKEIN_PAGE_ALLOWED_HOSTS   page.allowedHosts
  SKEIN_LOG_LEVEL            log.level
  SKEIN_LOG_FILE             log.file`;

interface Options {
  readonly port?: number;
  readonly name?: string;
  readonly brain?: BrainInput;
  readonly exitWithParent?: boolean;
}

/** `skein start` */
export function startCommand(shell: Shell): Command {
  return new Command('start')
    .description('run this node until it is stopped')
    .option('--port <port>', 'port to listen on; 0 lets the system choose', parsePort)
    .option('--name <name>', 'what this node is called')
    .option('--brain <provider[:model]>', 'the model', parseBrain)
    .option('--exit-with-parent', 'stop when the standard input is closed, and leave Ctrl-C to whoever started this')
    .addHelpText('after', HELP)
    .action((options: Options) => runNode(shell, options));
}

async function runNode(shell: Shell, options: Options): Promise<void> {
  const until = new AbortController();
  // Before anything slow: the one who started this may go while it starts.
  using _parent = options.exitWithParent === true ? stopWithParent(shell, until) : undefined;
  const stop = () => until.abort();
  shell.signal.addEventListener('abort', stop, { once: true });
  if (shell.signal.aborted) stop();
  const { createHost, createLog, dataDir, loadConfig, overlookedPlugins, toolFolderProblem } = await import('@skein/host');
  const watch = loadOptionsOf(shell, { overrides: overridesOf(options) });
  const loaded = await unlockKey(shell, loadConfig(watch));
  const { log } = loaded.config;
  // A person at the terminal reads words, not the log; what goes wrong they see either way.
  const isQuiet = shell.stderr.isTTY === true && log.file === undefined && !shell.verbose;
  await using host = createHost({ loaded, watch, ...(isQuiet ? { log: createLog({ level: 'error' }) } : {}) });
  const ready = await host.start();
  const events = host.backend.events({ signal: until.signal });
  if (shell.json) shell.event({ type: 'ready', ...ready });
  else shell.line(describeReady(shell, ready, { status: host.backend.status(), token: host.token }));
  if (isQuiet) {
    const { leader } = host.backend.net();
    if (leader?.fix != null) shell.note(`${leader.note} To do: ${leader.fix}`);
    const overlooked = await overlookedPlugins(dataDir(loaded.config.dataDir));
    for (const file of overlooked) shell.note(`${file} is not loaded: a plug-in is one .ts or .mjs file`);
    const noFolder = toolFolderProblem(loaded);
    if (noFolder !== undefined) shell.note(noFolder.charAt(0).toUpperCase() + noFolder.slice(1));
  }
  const teller = new EventTeller();
  for await (const event of events) tell(shell, event, teller);
  if (!shell.json) shell.note('Stopping');
}

function overridesOf({ port, name, brain }: Options): ConfigInput {
  return {
    ...(port === undefined ? {} : { net: { port } }),
    ...(name === undefined ? {} : { name }),
    ...(brain === undefined ? {} : { brain }),
  };
}

/** A pipe to a process closes when that process ends, however it ends. */
function stopWithParent(shell: Shell, until: AbortController): Disposable {
  const { stdin } = shell;
  shell.ignoreCtrlC();
  const gone = () => until.abort();
  stdin.on('end', gone).on('close', gone).on('error', gone);
  stdin.resume();
  return { [Symbol.dispose]: () => stdin.off('end', gone).off('close', gone).off('error', gone).destroy() };
}

function describeReady(
  shell: Shell,
  { name, peerId, port, page }: Ready,
  { status, token }: { readonly status: NodeStatus; readonly token: string },
): string {
  const { bold, dim } = shell.colors;
  // The token is for the person at this terminal; in a file or a pipe it would stay.
  const link =
    shell.stdout.isTTY === true ? `${page}#token=${token}` : shell.typed(`${page}  (the link to open it: skein page)`);
  const url = page === null ? 'none' : link;
  return [
    `${bold(name)} is up on port ${port}`,
    `  key    ${status.fingerprint}  ${dim(peerId)}`,
    `  page   ${url}`,
    `  brain  ${status.brain === null ? 'none' : status.brain.name}`,
    ...(status.brain?.hint ? [dim(`         ${status.brain.hint}`)] : []),
    dim(shell.typed('Ctrl-C stops it. Another terminal: skein ask "…", skein chat, skein invite')),
  ].join('\n');
}

function tell(shell: Shell, event: NodeEvent, teller: EventTeller): void {
  if (shell.json) {
    shell.event(event);
    return;
  }
  if (event.type === 'tool-served' && !shell.verbose) return;
  const words = teller.tell(event);
  // What is wrong with a peer ends with what to run, here or there; what people say stays as they said it.
  if (words !== undefined) shell.line(event.type === 'peer-problem' ? shell.typedElsewhere(words) : words);
}
