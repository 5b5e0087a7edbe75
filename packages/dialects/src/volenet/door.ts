import type { KeyObject } from 'node:crypto';
import { jsonWithin, type PeerId, SkeinError } from '@skein/protocol';
import { z } from 'zod';
import { canonicalPayload, signedText } from './canonical.ts';
import type { VoleHost, VoleTrust } from './host.ts';
import { VOLE_AGE_MAX_MS, VOLE_AHEAD_MAX_MS, VOLE_DEPTH_MAX, VOLE_MESSAGE_BYTES_MAX, VOLE_VALUES_MAX } from './limits.ts';
import { mayBroadcast, parseBody, type ReadBody, type VoleBody } from './payloads.ts';
import type { ReplayGuard } from './replay.ts';
import { type BoxKeys, BoxOpener } from './seal.ts';
import { verifyHybrid, verifySignature } from './signature.ts';
import { isVoleId, mlDsaKey, parseVoleLine, type VoleId } from './vole-id.ts';

/** ML-DSA keys kept parsed. */
const PARSED_KEYS_MAX = 1_024;

/** What stands outside of every message, checked before anything else is looked at. */
const envelope = z.object({
  version: z.number(),
  /** No colon: the signed text is joined with them. */
  id: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/),
  type: z.string().min(1).max(64),
  from: z.string().max(64),
  to: z.string().max(64),
  timestamp: z.number(),
  signature: z.string().max(128),
  sigPq: z.string().max(6_000).optional(),
  payload: z.unknown().optional(),
});
type Envelope = z.infer<typeof envelope>;

/** A message whose sender, signature, recipient, age and novelty were verified. */
export interface VoleMessage {
  readonly id: string;
  readonly from: VoleTrust;
  /** `unfit`: a request that is only to be answered with why it is not served. `unfit-answer`: one that ends what waits for it. */
  readonly body: ReadBody;
  readonly timestamp: number;
  /** It came in a box that only this node can open. */
  readonly sealed: boolean;
}

/** What the way a message came adds to the checks. */
export interface Admission {
  /** Called before the costly work, with the trusted key the message says it is from. @throws SkeinError to refuse it. */
  admit?(sender: VoleTrust): void;
}

export interface MessageDoorParts {
  readonly self: VoleId;
  readonly host: Pick<VoleHost, 'find' | 'pinMlDsa'>;
  readonly replay: Pick<ReplayGuard, 'accept'>;
  readonly boxKeys: BoxKeys;
  readonly now: () => number;
}

/**
 * The one way in: bytes to a verified message. In this order: size, UTF-8 and shape, sender trusted, version, kind,
 * recipient, age, Ed25519, ML-DSA where the sender has such a key, not seen before, payload.
 */
export class MessageDoor {
  readonly #parts: MessageDoorParts;
  readonly #opener: BoxOpener;
  readonly #mlDsaKeys = new Map<string, KeyObject>();
  /** ML-DSA keys announced by trusted peers in this life: they count even where the host keeps none. */
  readonly #pinned = new Map<PeerId, string>();

  constructor(parts: MessageDoorParts) {
    this.#parts = parts;
    this.#opener = new BoxOpener(parts.boxKeys);
  }

