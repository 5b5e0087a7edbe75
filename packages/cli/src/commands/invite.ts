import type { GatewayClient, LoadedConfig, OpenInvite, PeerStatus, TrustLevel } from '@skein/host';
import { fingerprintWords, SkeinError } from '@skein/protocol';
import { Command } from 'commander';
import { clockTime } from '../clock-time.ts';
import { loadConfigOf } from '../node-access.ts';
import { parseDuration, parseLevel, parseList } from '../option-values.ts';
import { unlockKey } from '../passphrase.ts';
import { plainLine } from '../plain-text.ts';
import type { Shell } from '../shell.ts';

interface Options {
  readonly trust: TrustLevel;
  readonly allowBrain?: boolean;
  readonly voter?: boolean;
  readonly ttl?: number;
  readonly address?: readonly string[];
  readonly wait?: boolean;
}

const TTL_MS = 600_000;
const ONLY_HERE =
  'Only this machine reaches it there: set net.host to listen for others, or say with --address where they come in.';
/** How long this process stays for the other side to finish, when nothing but it listens. */
const LINGER_MS = 2_000;

/** `skein invite` */
export function inviteCommand(shell: Shell): Command {
  return new Command('invite')
    .description('let another machine in: prints a code for `skein join`, good once')
    .option('--trust <level>', 'full, tool or read: what the one who joins may do here', parseLevel, 'tool')
    .option('--allow-brain', 'let the brain of this node work for it')
    .option('--voter', 'count its vote where the leader is elected by "quorum"')
    .option('--ttl <time>', 'how long the code is good, such as 30s, 10m or 1h; absent, 10m', parseDuration)
    .option('--address <host:port>', 'where the other machine reaches this one; may be given again', parseList)
    .option('--wait', 'wait until it is used, also where the node runs')
    .addHelpText('after', '\nExample:\n  $ skein invite --ttl 10m')
    .action(async (options: Options) => {
      const { connectToRunning, dataDir, findRunning } = await import('@skein/host');
      const loaded = await loadConfigOf(shell);
      const dir = dataDir(loaded.config.dataDir);
      const running = findRunning(dir);
      const client = connectToRunning(dir);
      const unlocked = await unlockKey(shell, loaded);
      if (running === undefined || client === undefined) return inviteHere(shell, unlocked, options);
      const invite = await print(shell, unlocked, { ...options, port: running.port, host: running.host });
      if (options.wait === true) await untilUsed(shell, invite, { client, trust: options.trust });
    });
}

/** Where no node runs, this process is the node until the invitation is used. */
async function inviteHere(shell: Shell, loaded: LoadedConfig, options: Options): Promise<void> {
  const { createClient, createHost, createLog } = await import('@skein/host');
  await using host = createHost({ loaded, log: createLog({ level: shell.verbose ? 'info' : 'silent' }) });
  const { port } = await host.start();
  const invite = await print(shell, loaded, { ...options, port });
  await untilUsed(shell, invite, { client: createClient(host.backend), trust: options.trust, lingerMs: LINGER_MS });
}

/** Where the node listens that honours the invitation. */
interface Place {
  readonly port: number;
  readonly host?: string | undefined;
}

async function print(shell: Shell, loaded: LoadedConfig, options: Options & Place): Promise<OpenInvite> {
  const { invitePeer } = await import('@skein/host');
  const { renderUnicodeCompact } = await import('uqr');
  const { trust, allowBrain = false, voter = false, ttl = TTL_MS, address = [], port, host } = options;
  const invite = invitePeer(loaded, { trust, allowBrain, voter, ttlMs: ttl, addresses: address, port, host });
  const { code, addresses, onlyHere, fingerprint, expiresAtMs } = invite;
  shell.result({ type: 'invite', code, addresses, onlyHere, fingerprint, trust, expiresAtMs }, () =>
    [
      ...(shell.stdout.isTTY === true ? [renderUnicodeCompact(code.toUpperCase()), ''] : []),
      'On the other machine:',
      '',
      shell.typedElsewhere(`  skein join ${code}`),
      '',
      `It must show this fingerprint:  ${shell.colors.bold(fingerprint)}`,
      `It reaches this machine at ${addresses.join(', ')}, may do here what "${trust}" says, and the code is good once, until ${clockTime(expiresAtMs)}.`,
      ...(onlyHere ? [shell.colors.yellow(ONLY_HERE)] : []),
    ].join('\n'),
  );
  return invite;
}

interface UntilUsed {
  readonly client: GatewayClient;
  readonly trust: TrustLevel;
  readonly lingerMs?: number;
}

/** Resolves when it was used. One that was not is taken back, however this ends. */
async function untilUsed(shell: Shell, invite: OpenInvite, { client, trust, lingerMs = 0 }: UntilUsed): Promise<void> {
  // One for the life of the process, as below: nothing that could add up.
  const waiting = AbortSignal.any([shell.signal, AbortSignal.timeout(Math.max(0, invite.expiresAtMs - Date.now()))]);
  const peer = await waitFor(shell, invite, () => firstUse(client, invite, waiting)).finally(() => invite.cancel());
  shell.signal.throwIfAborted();
  if (peer === undefined) {
    throw new SkeinError('Nobody used the invitation in time; make another with: skein invite', { code: 'deadline-exceeded' });
  }
  const fingerprint = fingerprintWords(peer.id);
  shell.result({ type: 'joined', name: peer.name, peerId: peer.id, fingerprint, trust }, () =>
    [`${plainLine(peer.name, 64)} has joined: ${shell.colors.bold(fingerprint)}`, shell.typed('Next: skein start')].join('\n'),
  );
  if (lingerMs > 0) await untilLeft(client, peer.id, AbortSignal.any([shell.signal, AbortSignal.timeout(lingerMs)]));
}

/** Shows the time that is left, and takes that off the terminal before anything else is said. */
async function waitFor<T>(shell: Shell, invite: OpenInvite, work: () => Promise<T>): Promise<T> {
  using _ticker = showTimeLeft(shell, invite);
  return await work();
}

/** Who used it; undefined when nobody did before the signal fired. */
async function firstUse(client: GatewayClient, invite: OpenInvite, signal: AbortSignal): Promise<PeerStatus | undefined> {
  try {
    for await (const event of client.events({ signal })) {
      if (event.type !== 'peer-joined' || invite.isOpen()) continue;
      return (await client.peers()).find(({ id }) => id === event.id);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return undefined;
}

async function untilLeft(client: GatewayClient, id: string, signal: AbortSignal): Promise<void> {
  const isHere = (peers: readonly PeerStatus[]) => peers.some((peer) => peer.id === id && peer.state === 'connected');
  const events = client.events({ signal });
  if (!isHere(await client.peers())) return;
  for await (const event of events) if (event.type === 'peer-left' && event.id === id) return;
}

function showTimeLeft(shell: Shell, invite: OpenInvite): Disposable {
  if (shell.json) return { [Symbol.dispose]: () => {} };
  const live = shell.stderr.isTTY === true;
  const show = () => {
    const seconds = Math.max(0, Math.round((invite.expiresAtMs - Date.now()) / 1_000));
    const text = `Waiting for the other machine, ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')} left. Ctrl-C takes the invitation back`;
    shell.stderr.write(live ? `\r\u001b[K${text}` : `${text}\n`);
  };
  show();
  const timer = live ? setInterval(show, 1_000) : undefined;
  return {
    [Symbol.dispose]: () => {
      clearInterval(timer);
      if (live) shell.stderr.write('\r\u001b[K');
    },
  };
}
