export { addressKey } from './address-key.ts';
export * from './base32.ts';
export * from './envelope.ts';
export * from './errors.ts';
export * from './frame.ts';
export { CookieJar, type CookieJarParts } from './handshake/cookie-jar.ts';
export { type Hello, type HelloFields, helloSchema } from './handshake/hello.ts';
export { InitiatorHandshake, type InitiatorParts, type InviteProof } from './handshake/initiator-handshake.ts';
export { openLateRefusal, REFUSALS, type RefusalCode } from './handshake/refusal.ts';
export { ResponderHandshake, type ResponderParts } from './handshake/responder-handshake.ts';
export { inviteMac } from './handshake/session-keys.ts';
export {
  type Admission,
  type Admit,
  type Established,
  type HandshakeParts,
  type HandshakeRandom,
  type HandshakeStep,
  systemHandshakeRandom,
} from './handshake/step.ts';
export * from './hybrid-time.ts';
export * from './ids.ts';
export * from './json.ts';
export * from './keys.ts';
export * from './limits.ts';
export * from './methods/chat.ts';
export * from './methods/conversation.ts';
export * from './methods/leader.ts';
export * from './methods/memory.ts';
export * from './methods/method.ts';
export * from './methods/operations.ts';
export * from './methods/peer-id.ts';
export * from './methods/presence.ts';
export * from './methods/sessions.ts';
export * from './methods/tasks.ts';
export * from './methods/tools.ts';
export * from './methods/trust.ts';
export * from './nearest-names.ts';
export { CipherState, KEY_BYTES, TAG_BYTES } from './noise/cipher-state.ts';
export {
  HandshakeState,
  type HandshakeStateParts,
  NOISE_MAX_BYTES,
  type NoisePayload,
  type NoiseTransport,
} from './noise/handshake-state.ts';
export { NOISE_PATTERNS, type NoisePattern, type NoiseToken, noiseProtocolName } from './noise/patterns.ts';
export { createX25519, type X25519KeyPair, x25519FromPrivate } from './noise/x25519.ts';
export * from './operation.ts';
export * from './retry-after.ts';
export { type AuditCheckpoint, openAuditCheckpoint, signAuditCheckpoint } from './statements/audit-checkpoint.ts';
export {
  openRevocationList,
  REVOCATION_LIST_CHARS_MAX,
  REVOCATIONS_MAX,
  type RevocationList,
  signRevocationList,
} from './statements/revocation-list.ts';
export {
  openRootStatement,
  type RootStatement,
  readRootStatement,
  rootOf,
  signRootStatement,
} from './statements/root-statement.ts';
export {
  leadsTo,
  openRotation,
  ROTATIONS_SHOWN_MAX,
  type Rotation,
  readRotation,
  type ShownKeys,
  signRootRotation,
  signRotation,
} from './statements/rotation.ts';
export { FINGERPRINT_WORDS, fingerprintWords, WORDS } from './words.ts';
