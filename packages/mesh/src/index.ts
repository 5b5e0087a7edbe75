export { type AuditChain, verifyAudit } from './audit-chain.ts';
export { type AuditEnd, readAuditEnd } from './audit-end.ts';
export { type AuditComparison, AuditLog, type AuditLogParts, type AuditRecord } from './audit-log.ts';
export * from './backoff.ts';
export * from './clock.ts';
export * from './dialer.ts';
export { adviseElection, describeElection } from './election/describe.ts';
export * from './election/election.ts';
export { next as nextElection } from './election/next.ts';
export * from './feed.ts';
export { authorize } from './interceptors/authorize.ts';
export * from './mesh.ts';
export { Deadlines } from './peer/deadlines.ts';
export type { IncomingLimits } from './peer/incoming-calls.ts';
export type { CallOptions } from './peer/outgoing-calls.ts';
export { Peer } from './peer/peer.ts';
export { TokenBucket } from './peer/token-bucket.ts';
export * from './router.ts';
export { StrangerBudget } from './stranger-budget.ts';
export { systemBoot } from './system-boot.ts';
export { freePorts } from './transport/free-ports.ts';
export { createHttpTransport, type HttpTransportOptions } from './transport/http.ts';
export { HttpAcceptor, type HttpAcceptorParts } from './transport/http-acceptor.ts';
export * from './transport/memory.ts';
export * from './transport/transport.ts';
export { createWebTransport, type WebTransportParts } from './transport/web.ts';
export { createWebSocketTransport, offersSkein, WebSocketAcceptor } from './transport/websocket.ts';
export { CheckpointFile, type CheckpointFileParts } from './trust/checkpoint-file.ts';
export { ensureDirectory, readOwnFile, writeFileAtomic } from './trust/files.ts';
export { type FollowedRotation, followRotations, type ShownRoot } from './trust/follow-rotations.ts';
export { type Decision, decide, LEVEL_GRANTS, matchesGlob, type Refinement, refine, restrict } from './trust/grants.ts';
export {
  changePassphrase,
  checkPassphrase,
  createIdentityFile,
  isKeyFileEncrypted,
  type KeyFile,
  keyIdsOf,
  loadIdentity,
  loadKeyFile,
  loadOrCreateIdentity,
  loadOrCreateKeyFile,
  readPassphraseFile,
  rotateKeyFile,
} from './trust/identity-file.ts';
export { formatInviteCode, type InviteCode, parseInviteCode } from './trust/invite-code.ts';
export {
  INVITE_TTL_MS,
  type Invitation,
  type InviteClaim,
  Invites,
  type InvitesParts,
  type Redemption,
} from './trust/invites.ts';
export { currentRoot, shownHistory } from './trust/key-history.ts';
export { KnownNodes, type KnownNodesParts } from './trust/known-nodes.ts';
export { RevocationLists, type RevocationListsParts } from './trust/revocation-lists.ts';
export { bindRoot, createRootFile, rotateByRoot } from './trust/root-file.ts';
export type { TrustChange } from './trust/trust-changes.ts';
export {
  formatTrustLine,
  formatTrustOptions,
  parseTrustLine,
  parseTrustOptions,
  TRUST_DEFAULTS,
  TRUST_LEVELS,
  type TrustLevel,
  type TrustOptions,
  type TrustRecord,
} from './trust/trust-record.ts';
export { type RevokedKey, type RotationOutcome, TrustStore, type TrustStoreParts } from './trust/trust-store.ts';
