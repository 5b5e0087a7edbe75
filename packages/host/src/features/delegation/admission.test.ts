import { createIdentity, type PeerId } from '@skein/protocol';
import { expect, test } from 'vitest';
import { TaskAdmission } from './admission.ts';

const ME = createIdentity().id;
const ALICE = createIdentity().id;
const BOB = createIdentity().id;

/** A node of so many free places, none of whose tasks begins. */
function createAdmission(free: (sender: PeerId) => number) {
  const waiting = new Map<PeerId, number>();
  const admission = new TaskAdmission({
    self: ME,
    hasBrain: true,
    net: () => ({ maxQueuedTasks: 4, taskOverflow: 'reject', brainSource: 'local', brainMode: 'local' }),
    runner: {
      load: () => ({ running: 0, queued: [...waiting.values()].reduce((sum, count) => sum + count, 0), capacity: 4 }),
      freeFor: free,
      waitingOf: (sender) => waiting.get(sender) ?? 0,
    },
    hasRoomElsewhere: () => false,
  });
  /** How many a sender may have wait. */
  const fill = (sender: PeerId) => {
    for (let taken = 0; ; taken += 1) {
      try {
        admission.admit(sender)[Symbol.dispose]();
      } catch {
        return taken;
      }
      waiting.set(sender, (waiting.get(sender) ?? 0) + 1);
    }
  };
  return { fill };
}

test('counts a free place for whom it is free, and leaves others room', () => {
  // Alice has all places that she may have; the last one is anybody else's.
  const { fill } = createAdmission((sender) => (sender === ALICE ? 0 : 1));
  expect(fill(ALICE)).toBe(2);
  expect(fill(BOB)).toBe(2);
  expect(fill(ME)).toBe(5);
});
