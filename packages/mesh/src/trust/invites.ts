import { randomBytes, timingSafeEqual } from 'node:crypto';
import { existsSync, readdirSync, rmSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { inviteMac, SkeinError } from '@skein/protocol';
import { z } from 'zod';
import { drop, ensureDirectory, isErrno, onDisk, readOwnFile, syncDirectory, writeFileAtomic } from './files.ts';
import { TRUST_LEVELS } from './trust-record.ts';

/** How long an invitation is good unless said otherwise. */
export const INVITE_TTL_MS = 10 * 60_000;
const DAY_MS = 24 * 3_600_000;
const TTL_MAX_MS = 7 * DAY_MS;
const OPEN_MAX = 100;
const FILE_BYTES_MAX = 4_096;
const FILE_NAME = /^([0-9a-f]{16})\.json$/;

const invitationSchema = z.object({
  id: z.string().regex(/^[0-9a-f]{16}$/),
  /** 16 bytes in hex. */
  secret: z.string().regex(/^[0-9a-f]{32}$/),
  /** What the one who joins is trusted to. */
  trust: z.enum(TRUST_LEVELS),
  allowBrain: z.boolean(),
  /** Counts in elections; absent in what an earlier version wrote. */
  voter: z.boolean().default(false),
  expiresAtMs: z.int().nonnegative(),
});

/** An open invitation. */
export type Invitation = z.infer<typeof invitationSchema>;

/** What a proof shown in a handshake was worth. */
export type Redemption =
  | { readonly redeemed: true; readonly invitation: Invitation }
  | { readonly redeemed: false; readonly reason: 'unknown' | 'expired' | 'wrong-proof' };

/** What is shown in a handshake: the hello's invite, and the binding its MAC is over. */
export interface InviteClaim {
  readonly id: string;
  readonly mac: string;
  readonly binding: Uint8Array;
}

/** What Invites is made of. */
export interface InvitesParts {
  /** Usually `.skein/invites`; one file of mode 0600 for each open invitation. */
  readonly directory: string;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/**
 * Invitations: short-lived, good once. Each is a file and redeeming removes it, which succeeds for one process only;
 * a crash right after leaves the invitation used.
 */
export class Invites {
  readonly #directory: string;
  readonly #now: () => number;

  constructor(parts: InvitesParts) {
    this.#directory = parts.directory;
    this.#now = parts.now;
  }

  /**
   * Makes an invitation.
   * @throws SkeinError `invalid` for a time beyond 7 days, `busy` when 100 are open.
   */
  create(options: {
    readonly trust: Invitation['trust'];
    readonly ttlMs?: number;
    readonly allowBrain?: boolean;
    readonly voter?: boolean;
  }): Invitation {
    const { trust, ttlMs = INVITE_TTL_MS, allowBrain = false, voter = false } = options;
    if (!(ttlMs > 0 && ttlMs <= TTL_MAX_MS)) {
      throw new SkeinError(`An invitation is good for up to 7 days, not ${Math.round(ttlMs / DAY_MS)} d`, { code: 'invalid' });
    }
    if (this.list().length >= OPEN_MAX) {
      throw new SkeinError(`${OPEN_MAX} invitations are open; wait until some expire`, { code: 'busy' });
    }
    const invitation: Invitation = {
      id: randomBytes(8).toString('hex'),
      secret: randomBytes(16).toString('hex'),
      trust,
      allowBrain,
      voter,
      expiresAtMs: Math.ceil(this.#now() + ttlMs),
    };
    ensureDirectory(this.#directory);
    writeFileAtomic(this.#file(invitation.id), `${JSON.stringify(invitation)}\n`);
    return invitation;
  }

  /** The open invitations; expired ones are removed. */
  list(): Invitation[] {
    return this.#ids().flatMap((id) => {
      const invitation = this.#read(id);
      if (invitation === undefined) return [];
      if (invitation.expiresAtMs > this.#now()) return [invitation];
      drop(this.#file(id));
      return [];
    });
  }

  /** Takes the invitation that was proven; of several takers, in any number of processes, one gets it. */
  redeem(claim: InviteClaim): Redemption {
    if (!/^[0-9a-f]{16}$/.test(claim.id)) return { redeemed: false, reason: 'unknown' };
    const invitation = this.#read(claim.id);
    if (invitation === undefined) return { redeemed: false, reason: 'unknown' };
    const expected = inviteMac(Buffer.from(invitation.secret, 'hex'), claim.binding);
    const shown = Buffer.from(claim.mac, 'hex');
    if (shown.length !== expected.length || !timingSafeEqual(shown, expected)) {
      return { redeemed: false, reason: 'wrong-proof' };
    }
    if (invitation.expiresAtMs <= this.#now()) return { redeemed: false, reason: 'expired' };
    try {
      onDisk(this.#directory, () => unlinkSync(this.#file(claim.id)));
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return { redeemed: false, reason: 'unknown' };
      throw error;
    }
    syncDirectory(this.#directory);
    return { redeemed: true, invitation };
  }

  /** Takes an invitation back; true when it was open. */
  cancel(id: string): boolean {
    const open = /^[0-9a-f]{16}$/.test(id) && this.#read(id) !== undefined;
    if (!open) return false;
    onDisk(this.#directory, () => rmSync(this.#file(id), { force: true }));
    // Or a power cut would open it again.
    syncDirectory(this.#directory);
    return true;
  }

  #ids(): string[] {
    // Only who writes makes the directory: on a full disk, there is still what there is.
    const names = existsSync(this.#directory) ? readdirSync(this.#directory) : [];
    return names.flatMap((name) => FILE_NAME.exec(name)?.[1] ?? []);
  }

  /** @throws SkeinError `corrupt`, `denied`. */
  #read(id: string): Invitation | undefined {
    const path = this.#file(id);
    const text = readOwnFile(path, { maxBytes: FILE_BYTES_MAX, secret: true });
    if (text === undefined) return undefined;
    try {
      return invitationSchema.parse(JSON.parse(text));
    } catch {
      // The cause is dropped on purpose: it may quote the secret.
      throw new SkeinError(`The invitation ${path} is damaged; remove it and make a new one`, { code: 'corrupt' });
    }
  }

  #file(id: string): string {
    return join(this.#directory, `${id}.json`);
  }
}
