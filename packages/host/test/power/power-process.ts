import { loadOrCreateKeyFile, rotateKeyFile } from '@skein/mesh';
import { openDiskRecord, VirtualClock } from '@skein/testing';
import { NodeLife } from './node-life.ts';
import { keyPathIn, openNode } from './opened-node.ts';
import type { Told } from './told.ts';

/**
 * Run by the test of power cuts: one life of a node's files, which notes in the record of the disk what it told. Without
 * rounds only that of its key.
 */
const [root = '', record = '', rounds = ''] = process.argv.slice(2);
const note = openDiskRecord(record);
const tell = (told: Told) => note(JSON.stringify(told));

tell({ type: 'key', id: loadOrCreateKeyFile(keyPathIn(root)).identity.id });
if (Number(rounds) > 0) await live();
tell({ type: 'key', id: rotateKeyFile(keyPathIn(root), { passphrase: undefined, nowMs: Date.now() }).to.id });

async function live(): Promise<void> {
  const clock = new VirtualClock();
  await using node = await openNode(root, clock);
  const { audit } = node.files;
  audit.onCheckpoint((text) => tell({ type: 'checkpoint', log: 'node', text }));
  if (audit.checkpoint !== undefined) tell({ type: 'checkpoint', log: 'node', text: audit.checkpoint });
  await using life = await NodeLife.begin({ node, clock, tell });
  for (let round = 0; round < Number(rounds); round += 1) {
    for (const group of life.groups()) await Promise.all(group.map((act) => act()));
  }
}
