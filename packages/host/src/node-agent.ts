import { randomUUID } from 'node:crypto';
import { Agent, type ToolSet } from '@skein/agent';
import { systemClock } from '@skein/mesh';
import type { ChosenBrain } from './choose-brain.ts';
import type { NodeConfig } from './config/load-config.ts';
import type { NodeFiles } from './node-files.ts';
import { authorLabel } from './peer-label.ts';

export interface NodeAgentParts {
  readonly chosen: ChosenBrain | undefined;
  readonly config: NodeConfig;
  readonly files: Pick<NodeFiles, 'sessions' | 'memory' | 'trust'>;
  readonly tools: ToolSet;
  /** The connected peers. */
  readonly peers: () => readonly { readonly name: string; readonly hasBrain: boolean }[];
}

/** This node's mind, given to the stack to close; undefined for a node without a brain. */
export function openNodeAgent(parts: NodeAgentParts, stack: AsyncDisposableStack): Agent | undefined {
  const { chosen, config, files, tools, peers } = parts;
  if (chosen === undefined) return undefined;
  const { sessions, memory, trust } = files;
  const { now } = systemClock;
  const options = agentOptionsOf(config);
  const known = { tools, sessions, memory, peers, authorLabel: authorLabel(trust) };
  return stack.use(new Agent({ brain: chosen.brain, ...known, now, randomId: randomUUID, options }));
}

/** How the agent works, by the configuration. */
export function agentOptionsOf({ name, agent }: NodeConfig) {
  const { maxIterations, ...options } = agent;
  return { ...options, name, maxSteps: maxIterations };
}
