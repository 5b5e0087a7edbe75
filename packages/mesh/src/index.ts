export { type AuditEnd, readAuditEnd } from './audit-end.ts';
export { AuditLog, type AuditLogParts, type AuditRecord, verifyAudit } from './audit-log.ts';
export * from './backoff.ts';
export * from './clock.ts';
export * from './dialer.ts';
export * from './feed.ts';
export { authorize } from './interceptors/authorize.ts';
export * from './mesh.ts';
export type { IncomingLimits } from './peer/incoming-calls.ts';
export type { CallOptions } from './peer/outgoing-calls.ts';
export { Peer } from './peer/peer.ts';
export * from './router.ts';
export * from './transport/memory.ts';
export * from './transport/transport.ts';
export * from './transport/websocket.ts';
export { ensureDirectory, readOwnFile, writeFileAtomic } from './trust/files.ts';
export { type Decision, decide, LEVEL_GRANTS, matchesGlob } from './trust/grants.ts';
export { createIdentityFile, loadIdentity, loadOrCreateIdentity } from './trust/identity-file.ts';
export { formatInviteCode, type InviteCode, parseInviteCode } from './trust/invite-code.ts';
export {
  INVITE_TTL_MS,
  type Invitation,
  type InviteClaim,
  Invites,
  type InvitesParts,
  type Redemption,
} from './trust/invites.ts';
export { KnownNodes, type KnownNodesParts } from './trust/known-nodes.ts';
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
export { type TrustChange, TrustStore, type TrustStoreParts } from './trust/trust-store.ts';
