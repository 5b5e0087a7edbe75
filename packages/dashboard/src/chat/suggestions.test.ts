import type { OfferedTool } from '@skein/agent';
import { describe, expect, it } from 'vitest';
import { suggestionsFrom } from './suggestions.ts';

type Said = string | OfferedTool['examples'][number];

function tool(peer: string | undefined, says: readonly Said[], rest: Partial<OfferedTool> = {}): OfferedTool {
  const bare = rest.name ?? 'info';
  const examples = says.map((say) => (typeof say === 'string' ? { say, input: {} } : say));
  const where = peer === undefined ? {} : { peer };
  return {
    description: '',
    input: {},
    effect: 'read',
    ...rest,
    examples,
    name: peer === undefined ? bare : `${peer}/${bare}`,
    ...where,
  };
}

const full = { say: 'how full is the disk', input: {}, field: 'disk.usedPercent', label: 'disk used' } as const;
const room = { say: 'how much disk space is free', input: {}, field: 'disk.freeBytes', label: 'free disk space' } as const;
const memory = { say: 'how much memory is free', input: {}, field: 'memory.freeBytes', label: 'free memory' } as const;
const cpus = { say: 'how many cpus are there?', input: {}, field: 'cpus', label: 'CPUs' } as const;
const files = { say: 'how many files are there', input: {}, field: 'count', label: 'files' } as const;

describe('suggestionsFrom', () => {
  it('asks questions, of another tool and another machine each, and compares machines', () => {
    const peers = ['us', 'eu'];
    const offered = [
      ...peers.map((peer) => tool(peer, ['list files', 'what files are there', files], { name: 'list_files' })),
      ...peers.map((peer) => tool(peer, [full, room, memory, cpus])),
    ];
    expect(suggestionsFrom(offered)).toEqual([
      'How full is the disk on us?',
      'Which of them has the most free memory?',
      'How many files are there on eu?',
      'How many cpus are there on us?',
    ]);
  });

  it('compares nothing that one machine alone can tell', () => {
    expect(suggestionsFrom([tool('us', [memory])])).toEqual(['How much memory is free on us?']);
  });

  it('ends an order without a question mark, and gives it after the questions', () => {
    expect(suggestionsFrom([tool('us', ['list files', 'who is logged in'])])).toEqual([
      'Who is logged in on us?',
      'List files on us',
    ]);
  });

  it('suggests nothing that acts, and nothing with a gap in it', () => {
    const acts = tool('us', ['restart the cache'], { effect: 'at-most-once' });
    expect(suggestionsFrom([acts, tool('us', ['show {path}'])])).toEqual([]);
  });

  it('names no peer for this node or for a request about several', () => {
    expect(
      suggestionsFrom([tool(undefined, ['how hot is it'], { name: 'heat' }), tool('us', ['which has most room'])]),
    ).toEqual(['How hot is it?', 'Which has most room?']);
  });
});
