import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Invites, KnownNodes, TrustStore } from '@skein/mesh';
import { createIdentity, formatKeyLine } from '@skein/protocol';
import { expect, test } from 'vitest';
import { Authority } from './authority.ts';
import { netConfig } from './config/net.ts';

const URL = 'ws://192.168.1.20:9700';
const AT = `${URL}/`;
const peer = createIdentity();
const line = formatKeyLine(peer, 'peer');

type Entry = Readonly<Record<string, unknown>>;

/** An authority with one key in its trust file, which has answered at the one address of the configuration. */
async function answered(options: string, entry: Entry) {
  const directory = mkdtempSync(path.join(tmpdir(), 'skein-authority-'));
  const trust = new TrustStore({ path: path.join(directory, 'authorized_peers') });
  writeFileSync(path.join(directory, 'authorized_peers'), `${line} ${options}\n`, { mode: 0o600 });
  await trust.start();
  const net = netConfig.parse({ share: { tools: true }, peers: [{ url: URL, ...entry }] });
  const authority = new Authority({
    trust,
    invites: new Invites({ directory: path.join(directory, 'invites'), now: Date.now }),
    known: new KnownNodes({ path: path.join(directory, 'known_nodes') }),
    net: () => ({ ...net, keyPath: '' }),
    onPaired: () => {},
    onRotation: () => {},
  });
  let pins = 0;
  authority.onPinned = () => {
    pins += 1;
  };
  authority.answeredAt(AT, peer.id);
  authority.answeredAt(AT, peer.id);
  const [record] = authority.records();
  await trust[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
  return { record, authority, pins };
}

const FULL = { trust: 'full', allowBrain: true, allowTools: ['*'] };

test('a key with little trust that is first to answer at an address gets nothing of what the address is given', async () => {
  const { record, authority } = await answered('trust=read,allow=list_files', FULL);
  expect(record).toMatchObject({ trust: 'read', allowBrain: false, allowTools: ['list_files'] });
  for (const grant of ['tools', 'brain', 'memory-write'] as const) {
    expect(authority.decide(peer.id, grant).allowed, grant).toBe(false);
  }
  expect(authority.isTrustedInFull(peer.id)).toBe(false);
  expect((await answered('trust=tool', FULL)).record).toMatchObject({ trust: 'tool', allowBrain: false });
});

test('a key gets it that the entry names, or that was trusted for this address', async () => {
  const named = await answered('trust=read', { ...FULL, key: line });
  expect(named.record).toMatchObject({ trust: 'full', allowBrain: true });
  const placed = await answered(`trust=read,url=${URL}`, FULL);
  expect(placed.record).toMatchObject({ trust: 'full', allowBrain: true });
  const elsewhere = await answered('trust=read,url=ws://192.168.1.99:9700', FULL);
  expect(elsewhere.record).toMatchObject({ trust: 'read', allowBrain: false });
});

test('a key of which nobody stated a level gets what the address is given once it has answered there', async () => {
  for (const options of ['', 'trust=tool,assumed']) {
    const { record, pins } = await answered(options, FULL);
    expect(record, options).toMatchObject({ trust: 'full', allowBrain: true });
    // Told once: what its session may have changed with the first answer.
    expect(pins).toBe(1);
  }
});

test('an address takes away from every key that answers there', async () => {
  const entry = { trust: 'tool', allowBrain: false, allowTools: ['read_*'], denyTools: ['read_file'] };
  const { record, authority } = await answered('trust=full,allow-brain,deny=scrape', entry);
  expect(record).toMatchObject({
    ...{ trust: 'tool', allowBrain: false, allowTools: ['read_*'] },
    denyTools: ['scrape', 'read_file'],
  });
  expect(authority.decide(peer.id, 'tools', 'read_file').allowed).toBe(false);
});
