import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { inviteMac } from '@skein/protocol';
import { describe, expect, it } from 'vitest';
import { type Invitation, type InviteClaim, Invites } from './invites.ts';

const BINDING = Buffer.from('this handshake');

function openInvites() {
  const directory = mkdtempSync(join(tmpdir(), 'skein-invites-'));
  const clock = { nowMs: 1_700_000_000_000 };
  return {
    directory,
    clock,
    invites: new Invites({ directory, now: () => clock.nowMs }),
    [Symbol.dispose]: () => rmSync(directory, { recursive: true }),
  };
}

function claimOf({ id, secret }: Invitation, binding: Uint8Array = BINDING): InviteClaim {
  return { id, mac: inviteMac(Buffer.from(secret, 'hex'), BINDING).toString('hex'), binding };
}

describe('an invitation', () => {
  it('is good once, for the trust it was made with, and its file is for the owner only', () => {
    using place = openInvites();
    const invitation = place.invites.create({ trust: 'tool' });
    expect(statSync(join(place.directory, `${invitation.id}.json`)).mode & 0o777).toBe(0o600);
    expect(place.invites.list()).toEqual([invitation]);
    expect(place.invites.redeem(claimOf(invitation))).toEqual({ redeemed: true, invitation });
    expect(place.invites.redeem(claimOf(invitation))).toEqual({ redeemed: false, reason: 'unknown' });
    expect(place.invites.list()).toEqual([]);
  });

  it('is refused for another handshake, another secret or no MAC, and stays good for its holder', () => {
    using place = openInvites();
    const invitation = place.invites.create({ trust: 'full' });
    const wrong: InviteClaim[] = [
      claimOf(invitation, Buffer.from('another handshake')),
      claimOf({ ...invitation, secret: '00'.repeat(16) }),
      { ...claimOf(invitation), mac: '' },
      { ...claimOf(invitation), mac: claimOf(invitation).mac.slice(2) },
    ];
    for (const claim of wrong) expect(place.invites.redeem(claim)).toEqual({ redeemed: false, reason: 'wrong-proof' });
    expect(place.invites.redeem(claimOf(invitation)).redeemed).toBe(true);
  });

  it('expires, and its file goes', () => {
    using place = openInvites();
    const invitation = place.invites.create({ trust: 'read', ttlMs: 60_000 });
    place.clock.nowMs += 60_000;
    expect(place.invites.redeem(claimOf(invitation))).toEqual({ redeemed: false, reason: 'expired' });
    expect(place.invites.list()).toEqual([]);
    expect(readdirSync(place.directory)).toEqual([]);
  });

  it('can be taken back', () => {
    using place = openInvites();
    const invitation = place.invites.create({ trust: 'read' });
    expect(place.invites.cancel(invitation.id)).toBe(true);
    expect(place.invites.cancel(invitation.id)).toBe(false);
    expect(place.invites.redeem(claimOf(invitation))).toMatchObject({ redeemed: false });
  });

  it('is not made for longer than 7 days, nor beyond 100 open ones', () => {
    using place = openInvites();
    expect(() => place.invites.create({ trust: 'read', ttlMs: 8 * 86_400_000 })).toThrow(/up to 7 days/);
    expect(() => place.invites.create({ trust: 'read', ttlMs: Number.NaN })).toThrow(/up to 7 days/);
    for (let count = 0; count < 100; count += 1) place.invites.create({ trust: 'read' });
    expect(() => place.invites.create({ trust: 'read' })).toThrow(expect.objectContaining({ code: 'busy' }));
  });

  it('with an id that is a path is unknown', () => {
    using place = openInvites();
    const claim = { id: '../../etc/passwd', mac: '00'.repeat(32), binding: BINDING };
    expect(place.invites.redeem(claim)).toEqual({ redeemed: false, reason: 'unknown' });
    expect(place.invites.cancel('../x')).toBe(false);
  });

  it('whose file is damaged or readable by others is an error that does not show the secret', () => {
    using place = openInvites();
    const invitation = place.invites.create({ trust: 'read' });
    const path = join(place.directory, `${invitation.id}.json`);
    chmodSync(path, 0o644);
    expect(() => place.invites.redeem(claimOf(invitation))).toThrow(expect.objectContaining({ code: 'denied' }));
    writeFileSync(path, `{"secret":"${invitation.secret}"`);
    chmodSync(path, 0o600);
    let thrown: unknown;
    try {
      place.invites.redeem(claimOf(invitation));
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: 'corrupt' });
    expect(inspect(thrown, { depth: 10 })).not.toContain(invitation.secret.slice(0, 8));
  });

  it('claimed by four processes at the same moment is got by exactly one, each of 25 times', async () => {
    using place = openInvites();
    const claims = Array.from({ length: 25 }, () => claimOf(place.invites.create({ trust: 'read' })));
    const script = `
      import { Invites } from ${JSON.stringify(new URL('./invites.ts', import.meta.url).href)};
      const invites = new Invites({ directory: process.argv[1], now: () => ${place.clock.nowMs} });
      const claims = JSON.parse(process.argv[2]).map((claim) => ({ ...claim, binding: Buffer.from(claim.binding) }));
      process.send('ready');
      process.once('message', () => {
        process.send(claims.map((claim) => invites.redeem(claim).redeemed));
        process.disconnect();
      });`;
    const args = ['--conditions=source', '--input-type=module', '-e', script, place.directory, JSON.stringify(claims)];
    const children = Array.from({ length: 4 }, () =>
      spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] }),
    );
    await Promise.all(children.map((child) => once(child, 'message')));
    const answers = children.map((child): Promise<unknown[]> => once(child, 'message'));
    for (const child of children satisfies ChildProcess[]) child.send('go');
    const got = (await Promise.all(answers)).map(([redeemed]) => redeemed);
    const winners = claims.map((_, index) => got.filter((list) => Array.isArray(list) && list[index] === true).length);
    expect(winners).toEqual(claims.map(() => 1));
  });
});
