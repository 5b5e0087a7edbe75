export { canonicalJson } from './volenet/canonical.ts';
export type { VoleTarget } from './volenet/dialling.ts';
export type { VoleEvent, VoleHost, VoleTrust } from './volenet/host.ts';
export {
  type AuthorizedVoles,
  adoptVoleKeys,
  readAuthorizedVoles,
  readVoleKeys,
  type VoleIdentity,
  voleLineOf,
} from './volenet/keys.ts';
export type { Encryption } from './volenet/message-writer.ts';
export type {
  VoleMemoryEntry,
  VoleMemoryHit,
  VoleMemoryQuery,
  VoleSessionEntry,
  VoleTask,
  VoleTaskEnd,
} from './volenet/payloads.ts';
export { asName, formatVoleLine, parseVoleLine, type VoleId, type VoleLine, voleIdOf } from './volenet/vole-id.ts';
export { askVoleInfo } from './volenet/vole-info.ts';
export { VoleNet, type VoleNetParts } from './volenet/vole-net.ts';
export { VOLE_NET_OPTIONS, type VoleNetOptions } from './volenet/vole-net-options.ts';
export type { VoleCallOptions, VolePeer } from './volenet/vole-peer.ts';
