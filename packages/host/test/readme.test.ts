import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Nodes, startPair } from './nodes.ts';

const README = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');

test('the tool in the README works as it stands: peers call it and the built-in brain understands its example', async () => {
  const source = /```ts\n(import \{ defineTool \}[\s\S]*?)```/.exec(README)?.[1] ?? '';
  expect(source.trim().split('\n').length).toBeLessThanOrEqual(16);
  await using nodes = new Nodes();
  const { boss } = await startPair(nodes, {
    prepare: (worker) => {
      mkdirSync(worker.file('tools'));
      writeFileSync(worker.file('tools', 'dice.ts'), source);
    },
  });
  expect(await boss.call('worker/dice', { count: 3 })).toMatchObject({
    rolls: [expect.any(Number), expect.any(Number), expect.any(Number)],
  });
  await expect(boss.call('worker/dice', { count: 0 })).rejects.toMatchObject({ code: 'invalid' });
  expect((await boss.ask('roll 3 dice on worker')).at(-1)).toMatchObject({
    type: 'answer',
    toolCalls: [{ name: 'worker/dice', ok: true }],
  });
});
