import { existsSync } from 'node:fs';
import { adviseElection, createElection, describeElection, type ElectionState, TrustStore } from '@skein/mesh';
import type { PeerId } from '@skein/protocol';
import type { LoadedConfig } from '../config/load-config.ts';
import { dataDir } from '../data-dir.ts';
import { electionSettingOf } from '../features/election-setting.ts';
import { unknownLeader } from '../features/unknown-leader.ts';
import { loadNodeKey } from '../node-key.ts';
import { connectToRunning } from '../running.ts';
import { type Finding, ok } from './finding.ts';

/** Who leads and why nobody does: as a node that runs knows, else as the configuration and the trust file say. */
export async function examineLeader(loaded: LoadedConfig, signal: AbortSignal): Promise<Finding> {
  const { config } = loaded;
  const { net, page } = config;
  if (!net.enabled) return ok('nobody is to lead: net.enabled is false');
  const client = page.enabled ? connectToRunning(dataDir(config.dataDir)) : undefined;
  if (client !== undefined) {
    const { leader } = await client.net({ signal });
    if (leader !== null) {
      const who = leader.leader === null ? 'nobody' : `${leader.leader.name}${leader.isMe ? ' (this node)' : ''}`;
      return { state: leader.fix === null ? 'ok' : 'warn', text: `${who}, ${leader.mode}. ${leader.note}`, fix: leader.fix };
    }
  }
  if (!existsSync(net.keyPath)) return ok(net.leader);
  return await examineSetting(loaded);
}

async function examineSetting(loaded: LoadedConfig): Promise<Finding> {
  const { name, net, dataDir: root } = loaded.config;
  const self = loadNodeKey(loaded).identity.id;
  await using trust = new TrustStore({ path: dataDir(root).authorizedPeers });
  await trust.start();
  const { leader, voter, peers } = net;
  const setting = electionSettingOf({ self, name, leader, voter, dials: peers.length > 0, records: trust.list() });
  const nameOf = (id: PeerId) => (id === self ? name : (trust.get(id)?.name ?? id.slice(0, 8)));
  const state: ElectionState = createElection(setting, undefined, 0);
  switch (setting.mode) {
    case 'auto':
      return ok('auto: the lowest id that answers');
    case 'forced': {
      if (setting.forced !== undefined) return ok(`${nameOf(setting.forced)} and no other`);
      const { text, fix } = unknownLeader({ name, leader, records: trust.list() }) ?? {
        text: describeElection(state, nameOf),
        fix: 'correct net.leader, or trust that node',
      };
      return { state: 'warn', text, fix };
    }
    case 'quorum': {
      const fix = adviseElection(state);
      if (fix !== null) return { state: 'warn', text: describeElection(state, nameOf), fix };
      return ok(`elected by most of ${setting.voters.map(nameOf).join(', ')}`);
    }
  }
}
