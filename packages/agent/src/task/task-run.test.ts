import { SkeinError } from '@skein/protocol';
import { expect, test } from 'vitest';
import { call, ScriptedBrain, say } from '../../test/scripted-brain.ts';
import { tool } from '../../test/test-agent.ts';
import { ALICE, agentExecutor, always, createTestTasks, draft } from '../../test/test-tasks.ts';

test('a call that its sender was not yet heard to know of did not begin, and nothing else is said when its task ends', async () => {
  let paid = 0;
  const pay = tool('pay', () => ++paid, { effect: 'at-most-once' });
  const { executor: local } = agentExecutor({ brain: new ScriptedBrain(call(['pay']), say('ok')), tools: [pay] });
  const asked = Promise.withResolvers<void>();
  await using net = await createTestTasks({
    placement: always(local),
    announce: () => {
      asked.resolve();
      return new Promise(() => {});
    },
  });
  const task = draft({ origin: ALICE });
  await net.runner.submit(task);
  await asked.promise;
  await net.runner.cancel(task, new SkeinError('The node that handed it over left', { code: 'unavailable' }));
  expect(net.journal.get(task)?.outcome).toMatchObject({
    state: 'canceled',
    error: { code: 'unavailable', message: 'The node that handed it over left' },
  });
  expect(paid).toBe(0);
});
