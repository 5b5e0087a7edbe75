import { createIdentity } from '@skein/protocol';
import { expect, test } from 'vitest';
import { unknownLeader } from './unknown-leader.ts';

const { id: self } = createIdentity();
const eu = { name: 'eu-monitor', identity: createIdentity(), revoked: false };
const gone = { name: 'gone', identity: createIdentity(), revoked: true };
const base = { name: 'me', records: [eu, gone] };

test.each(['auto', 'quorum', 'me', self, 'eu-monitor', eu.identity.id])('the leader %j needs no word', (leader) => {
  expect(unknownLeader({ ...base, leader })).toBeUndefined();
});

test.each([
  ['quorom', 'did you mean "quorum"?'],
  ['eu-moniter', 'did you mean "eu-monitor"?'],
  ['something-else', 'there are: auto, quorum, me, eu-monitor'],
  ['gone', 'there are: auto, quorum, me, eu-monitor'],
])('the leader %j is no mode and nobody’s name, and the nearest is named', (leader, hint) => {
  const advice = unknownLeader({ ...base, leader });
  expect(advice?.text).toContain(`net.leader is "${leader}"`);
  expect(advice?.fix).toContain(hint);
});