  /**
   * @throws SkeinError `invalid` or `too-large` for what is no message, `unauthenticated` for one that does not verify,
   * `unsupported` for a kind that is not spoken.
   */
  read(bytes: Uint8Array, admission: Admission = {}): VoleMessage {
    const { box, ...message } = this.#open(bytes, admission);
    if (box === undefined) return message;
    const { identity } = message.from;
    const plain = this.#opener.open(box.box, `${box.from}|${this.#parts.self}`);
    const inner = this.#open(plain, {
      admit: (sender) => {
        if (sender.identity.id !== identity.id) throw unverified('A sealed message is from another than its envelope');
      },
    });
    if (inner.box !== undefined) throw unverified('A sealed message holds a sealed message');
    const { box: _none, ...opened } = inner;
    return { ...opened, sealed: true };
  }

  /** The ML-DSA key a peer's messages must bear the signature of. */
  mlDsaOf(trust: VoleTrust): string | undefined {
    return trust.mlDsa ?? this.#pinned.get(trust.identity.id);
  }

  #open(bytes: Uint8Array, { admit }: Admission) {
    const raw = readEnvelope(bytes);
    const from = isVoleId(raw.from) ? this.#parts.host.find(raw.from) : undefined;
    if (from === undefined) throw unverified('The sender is not trusted');
    admit?.(from);
    this.#assertForUs(raw);
    const canonical = canonicalPayload(raw.payload);
    const signed = {
      bytes: Buffer.from(signedText(raw, canonical)),
      signature: raw.signature,
      sigPq: raw.sigPq,
    };
    if (!verifySignature(from.identity, signed)) throw unverified('The signature does not fit');
    const mlDsa = this.mlDsaOf(from);
    if (mlDsa !== undefined && !verifyHybrid(this.#mlDsaKey(mlDsa), signed)) {
      throw unverified('The ML-DSA signature is missing or does not fit');
    }
    this.#assertNew(from, raw);
    const body = parseBody(raw.type, raw.payload);
    if (mlDsa === undefined && isAnnouncement(body)) this.#pin(from, body.payload.publicKey, signed);
    const { id, timestamp } = raw;
    // The aad names the sender as the envelope does.
    const box = body.type === 'sealed:direct' ? { box: body.payload.box, from: raw.from } : undefined;
    return { id, from, body, timestamp, sealed: false, box };
  }

  #assertForUs(raw: Envelope): void {
    const { self, now } = this.#parts;
    if (raw.version !== 2) throw unverified(`The version is ${raw.version}, not 2`);
    if (raw.to !== self && !(raw.to === '*' && mayBroadcast(raw.type))) {
      throw unverified('The message is for another');
    }
    const ageMs = now() - raw.timestamp;
    if (!(ageMs <= VOLE_AGE_MAX_MS))
      throw unverified(`The message is ${Math.round(ageMs / 1000)} s old, at most 60 s are heard`);
    if (!(ageMs >= -VOLE_AHEAD_MAX_MS)) {
      throw unverified(`The message is stamped ${Math.round(-ageMs / 1000)} s ahead of this clock, at most 5 s are heard`);
    }
  }

  #assertNew({ identity }: VoleTrust, { id, timestamp }: Envelope): void {
    switch (this.#parts.replay.accept(identity.id, id, timestamp)) {
      case 'new':
        return;
      case 'seen':
        throw unverified('The message came before');
      case 'unsure':
        throw unverified(
          'The message is no newer than what this node may have had before it last started; newer ones are heard, after a crash within 10 s',
        );
    }
  }

  /** Keeps the ML-DSA key of an announcement, if that very announcement is signed with it. */
  #pin(from: VoleTrust, line: string, signed: { bytes: Buffer; signature: string; sigPq: string | undefined }): void {
    const announced = lineOf(line);
    if (announced?.mlDsa === undefined || announced.identity.id !== from.identity.id) return;
    if (!verifyHybrid(this.#mlDsaKey(announced.mlDsa), signed)) return;
    this.#pinned.set(from.identity.id, announced.mlDsa);
    this.#parts.host.pinMlDsa(from.identity.id, announced.mlDsa);
  }

  #mlDsaKey(base64: string): KeyObject {
    const known = this.#mlDsaKeys.get(base64);
    if (known !== undefined) return known;
    const key = mlDsaKey(base64);
    if (key === undefined) throw unverified('The ML-DSA key in the trust file is none');
    if (this.#mlDsaKeys.size >= PARSED_KEYS_MAX) this.#mlDsaKeys.clear();
    this.#mlDsaKeys.set(base64, key);
    return key;
  }
}

/**
 * Bounded bytes to the outside of a message.
 * @throws SkeinError `too-large`, `invalid`.
 */
function readEnvelope(bytes: Uint8Array): Envelope {
  if (bytes.length > VOLE_MESSAGE_BYTES_MAX) {
    throw new SkeinError(`A message of ${bytes.length} bytes is over ${VOLE_MESSAGE_BYTES_MAX}`, { code: 'too-large' });
  }
  let value: unknown;
  try {
    const text = utf8.decode(bytes);
    if (!jsonWithin(text, VOLE_DEPTH_MAX, VOLE_VALUES_MAX)) throw new RangeError('nested too deep, or too many values');
    value = JSON.parse(text);
  } catch (cause) {
    throw new SkeinError('What came is no bounded JSON in UTF-8', { code: 'invalid', cause });
  }
  const parsed = envelope.safeParse(value);
  if (!parsed.success) {
    throw new SkeinError(`What came is no message: ${z.prettifyError(parsed.error).slice(0, 300)}`, { code: 'invalid' });
  }
  return parsed.data;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function isAnnouncement(body: ReadBody): body is Extract<VoleBody, { type: 'discover' | 'discover:response' }> {
  return body.type === 'discover' || body.type === 'discover:response';
}

function lineOf(line: string) {
  try {
    return parseVoleLine(line);
  } catch {
    return undefined;
  }
}

function unverified(reason: string): SkeinError {
  return new SkeinError(reason, { code: 'unauthenticated' });
}
