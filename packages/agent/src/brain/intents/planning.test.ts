import type { ToolDescriptor } from '@skein/protocol';
import { describe, expect, test } from 'vitest';
import { boilEgg, Conversation, offer } from '../../../test/intents-network.ts';
import { createIntentsBrain } from './intents-brain.ts';

/** The calls of the last of several turns. */
async function lastOf(turns: readonly string[], tools?: ReturnType<typeof offer>) {
  const conversation = new Conversation({ brain: createIntentsBrain(), ...(tools === undefined ? {} : { tools }) });
  let reply = { calls: [] as readonly string[], text: '' };
  for (const turn of turns) reply = await conversation.ask(turn);
  return reply;
}

describe('after “Did you mean us-monitor?”', () => {
  const asked = 'run df -h on us-monitr';

  test.each([
    'yes',
    'Yes!',
    'y',
    'ok',
    'yes please',
    'sure, thanks',
    'yes, that is right',
    "that's right",
    'yes I did',
    "yes, I'm sure",
    'oh yes, of course',
    'yes, us-monitor',
    'yes, on us-monitor please',
  ])('%s is a yes', async (reply) => {
    expect((await lastOf([asked, reply])).calls).toEqual(['us-monitor/shell_exec {"command":"df -h"}']);
  });

  test.each([
    'not sure',
    'not right',
    'not ok',
    'not correct',
    'no, not right',
    "no, I'm sure",
    "I'm not sure",
    "that isn't right",
    "that's not right",
    'nope, sure',
    'ok nah',
    'sure, never',
    'ok, do not',
    "okay, don't",
    'ok nein',
    'ok, non',
  ])('%s is a no', async (reply) => {
    expect(await lastOf([asked, reply])).toMatchObject({ calls: [], text: 'All right, nothing is done.' });
  });

  test.each(['ok wait', 'right?', 'is that right', 'sure about that?', 'yes, eu-monitor', 'ok but why', 'yes and no'])(
    '%s is no clear yes, and does nothing',
    async (reply) => expect((await lastOf([asked, reply])).calls).toEqual([]),
  );
});

describe('another node than the one proposed', () => {
  test.each(['no, eu-monitor', 'no, on eu-monitor please', 'I meant eu-monitor', 'sorry, eu-monitor'])(
    'is where it is done: %s',
    async (reply) => {
      const { calls } = await lastOf(['run df -h on us-monitr', reply]);
      expect(calls).toEqual(['eu-monitor/shell_exec {"command":"df -h"}']);
    },
  );

  test.each(['not us-monitor', 'not on us-monitor', 'no, not us-monitor', 'no, not on us-monitor!'])(
    'is asked for when only one is refused, and nothing done on the others: %s',
    async (reply) => {
      expect((await lastOf(['run df -h on us-monitr', reply])).calls).toEqual([]);
      const done = await lastOf(['run df -h on us-monitor', reply]);
      expect(done).toMatchObject({ calls: [], text: expect.stringContaining('On which node?') });
    },
  );
});

describe('after “Which command on us-monitor?”', () => {
  test.each([
    'nope',
    'nah',
    'nein',
    'nein danke',
    'non',
    'non merci',
    'no, thank you',
    "I don't know",
    'I don’t know',
    'i dont know yet',
    'I do not know',
    'no idea',
    'idk',
    'not sure',
    'nothing',
    'nothing, thanks',
    'none of them',
    'forget it',
    'forget about it',
    'just forget it',
    'leave it',
    'no, leave it',
    'leave it alone',
    'drop it',
    'skip it',
    'never mind',
    'nvm',
    "don't",
    "don't bother",
    'not now',
    'actually no',
    'no need',
    "it doesn't matter",
    "I don't know which one",
    'wait',
  ])('%s takes it back', async (reply) => {
    const turns = ['run on us-monitor', reply];
    expect(await lastOf(turns)).toMatchObject({ calls: [], text: 'All right, nothing is done.' });
    expect((await lastOf([...turns, 'uptime'])).calls).not.toContain('us-monitor/shell_exec {"command":"uptime"}');
  });

  test.each(['what?', 'why?', 'which ones are there?'])('%s asks back, and is no command', async (reply) => {
    expect((await lastOf(['run on us-monitor', reply])).calls).toEqual([]);
  });

  test.each(['nohup ls', 'non-existent', '"nope"', 'no-op --all', 'echo no'])('%s is a command', async (reply) => {
    expect((await lastOf(['run on us-monitor', reply])).calls).toHaveLength(1);
  });
});

test('a no, a none is an answer where it is one of the choices', async () => {
  const egg: ToolDescriptor = {
    ...boilEgg,
    input: {
      type: 'object',
      properties: { salt: { enum: ['none', 'some'] }, peeled: { type: 'boolean' } },
      required: ['salt', 'peeled'],
    },
    examples: [{ say: 'boil an egg with {salt} peeled {peeled}', input: { salt: '{salt}', peeled: '{peeled}' } }],
  };
  const turns = ['boil an egg', 'none', 'no'];
  expect((await lastOf(turns, offer([egg], 'kitchen'))).calls).toEqual(['kitchen/boil_egg {"salt":"none","peeled":false}']);
});
