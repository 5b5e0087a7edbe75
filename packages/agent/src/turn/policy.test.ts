import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineTool } from '../tool/tool.ts';
import { reasonToAsk } from './policy.ts';

const fetching = defineTool({
  name: 'http_get',
  description: 'Gets a page.',
  effect: 'read',
  openWorld: true,
  input: z.object({ url: z.string() }),
  run: () => '',
});
const rules = { confirmBeforeAct: false, allowAfterUntrusted: [] };
const asksFor = (url: string, said: string) =>
  reasonToAsk(
    { name: 'http_get', tool: fetching, peer: null },
    { url },
    { tainted: true, sources: [], said: [said] },
    rules,
  ) !== undefined;

test.each([
  ['what is on bank.example/list?', 'https://bank.example/list'],
  ['what is on bank.example/list?', 'bank.example'],
  ['look at https://bank.example/list.', 'https://bank.example/list'],
  ['look at http://bank.example, please', 'https://bank.example/'],
  ['(bank.example) and "shop.example"', 'shop.example'],
  ['notebank.example is none, bank.example is: read it', 'bank.example'],
  ['看看bank.example的内容', 'https://bank.example'],
])('after text from outside an address that a person named is read: "%s", %s', (said, url) => {
  expect(asksFor(url, said)).toBe(false);
});

test.each([
  ['what is on bank.example/list?', 'https://ank.example/list'],
  ['what is on bank.example/list?', 'k.ex'],
  ['what is on bank.example.org?', 'https://bank.example'],
  ['what is on my.bank.example?', 'https://bank.example'],
  ['what is on my-bank.example?', 'https://bank.example'],
  ['what is on bank.example-shop.org?', 'https://bank.example'],
  ['what is on bank.example:8443?', 'https://bank.example'],
  ['what is on shop.example/bank.example/list?', 'https://bank.example/list'],
  ['what is on https://user@bank.example?', 'https://bank.example'],
  ['what is on https://bank.example@shop.example?', 'https://bank.example'],
  ['what is on bücher.example?', 'https://cher.example'],
  ['what is on bank.example/list?', 'https://bank.example/listing'],
  ['what is on bank.example/listing?', 'https://bank.example/list'],
])('and one that is only a part of what they named is asked about: "%s", %s', (said, url) => {
  expect(asksFor(url, said)).toBe(true);
});
