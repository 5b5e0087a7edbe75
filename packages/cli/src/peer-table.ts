import type { PeerStatus } from '@skein/host';
import { plainLine } from './plain-text.ts';
import type { Shell } from './shell.ts';

const NO_ADDRESS = 'no address to dial it at, so it must dial this node; or give one: skein net trust "<key line>" --url <url>';

/** A peer, and where that was looked up the words of the root it has shown, and whether its vote counts. */
export interface RootedPeer extends PeerStatus {
  readonly root?: string | null;
  readonly voter?: boolean;
}

/** The peers, a line each, with the root of each that has shown one, and why one is not there. */
export function describePeers(shell: Shell, peers: readonly RootedPeer[]): string {
  if (peers.length === 0) return shell.typed('No peers are known. Let one in with: skein invite');
  const { bold, dim, green, red, yellow } = shell.colors;
  const marks = { connected: green('●'), connecting: yellow('◌'), disconnected: red('○') };
  const width = Math.max(...peers.map(({ name }) => name.length));
  return peers
    .flatMap((peer) => {
      const {
        name,
        state,
        trust,
        address,
        latencyMs,
        tools,
        problem,
        dialect,
        transport,
        brain,
        load,
        notProtected,
        root,
        voter,
      } = peer;
      const facts = [
        state,
        `trust ${trust}`,
        ...(voter === true ? ['voter'] : []),
        ...(latencyMs === null ? [] : [`${latencyMs.toFixed(1)} ms`]),
        ...(state === 'connected' ? [countOf(tools.length)] : []),
        ...(dialect === 'skein' ? [] : [dialect]),
        ...(transport === 'http' ? ['over HTTP'] : []),
        ...(brain === null ? [] : [`brain ${plainLine(brain, 60)}`]),
        ...(load === null || load.running + load.queued === 0 ? [] : [`${load.running + load.queued} tasks`]),
        ...(address === null ? [] : [plainLine(address, 80)]),
      ];
      const line = `${marks[state]} ${bold(plainLine(name, 64).padEnd(width))}  ${facts.join(', ')}`;
      const why = problem ?? (state === 'disconnected' && address === null ? shell.typed(NO_ADDRESS) : null);
      return [
        line,
        ...(root === null || root === undefined ? [] : [dim(`    root ${root}`)]),
        ...(notProtected.length === 0 ? [] : [yellow(`    its protocol lacks: ${notProtected.join(', ')}`)]),
        ...(why === null ? [] : [dim(`    ${plainLine(shell.typedElsewhere(why), 300)}`)]),
      ];
    })
    .join('\n');
}

function countOf(tools: number): string {
  if (tools === 0) return 'shares no tools';
  return tools === 1 ? '1 tool' : `${tools} tools`;
}
