import type { NetStatus, RevokedPeer, TrustedPeer, TrustLevel } from '@skein/host';
import { Command } from 'commander';
import { loadConfigOf, loadOptionsOf, openNodeOf } from '../node-access.ts';
import { parseLevel, parseList, parseUrl } from '../option-values.ts';
import { unlockKey } from '../passphrase.ts';
import { describePeers } from '../peer-table.ts';
import { plainText } from '../plain-text.ts';
import type { Shell } from '../shell.ts';
import { passphraseCommand, rotateKeyCommand } from './net-key.ts';
import { messagesCommand, sendCommand } from './net-messages.ts';
import { rootCommand } from './net-root.ts';

interface TrustFlags {
  readonly level?: TrustLevel;
  readonly allowBrain?: boolean;
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
  readonly url?: string;
  readonly voter?: boolean;
  readonly revoker?: boolean;
}

/** `skein net …` */
export function netCommand(shell: Shell): Command {
  const net = new Command('net').description('keys, trust, peers and messages to them').helpCommand(false);
  const own = [init(shell), showKey(shell), rotateKeyCommand(shell), rootCommand(shell), passphraseCommand(shell)];
  const talk = [sendCommand(shell), messagesCommand(shell)];
  for (const command of [...own, trust(shell), revoke(shell), peers(shell), status(shell), ...talk]) net.addCommand(command);
  return net.addHelpText('after', '\nExample:\n  $ skein net show-key');
}

function init(shell: Shell): Command {
  return new Command('init')
    .description('make the key of this node, and a config file where there is none; a key is never replaced')
    .argument('<name>', 'what this node is called')
    .option('--new-key', 'make a key also where a node was that has lost its own: the other nodes must trust it anew')
    .addHelpText('after', '\nExample:\n  $ skein net init us-monitor')
    .action(async (name: string, { newKey = false }: { readonly newKey?: boolean }) => {
      const { checkNodeName, initNetwork, loadConfig } = await import('@skein/host');
      checkNodeName(name);
      const options = loadOptionsOf(shell, { mayBeMade: true });
      const { keyPassphrase } = await unlockKey(shell, loadConfig(options));
      const unlocking = keyPassphrase === undefined ? {} : { keyPassphrase };
      const { key, madeKey } = initNetwork({ ...options, ...unlocking, name, isAnew: newKey });
      shell.result({ type: 'key', madeKey, ...key }, () =>
        [`${madeKey ? 'Made the key' : 'Kept the key'} ${key.keyPath}`, `Fingerprint: ${key.fingerprint}`, key.line].join('\n'),
      );
    });
}

function showKey(shell: Shell): Command {
  return new Command('show-key')
    .description('print the public key line that others give to: skein net trust; for OpenVole nodes the one of theirs too')
    .addHelpText('after', '\nExample:\n  $ skein net show-key')
    .action(async () => {
      const { ownKey } = await import('@skein/host');
      const key = ownKey(await unlockKey(shell, await loadConfigOf(shell)));
      if (!shell.json) shell.note(`Fingerprint: ${key.fingerprint}${key.root === null ? '' : `\nRoot:        ${key.root}`}`);
      shell.result({ type: 'key', ...key }, () => (key.voleLine === null ? key.line : `${key.line}\n${key.voleLine}`));
    });
}

function trust(shell: Shell): Command {
  return new Command('trust')
    .description('trust a key; a node that runs takes it up at once')
    .argument('<key line...>', 'what the other prints with: skein net show-key; of one that is trusted, its name is enough')
    .option(
      '--level <level>',
      'full, tool or read: what it may do here, in place of what it might; absent, what it has, or read',
      parseLevel,
    )
    .option('--allow-brain', 'let the brain of this node work for it')
    .option('--allow <tools>', 'the only tools it may call: names, or a start of a name and "*"', parseList)
    .option('--deny <tools>', 'tools it may never call', parseList)
    .option('--voter', 'count its vote where the leader is elected by "quorum"; say the same on every node')
    .option('--no-voter', 'count it no more')
    .option('--revoker', 'revoke here what it revokes for others; counts with --level full alone')
    .option('--url <url>', 'where to dial it, such as ws://192.168.1.20:9700', parseUrl)
    .addHelpText(
      'after',
      '\nExample:\n  $ skein net trust "skein-ed25519 <key> eu-monitor" --level tool --url ws://192.168.1.20:9700',
    )
    .action(async (words: readonly string[], flags: TrustFlags) => {
      const { dataDir, ownIdsOf, trustedKeyLine, trustPeer } = await import('@skein/host');
      const loaded = await loadConfigOf(shell);
      const { config } = loaded;
      const own = { ownName: config.name, ownIds: ownIdsOf(loaded) };
      const { level, allowBrain, allow, deny, url, voter, revoker } = flags;
      const dir = dataDir(config.dataDir);
      const peer = trustPeer(
        dir,
        await trustedKeyLine(dir, words.join(' ').trim()),
        {
          ...(level === undefined ? {} : { trust: level }),
          ...(allowBrain === true ? { allowBrain } : {}),
          ...(allow === undefined ? {} : { allowTools: allow }),
          ...(deny === undefined ? {} : { denyTools: deny }),
          ...(url === undefined ? {} : { url }),
          ...(voter === undefined ? {} : { voter }),
          ...(revoker === true ? { revoker } : {}),
        },
        own,
      );
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
      const { dataDir, locateNode, revokePeer } = await import('@skein/host');
      // Trust is taken back also while the config has an error: the trust file says all that it takes.
      const { dataDir: root, loaded, problem } = locateNode(loadOptionsOf(shell));
      if (problem !== undefined) shell.note(`Looking in ${root}, since the config has an error: ${problem.message}`);
      const own = loaded === undefined ? {} : { ownName: loaded.config.name };
      const peer = revokePeer(dataDir(root), words.join(' ').trim(), { share, own });
      shell.result({ type: 'revoked', ...peer }, () => plainText(describeRevoked(shell, peer)));
    });
}

