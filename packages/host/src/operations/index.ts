export type { AgentEvent, OfferedTool } from '@skein/agent';
export type {
  GatewayClient,
  NetStatus,
  NodeEvent,
  NodeStatus,
  PeerMessage,
  PeerStatus,
  SessionSummary,
  TaskDetail,
  TaskSummary,
  TurnEvent,
} from '@skein/gateway';
export type { TrustLevel } from '@skein/mesh';
export type { ConfigInput } from '../config/schema.ts';
export { createLog } from '../log.ts';
export { type DemoNode, type DemoPlan, planDemo, readPageToken } from './demo-plan.ts';
export { examineNode } from './examine-node.ts';
export type { Check } from './finding.ts';
export { type ImportedVole, type ImportVoleOptions, importVole } from './import-vole.ts';
export { createInProcessClient as createClient } from './in-process-client.ts';
export { ensureKey, type InitResult, initNetwork, initNode, type OwnKey, ownKey } from './init-node.ts';
export { type InviteOptions, invitePeer, type OpenInvite } from './invite-peer.ts';
export { type Joined, type JoinOptions, joinPeer, type ReadInvite, readInvite } from './join-peer.ts';
export { checkNodeName, nodeNameProblem } from './node-name.ts';
export { type OpenNode, type OpenNodeOptions, openNode } from './open-node.ts';
export { type BoundRoot, bindNodeRoot, initRoot, needsRootPassphrase, type RootKey, rotateKeyByRoot } from './root-key.ts';
export { type RotatedKey, rotateKey, setKeyPassphrase } from './rotate-key.ts';
export {
  listTrusted,
  type OwnNames,
  type RevokedPeer,
  revokePeer,
  type TrustedPeer,
  trustedKeyLine,
  trustPeer,
} from './trust-peer.ts';
