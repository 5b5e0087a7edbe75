import { describe, expect, test } from 'vitest';
import { Conversation, NETWORK, offer, translate } from '../../../test/intents-network.ts';
import { createIntentsBrain } from './intents-brain.ts';

const US = 'us-monitor/system_info';
const EU = 'eu-monitor/system_info';

describe('“but”', () => {
  test.each(['but on eu-monitor?', 'ok but on eu-monitor?', 'but eu-monitor?', 'okay, but what about eu-monitor?'])(
    'opens a follow-up: %s',
    async (request) => {
      const conversation = new Conversation({ brain: createIntentsBrain() });
      await conversation.ask('how full is the disk on us-monitor?');
      expect((await conversation.ask(request)).calls).toEqual([EU]);
    },
  );

  test('behind an “ok” it keeps the node', async () => {
    const conversation = new Conversation({ brain: createIntentsBrain() });
    await conversation.ask('how full is the disk on us-monitor?');
    expect((await conversation.ask('ok but how much memory is free?')).calls).toEqual([US]);
  });

  test.each([
    'how full is the disk on all nodes but eu-monitor',
    'how full is the disk on every machine but not on eu-monitor',
    'how full is the disk on all but eu-monitor',
    'disk usage everywhere but on eu-monitor',
    'how full is the disk on each server but eu-monitor',
    'how full is everyone’s disk but eu-monitor',
  ])('excepts behind a word for all: %s', async (request) => {
    expect((await new Conversation({ brain: createIntentsBrain() }).ask(request)).calls).toEqual([US]);
  });
});

describe('a name that no node has', () => {
  test.each([
    ['how full is the disk on mars right now?', 'mars'],
    ['how full is the disk on berlin please', 'berlin'],
    ['how full is the disk on mars today, thank you very much', 'mars'],
    ['how full is the disk on mars at the moment?', 'mars'],
    ['how much memory is free at venus currently', 'venus'],
    ['how full is the disk on mars then', 'mars'],
    ['how full is the disk on mars tonight, please?', 'mars'],
    ['on mars, how full is the disk?', 'mars'],
    ['run uptime on mars please', 'mars'],
    ['on mars, run uptime', 'mars'],
    ['how full is the disk on us-monitor and mars?', 'mars'],
    ['how full is the disk on mars and us-monitor?', 'mars'],
    ['how full is the disk on us-monitor, eu-monitor and mars please', 'mars'],
    ['how full is the disk on mars and how much memory is free on us-monitor?', 'mars'],
    ['how full is the disk on my laptop?', 'laptop'],
  ])('is told, and nothing called: %s', async (request, name) => {
    const { calls, text } = await new Conversation({ brain: createIntentsBrain() }).ask(request);
    expect(calls).toEqual([]);
    expect(text).toContain(`“${name}” is not a node I know`);
  });

  test.each(['and mars right now?', 'and on mars please?', 'ok and mars then?'])('in a follow-up: %s', async (request) => {
    const conversation = new Conversation({ brain: createIntentsBrain() });
    await conversation.ask('how full is the disk on us-monitor?');
    const { calls, text } = await conversation.ask(request);
    expect(calls).toEqual([]);
    expect(text).toContain('“mars” is not a node I know');
  });

  test.each([
    'how full is the disk on average',
    'how full is the disk on average right now',
    'on average, how full is the disk?',
    'how much space is left on the disk right now',
    'how much space is left on the drive please',
    'how full is the disk on all of them right now',
    'how full is the disk on each one, please',
    'how full are the disks at once please',
    'how full is the disk at present',
    'how full is the disk on both now',
  ])('is none of these: %s', async (request) => {
    expect((await new Conversation({ brain: createIntentsBrain() }).ask(request)).calls).toEqual([US, EU]);
  });

  test.each([
    ['read from notes.txt please', 'us-monitor/read_file {"path":"notes.txt"}'],
    ['fetch from example.com now', 'http_get {"url":"https://example.com"}'],
    ['remember that I live on mars right now', 'memory_write {"text":"I live on mars right now"}'],
    ['translate life on mars now to french', 'translate {"text":"life on mars now","language":"french"}'],
    ['run echo "life on mars" on us-monitor', 'us-monitor/shell_exec {"command":"echo \\"life on mars\\""}'],
  ])('is not what a tool is given: %s', async (request, call) => {
    const tools = [...NETWORK, ...offer([translate])];
    expect((await new Conversation({ brain: createIntentsBrain(), tools }).ask(request)).calls).toContain(call);
  });
});
