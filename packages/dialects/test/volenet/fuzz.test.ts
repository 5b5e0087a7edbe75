import { measured, SpecVole, sized, sizedTimeout } from '@skein/testing';
import { expect, it } from 'vitest';
import { fuzzed, seeded } from './fuzz.ts';
import { VoleNode } from './vole-node.ts';

const MESSAGES = sized({ ci: 10_000, full: 500_000 });
const SEED = 20_261_121;

it(
  'goes on serving after whatever a trusted peer may sign, or may not',
  async () => {
    await using node = await VoleNode.start({
      tools: { touch: () => 'still here' },
      announceEndpoint: true,
      options: { messagesPerSecond: 1_000_000 },
    });
    await using vole = new SpecVole({ name: 'fuzz' });
    vole.trust(node.net.line);
    const peer = node.trust(vole.line, 'tools', 'brain', 'memory-read', 'memory-write', 'sessions', 'chat');
    await vole.announceTo(node.url);
    await node.joined(peer);
    const ws = await vole.dial(node.id, node.url);
    const random = seeded(SEED);
    const earlier: string[] = [];
    for (let n = 0; n < MESSAGES; n += 1) {
      const text = fuzzed(vole, node.id, random, earlier);
      if (earlier.length < 1_000) earlier.push(text);
      await new Promise<void>((resolve) => ws.send(text, () => resolve()));
    }
    await vole.send('tool:call', node.id, { callId: 'after', toolName: 'touch', params: {} });
    const result = await vole.received.find(({ type, payload }) => type === 'tool:result' && payload.callId === 'after');
    expect(result.payload).toEqual({ callId: 'after', success: true, output: 'still here' });
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
    measured('fuzz', { counts: { frames: MESSAGES } });
  },
  sizedTimeout({ ci: 60_000, full: 3_600_000 }),
);
