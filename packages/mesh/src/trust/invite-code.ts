import { hash } from 'node:crypto';
import { formatBase32, type PeerId, parseBase32, parsePeerId, peerIdBytes, SkeinError } from '@skein/protocol';

const PREFIX = 'skein1';
const CHECKSUM_BYTES = 4;
const PEER_BYTES = 32;
const ID_BYTES = 8;
const SECRET_BYTES = 16;
const FIXED_BYTES = PEER_BYTES + ID_BYTES + SECRET_BYTES + 1;
const ADDRESSES_MAX = 8;
const CODE_LENGTH_MAX = 2_000;
/** `host:port`: a name, an IPv4 address, or an IPv6 address in brackets. */
const ADDRESS = /^(?:[a-zA-Z0-9.-]{1,253}|\[[0-9a-fA-F:.]{2,45}\]):[0-9]{1,5}$/;

/** What an invitation's code carries to the machine that joins. */
export interface InviteCode {
  /** The key that must answer. */
  readonly peer: PeerId;
  /** 16 hex digits. */
  readonly id: string;
  /** 16 bytes. */
  readonly secret: Uint8Array;
  /** `host:port` each, best first, at most 8. */
  readonly addresses: readonly string[];
}

/**
 * `skein1` and base32 of peer, id, secret, addresses and a checksum: letters and digits only, so that a double click
 * selects it and a QR code stays small.
 * @throws SkeinError `invalid` for an address or a number of them that does not fit.
 */
export function formatInviteCode(code: InviteCode): string {
  if (code.addresses.length === 0 || code.addresses.length > ADDRESSES_MAX) {
    throw new SkeinError(`An invitation carries 1 to ${ADDRESSES_MAX} addresses, not ${code.addresses.length}`, {
      code: 'invalid',
    });
  }
  const id = Buffer.from(code.id, 'hex');
  if (id.length !== ID_BYTES || code.secret.length !== SECRET_BYTES) {
    throw new SkeinError('An invitation has an id of 8 bytes and a secret of 16', { code: 'invalid' });
  }
  const addresses = code.addresses.flatMap((address) => {
    const bytes = Buffer.from(parseAddress(address), 'ascii');
    return [Buffer.of(bytes.length), bytes];
  });
  const body = Buffer.concat([peerIdBytes(code.peer), id, code.secret, Buffer.of(code.addresses.length), ...addresses]);
  return PREFIX + formatBase32(Buffer.concat([body, checksum(body)]));
}

/**
 * Reads a code as people paste it: upper case, spaces and line breaks do not matter.
 * @throws SkeinError `invalid` saying what is wrong with it.
 */
export function parseInviteCode(text: string): InviteCode {
  const compact = text
    .slice(0, CODE_LENGTH_MAX + 1)
    .replace(/\s+/g, '')
    .toLowerCase();
  if (!compact.startsWith(PREFIX)) throw invalid(`it begins with "${PREFIX}"`);
  if (compact.length > CODE_LENGTH_MAX) throw invalid(`it has at most ${CODE_LENGTH_MAX} characters`);
  const bytes = parseBase32(compact.slice(PREFIX.length));
  if (bytes === undefined || bytes.length < FIXED_BYTES + CHECKSUM_BYTES) {
    throw invalid('it holds only a-z and 2-7, and this one is cut off or mistyped');
  }
  const buffer = Buffer.from(bytes);
  const body = buffer.subarray(0, -CHECKSUM_BYTES);
  if (!checksum(body).equals(buffer.subarray(-CHECKSUM_BYTES)))
    throw invalid('its checksum is wrong: it is cut off or mistyped');
  return {
    peer: parsePeerId(formatBase32(body.subarray(0, PEER_BYTES))),
    id: body.toString('hex', PEER_BYTES, PEER_BYTES + ID_BYTES),
    secret: Buffer.from(body.subarray(PEER_BYTES + ID_BYTES, FIXED_BYTES - 1)),
    addresses: parseAddresses(body.subarray(FIXED_BYTES - 1)),
  };
}

function parseAddresses(bytes: Buffer): string[] {
  const addresses: string[] = [];
  let at = 1;
  for (let left = bytes[0] ?? 0; left > 0; left -= 1) {
    const end = at + 1 + (bytes[at] ?? 0);
    if (end > bytes.length) throw invalid('its addresses are cut off');
    addresses.push(parseAddress(bytes.toString('latin1', at + 1, end)));
    at = end;
  }
  if (at !== bytes.length || addresses.length === 0 || addresses.length > ADDRESSES_MAX)
    throw invalid('its addresses do not fit');
  return addresses;
}

function parseAddress(text: string): string {
  if (text.length > 255 || !ADDRESS.test(text) || Number(text.slice(text.lastIndexOf(':') + 1)) > 65_535) {
    throw new SkeinError(`"${text.slice(0, 80)}" is not an address of the form host:port`, { code: 'invalid' });
  }
  return text;
}

function checksum(body: Uint8Array): Buffer {
  return hash('sha256', body, 'buffer').subarray(0, CHECKSUM_BYTES);
}

function invalid(rule: string): SkeinError {
  return new SkeinError(`That is no whole invitation code: ${rule}. Copy it again, all of it`, { code: 'invalid' });
}
