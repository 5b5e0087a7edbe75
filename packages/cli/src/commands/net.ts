import type { NetStatus, TrustedPeer, TrustLevel } from '@skein/host';
import { Command } from 'commander';
import { loadConfigOf, loadOptionsOf, openNodeOf } from '../node-access.ts';
import { parseLevel, parseList, parseUrl } from '../option-values.ts';
import { unlockKey } from '../passphrase.ts';
import { describePeers } from '../peer-table.ts';
import { plainText } from '../plain-text.ts';
import type { Shell } from '../shell.ts';
import { passphraseCommand, rotateKeyCommand } from './net-key.ts';
import { messagesCommand, sendCommand } from './net-messages.ts';

interface TrustFlags {
  readonly level?: TrustLevel;
  readonly allowBrain?: boolean;
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
  readonly url?: string;
  readonly revoker?: boolean;
}

/** `skein net …` */
export function netCommand(shell: Shell): Command {
  const net = new Command('net').description('keys, trust, peers and messages to them').helpCommand(false);
  const own = [init(shell), showKey(shell), rotateKeyCommand(shell), passphraseCommand(shell)];
  const talk = [sendCommand(shell), messagesCommand(shell)];
  for (const command of [...own, trust(shell), revoke(shell), peers(shell), status(shell), ...talk]) net.addCommand(command);
  return net.addHelpText('after', '\nExample:\n  $ skein net show-key');
}

function init(shell: Shell): Command {
  return new Command('init')
    .description('make the key of this node, and a config file where there is none; a key is never replaced')
    .argument('<name>', 'what this node is called')
    .addHelpText('after', '\nExample:\n  $ skein net init us-monitor')
    .action(async (name: string) => {
      const { initNetwork, loadConfig } = await import('@skein/host');
      const options = loadOptionsOf(shell, { mayBeMade: true });
      const { keyPassphrase } = await unlockKey(shell, loadConfig(options));
      const { key, madeKey } = initNetwork({ ...options, ...(keyPassphrase === undefined ? {} : { keyPassphrase }), name });
      shell.result({ type: 'key', madeKey, ...key }, () =>
        [`${madeKey ? 'Made the key' : 'Kept the key'} ${key.keyPath}`, `Fingerprint: ${key.fingerprint}`, key.line].join('\n'),
      );
    });
}

function showKey(shell: Shell): Command {
  return new Command('show-key')
    .description('print the public key line that others give to: skein net trust')
    .addHelpText('after', '\nExample:\n  $ skein net show-key')
    .action(async () => {
      const { ownKey } = await import('@skein/host');
      const key = ownKey(await unlockKey(shell, await loadConfigOf(shell)));
      if (!shell.json) shell.note(`Fingerprint: ${key.fingerprint}`);
      shell.result({ type: 'key', ...key }, () => key.line);
    });
}

function trust(shell: Shell): Command {
  return new Command('trust')
    .description('trust a key; a node that runs takes it up at once')
    .argument('<key line...>', 'what the other prints with: skein net show-key')
    .option(
      '--level <level>',
      'full, tool or read: what it may do here, in place of what it might; absent, what it has, or read',
      parseLevel,
    )
    .option('--allow-brain', 'let the brain of this node work for it')
    .option('--allow <tools>', 'the only tools it may call: names, or a start of a name and "*"', parseList)
    .option('--deny <tools>', 'tools it may never call', parseList)
    .option('--revoker', 'revoke here what it revokes for others; counts with --level full alone')
    .option('--url <url>', 'where to dial it, such as ws://192.168.1.20:9700', parseUrl)
    .addHelpText(
      'after',
      '\nExample:\n  $ skein net trust "skein-ed25519 <key> eu-monitor" --level tool --url ws://192.168.1.20:9700',
    )
    .action(async (words: readonly string[], flags: TrustFlags) => {
      const { dataDir, trustPeer } = await import('@skein/host');
      const { config } = await loadConfigOf(shell);
      const { level, allowBrain, allow, deny, url, revoker } = flags;
      const peer = trustPeer(dataDir(config.dataDir), words.join(' '), {
        ...(level === undefined ? {} : { trust: level }),
        ...(allowBrain === true ? { allowBrain } : {}),
        ...(allow === undefined ? {} : { allowTools: allow }),
        ...(deny === undefined ? {} : { denyTools: deny }),
        ...(url === undefined ? {} : { url }),
        ...(revoker === true ? { revoker } : {}),
      });
      shell.result({ type: 'trusted', ...peer }, () => plainText(describeTrusted(peer)));
    });
}