function peers(shell: Shell): Command {
  return new Command('peers')
    .description('list the peers, and how each is reached just now')
    .addHelpText('after', '\nExample:\n  $ skein net peers')
    .action(async () => {
      const { dataDir, listTrusted, locateNode } = await import('@skein/host');
      const { dataDir: root } = locateNode(loadOptionsOf(shell));
      await using node = await openNodeOf(shell);
      const known = await node.client.peers({ signal: shell.signal });
      const trusted = new Map((await listTrusted(dataDir(root))).map((record) => [String(record.id), record]));
      const peers = known.map((peer) => {
        const { root = null, voter = false } = trusted.get(peer.id) ?? {};
        return { ...peer, root, voter };
      });
      if (shell.json) for (const peer of peers) shell.event({ type: 'peer', ...peer });
      else shell.line(describePeers(shell, peers));
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
          ...describeNet(shell, net),
        ].join('\n'),
      );
    });
}

function describeRevoked(shell: Shell, { name, fingerprint, alsoRevoked, stillTrusted, root }: RevokedPeer): string {
  return [
    `${name} is not trusted any more (${fingerprint})`,
    ...alsoRevoked.map((other) => `It had been replaced by ${other.name}, which is revoked too (${other.fingerprint})`),
    ...(stillTrusted === null
      ? []
      : [
          `Its root (${root}) has replaced it by ${stillTrusted.name}, which stays trusted (${stillTrusted.fingerprint})`,
          shell.typed(`If that root is not its owner's, revoke that one too: skein net revoke ${stillTrusted.id}`),
        ]),
  ].join('\n');
}

function describeTrusted({
  name,
  fingerprint,
  trust: level,
  allowBrain,
  allowTools,
  denyTools,
  url,
  voter,
  revoker,
  givenName,
}: TrustedPeer & { readonly givenName: string | null }): string {
  const may = {
    full: 'it may call the tools this node shares, and whatever else a node can share',
    tool: 'it may call the tools this node shares',
    read: 'it may be connected, but call no tools; for that: --level tool',
  };
  return [
    `${name} is trusted: ${fingerprint}`,
    ...(givenName === null ? [] : [`  its line says ${givenName}, which is another's name here: this node calls it ${name}`]),
    `  ${level}: ${may[level]}`,
    ...(allowBrain ? ['  it may have the brain of this node work for it'] : []),
    ...(allowTools === null ? [] : [`  only these tools: ${allowTools.join(', ')}`]),
    ...(denyTools.length === 0 ? [] : [`  never these tools: ${denyTools.join(', ')}`]),
    ...(voter ? ['  it votes on who leads, where the leader is elected by "quorum"'] : []),
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

function describeNet(shell: Shell, { load, leader, schedules, needRestart }: NetStatus): readonly string[] {
  const lines = [`  tasks  ${load.running} running, ${load.queued} waiting, room for ${load.capacity} at once`];
  if (leader !== null) {
    const who = leader.leader === null ? 'nobody' : `${leader.leader.name}${leader.isMe ? ' (this node)' : ''}`;
    lines.push(`  leader ${who}${leader.leader === null ? '' : `, term ${leader.term}`}, ${leader.mode}`);
    if (leader.voters.length > 0) lines.push(`         voters: ${leader.voters.map(({ name }) => name).join(', ')}`);
    if (leader.note !== '') lines.push(`         ${leader.note}`);
    if (leader.fix !== null) lines.push(`         To do: ${shell.typed(leader.fix)}`);
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
  if (needRestart.length > 0) lines.push(`  config changed, and in force after a restart: ${needRestart.join(', ')}`);
  return lines.map(plainText);
}

/** Minutes are as exact as schedules are. */
function minuteOf(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, 16)}Z`;
}
