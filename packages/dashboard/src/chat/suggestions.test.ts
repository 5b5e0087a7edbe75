import type { OfferedTool } from '@skein/agent';
import { describe, expect, it } from 'vitest';
import { suggestionsFrom } from './suggestions.ts';

function tool(peer: string | undefined, says: readonly string[], effect: OfferedTool['effect'] = 'read'): OfferedTool {
  const name = peer === undefined ? 'info' : `${peer}/info`;
  const examples = says.map((say) => ({ say, input: {} }));
  return { name, description: '', input: {}, effect, examples, ...(peer === undefined ? {} : { peer }) };
}

describe('suggestionsFrom', () => {
  it('spreads over the peers and repeats no request', () => {
    const says = ['how full is the disk', 'how much memory is free?'];
    expect(suggestionsFrom([tool('us', says), tool('eu', says)])).toEqual([
      'How full is the disk on us?',
      'How much memory is free on eu?',
    ]);
  });

  it('suggests nothing that acts, and nothing with a gap in it', () => {
    expect(suggestionsFrom([tool('us', ['restart the cache'], 'at-most-once'), tool('us', ['show {path}'])])).toEqual([]);
  });

  it('names no peer for this node or for a request about several', () => {
    expect(suggestionsFrom([tool(undefined, ['how hot is it']), tool('us', ['which has most room'])])).toEqual([
      'How hot is it?',
      'Which has most room?',
    ]);
  });
});