function revoke(shell: Shell): Command {
  return new Command('revoke')
    .description('take trust back; a node that runs closes the sessions of that key within two seconds')
    .argument('<key or name...>', 'a key line, an id or a name')
    .option('--share', 'tell the peers too: those that made this node a revoker revoke it as well')
    .addHelpText('after', '\nExample:\n  $ skein net revoke eu-monitor')
    .action(async (words: readonly string[], { share = false }: { readonly share?: boolean }) => {
      const { connectToRunning, dataDir, revokePeer } = await import('@skein/host');
      const { config } = await loadConfigOf(shell);
      const dir = dataDir(config.dataDir);
      // Only to know names by; trust is taken back with no node running, or with one that does not answer.
      const connected =
        (await connectToRunning(dir)
          ?.peers({ signal: shell.signal })
          .catch(() => [])) ?? [];
      const peer = await revokePeer(dir, words.join(' ').trim(), { connected, share });
      shell.result({ type: 'revoked', ...peer }, () => plainText(`${peer.name} is not trusted any more (${peer.fingerprint})`));
    });
}

function peers(shell: Shell): Command {
  return new Command('peers')
    .description('list the peers, and how each is reached just now')
    .addHelpText('after', '\nExample:\n  $ skein net peers')
    .action(async () => {
      await using node = await openNodeOf(shell);
      const known = await node.client.peers({ signal: shell.signal });
      if (shell.json) for (const peer of known) shell.event({ type: 'peer', ...peer });
      else shell.line(describePeers(shell, known));
    });
}

function status(shell: Shell): Command {
  return new Command('status')
    .description('say who this node is, whether it runs, and who is connected')
    .addHelpText('after', '\nExample:\n  $ skein net status')
    .action(async () => {
      await using node = await openNodeOf(shell);
      const own = await node.client.status({ signal: shell.signal });
      const known = await node.client.peers({ signal: shell.signal });
      const net = await node.client.net({ signal: shell.signal });
      const connected = known.filter(({ state }) => state === 'connected').length;
      shell.result({ type: 'status', running: node.running, ...own, peers: known.length, connected, ...net }, () =>
        [
          `${shell.colors.bold(own.name)} ${node.running ? `runs on port ${own.port}` : shell.typed('does not run; start it with: skein start')}`,
          `  key    ${own.fingerprint}`,
          `  brain  ${own.brain?.name ?? 'none'}`,
          `  peers  ${connected} of ${known.length} connected`,
          ...describeNet(net),
        ].join('\n'),
      );
    });
}

function describeTrusted({
  name,
  fingerprint,
  trust: level,
  allowBrain,
  allowTools,
  denyTools,
  url,
  revoker,
}: TrustedPeer): string {
  const may = {
    full: 'it may call the tools this node shares, and whatever else a node can share',
    tool: 'it may call the tools this node shares',
    read: 'it may be connected, but call no tools; for that: --level tool',
  };
  return [
    `${name} is trusted: ${fingerprint}`,
    `  ${level}: ${may[level]}`,
    ...(allowBrain ? ['  it may have the brain of this node work for it'] : []),
    ...(allowTools === null ? [] : [`  only these tools: ${allowTools.join(', ')}`]),
    ...(denyTools.length === 0 ? [] : [`  never these tools: ${denyTools.join(', ')}`]),
    ...(revoker
      ? [
          level === 'full'
            ? '  what it revokes for others is revoked here'
            : '  as a revoker it counts with the level full alone',
        ]
      : []),
    url === null ? '  it must dial this node, or say where to dial it with --url' : `  dialled at ${url}`,
    'Compare the fingerprint with what the other node shows.',
  ].join('\n');
}

function describeNet({ load, leader, schedules }: NetStatus): readonly string[] {
  const lines = [`  tasks  ${load.running} running, ${load.queued} waiting, room for ${load.capacity} at once`];
  if (leader !== null) {
    const who = leader.leader === null ? 'nobody' : `${leader.leader.name}${leader.isMe ? ' (this node)' : ''}`;
    lines.push(`  leader ${who}${leader.leader === null ? '' : `, term ${leader.term}`}, ${leader.mode}`);
    if (leader.voters.length > 0) lines.push(`         voters: ${leader.voters.map(({ name }) => name).join(', ')}`);
    if (leader.note !== '') lines.push(`         ${leader.note}`);
  }
  for (const { name, when, nextAtMs, lastRun } of schedules) {
    lines.push(`  every  ${name}: ${when}, next ${nextAtMs === null ? 'never' : minuteOf(nextAtMs)}`);
    if (lastRun === null) continue;
    const who = lastRun.isMe ? 'this node' : lastRun.by.name;
    lines.push(
      lastRun.away
        ? `         the run of ${minuteOf(lastRun.atMs)} was taken by ${who}, which is away: whether it was done is not known here, and nobody else does it`
        : `         the run of ${minuteOf(lastRun.atMs)} was taken by ${who}`,
    );
  }
  return lines.map(plainText);
}

/** Minutes are as exact as schedules are. */
function minuteOf(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, 16)}Z`;
}
