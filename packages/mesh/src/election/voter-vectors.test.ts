import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parsePeerId } from '@skein/protocol';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { electionSetting } from './election.ts';

const FILE = fileURLToPath(new URL('../../../protocol/vectors/leaders.json', import.meta.url));
const { voters } = z
  .object({ voters: z.array(z.object({ ids: z.array(z.string()).min(1), digest: z.string() })).min(1) })
  .parse(JSON.parse(readFileSync(FILE, 'utf8')));

test.each(voters)('the same voters in any order have the name that the vectors give them: $digest', ({ ids, digest }) => {
  const known = ids.map(parsePeerId);
  for (const order of [known, known.toReversed()]) {
    for (const self of known) expect(electionSetting({ self, mode: 'quorum', voters: order }).digest).toBe(digest);
  }
});
