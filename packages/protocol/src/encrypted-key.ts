import { createCipheriv, randomBytes, scryptSync } from 'node:crypto';

/** What one guess at a passphrase costs: 16 MiB, five times over; OpenSSL reads no more than 32 MiB. */
const COST = { N: 2 ** 14, r: 8, p: 5 } as const;
const SALT_BYTES = 16;
const KEY_BYTES = 32;
const IV_BYTES = 16;

const SEQUENCE = 0x30;
const INTEGER = 0x02;
const OCTETS = 0x04;
const OID = 0x06;
/** pkcs5PBES2 (RFC 8018), id-scrypt (RFC 7914) and aes256-CBC (NIST), as their contents. */
const PBES2 = Buffer.from('2a864886f70d01050d', 'hex');
const SCRYPT = Buffer.from('2b06010401da47040b', 'hex');
const AES_256_CBC = Buffer.from('60864801650304012a', 'hex');

/**
 * A PKCS#8 key under a passphrase, as PEM that any OpenSSL opens: PBES2 with scrypt and AES-256-CBC. node:crypto's own
 * export makes 2,048 rounds of PBKDF2, which a stolen disk does not stand for long.
 */
export function encryptKey(pkcs8: Buffer, passphrase: string): string {
  const salt = randomBytes(SALT_BYTES);
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv('aes-256-cbc', scryptSync(passphrase, salt, KEY_BYTES, COST), iv);
  const encrypted = Buffer.concat([cipher.update(pkcs8), cipher.final()]);
  const numbers = [COST.N, COST.r, COST.p, KEY_BYTES].map((value) => der(INTEGER, integer(value)));
  const derivation = der(SEQUENCE, der(OID, SCRYPT), der(SEQUENCE, der(OCTETS, salt), ...numbers));
  const scheme = der(SEQUENCE, der(OID, AES_256_CBC), der(OCTETS, iv));
  const algorithm = der(SEQUENCE, der(OID, PBES2), der(SEQUENCE, derivation, scheme));
  const base64 = der(SEQUENCE, algorithm, der(OCTETS, encrypted)).toString('base64');
  const lines = base64.match(/.{1,64}/g) ?? [];
  return `-----BEGIN ENCRYPTED PRIVATE KEY-----\n${lines.join('\n')}\n-----END ENCRYPTED PRIVATE KEY-----\n`;
}

/** One DER value; none here is longer than 255 bytes. */
function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const length = content.length < 0x80 ? [content.length] : [0x81, content.length];
  return Buffer.concat([Buffer.of(tag, ...length), content]);
}

/** A positive number without needless zeros in front, and one where the first bit would make it negative. */
function integer(value: number): Buffer {
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  return (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes;
}
