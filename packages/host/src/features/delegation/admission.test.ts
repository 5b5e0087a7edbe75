import { createIdentity, type PeerId } from '@skein/protocol';
import { expect, test } from 'vitest';
import { TaskAdmission } from './admission.ts';

const ME = createIdentity().id;
const ALICE = createIdentity().id;
const BOB = createIdentity().id;

interface Room {
  /** Places on this node that tasks of a sender may take. */
  readonly free: (sender: PeerId) => number;
  /** Places at its peers; without, nothing is forwarded. */
  readonly elsewhere?: number;
}

/** A node of so many free places, none of whose tasks begins. */
function createAdmission({ free, elsewhere }: Room) {
  const waiting = new Map<PeerId, number>();
  const admission = new TaskAdmission({
    self: ME,
    hasBrain: true,
    net: () => ({
      maxQueuedTasks: 4,
      taskOverflow: elsewhere === undefined ? 'reject' : 'forward',
      brainSource: 'local',
      brainMode: 'local',
    }),
    runner: {
      load: () => ({ running: 0, queued: [...waiting.values()].reduce((sum, count) => sum + count, 0), capacity: 4 }),
      freeFor: free,
      waitingOf: (sender) => waiting.get(sender) ?? 0,
      openOf: (sender) => waiting.get(sender) ?? 0,
    },
    roomElsewhere: () => elsewhere ?? 0,
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
  return { admission, fill };
}

test('counts a free place for whom it is free, and leaves others room', () => {
  // Alice has all places that she may have; the last one is anybody else's.
  const { fill } = createAdmission({ free: (sender) => (sender === ALICE ? 0 : 1) });
  expect(fill(ALICE)).toBe(2);
  expect(fill(BOB)).toBe(2);
  expect(fill(ME)).toBe(5);
});

test('what a peer is told of its places is what it may have here', () => {
  const free = () => 1;
  for (const others of [[], [ALICE], [ALICE, ME]]) {
    const { admission, fill } = createAdmission({ free });
    for (const other of others) fill(other);
    const told = admission.placesFor(BOB);
    expect([fill(BOB), admission.placesFor(BOB)]).toEqual([told, told]);
    expect(told).toBeGreaterThan(0);
  }
});

test('takes no more beyond its own room than its peers have places, and says that none has', () => {
  const { admission, fill } = createAdmission({ free: () => 1, elsewhere: 6 });
  expect(fill(ME)).toBe(4 + 1 + 6);
  expect(() => admission.admit(ME)).toThrow(
    expect.objectContaining({ code: 'busy', retryAfterMs: 1_000, message: expect.stringMatching(/no peer .* room.* in 1 s/) }),
  );
});
