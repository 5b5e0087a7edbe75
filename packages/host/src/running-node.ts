import type { Agent } from '@skein/agent';
import type { ChosenBrain } from './choose-brain.ts';
import type { LiveConfig } from './config/live-config.ts';
import type { PeerChat } from './features/peer-chat/peer-chat.ts';
import type { VoleFeature } from './features/volenet/vole-feature.ts';
import type { NodeDialing } from './node-dialing.ts';
import type { NodeDuties } from './node-duties.ts';
import type { NodeFiles } from './node-files.ts';
import type { NodeNetwork } from './node-network.ts';
import type { NodeSync } from './node-sync.ts';
import type { NodeTasks } from './node-tasks.ts';

/** What a node is made of between its files and its door: what its features and its people are told from. */
export interface RunningNode extends NodeFiles, NodeNetwork {
  readonly config: LiveConfig;
  /** Undefined for a node without a brain, and so the agent. */
  readonly chosen: ChosenBrain | undefined;
  readonly agent: Agent | undefined;
  readonly tasks: NodeTasks;
  readonly duties: NodeDuties;
  readonly sync: NodeSync;
  readonly chat: PeerChat;
  /** Undefined where no OpenVole node is met. */
  readonly vole: VoleFeature | undefined;
  readonly dialing: NodeDialing;
}
