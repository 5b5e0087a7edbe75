import { expect, test } from 'vitest';
import { Nodes, type TestHost } from './nodes.ts';

const sharing = { net: { share: { memory: true, session: true, tools: true } } } as const;

/** Two devices of one person. */
async function startDevices(nodes: Nodes) {
  const desktop = nodes.make('desktop', sharing);
  const phone = nodes.make('phone', sharing);
  desktop.trusts([phone, { trust: 'full' }]);
  await nodes.start(desktop);
  phone.trusts([desktop, { trust: 'full', url: desktop.url }]);
  await nodes.start(phone);
  for (const [node, other] of [
    [desktop, phone],
    [phone, desktop],
  ] as const) {
    await expect
      .poll(() => node.host.backend.tools().some(({ name }) => name === `${other.name}/system_info`), { timeout: 10_000 })
      .toBe(true);
  }
  return { desktop, phone };
}

const history = (node: TestHost) => node.host.backend.history('talk').map(({ role, text }) => `${role}: ${text}`);

async function answer(node: TestHost, text: string, sessionId = 'talk'): Promise<string> {
  const last = (await node.ask(text, sessionId)).at(-1);
  return last?.type === 'answer' ? last.text : JSON.stringify(last);
}

test('a follow-up on another device keeps the subject, though each calls the tools by names of its own', async () => {
  await using nodes = new Nodes();
  const { desktop, phone } = await startDevices(nodes);
  expect(await answer(desktop, 'how full is the disk on phone?')).toMatch(/^phone: disk used [\d.]+%/);
  await expect.poll(() => history(phone), { timeout: 10_000 }).toEqual(history(desktop));
  expect(await answer(phone, 'and on desktop?')).toMatch(/^desktop: disk used [\d.]+% [^\n]*$/);
  await expect.poll(() => history(desktop), { timeout: 10_000 }).toEqual(history(phone));
  expect(await answer(desktop, 'and the memory there?')).toMatch(/^desktop: memory used [\d.]+% [^\n]*$/);
});

test('what one device was told the other tells in a line with its id, and all forget by that or by words', async () => {
  await using nodes = new Nodes();
  const { desktop, phone } = await startDevices(nodes);
  await answer(desktop, 'remember that the train leaves at 8:15');
  await answer(desktop, 'remember that the train station is on the left');
  const known = () => answer(phone, 'what do you remember about the train?');
  const line = /^- the train leaves at 8:15 \(desktop, \d{4}-\d\d-\d\d \d\d:\d\d UTC, id ([\da-f]{8})\)$/m;
  await expect.poll(known, { timeout: 10_000 }).toMatch(/station[\s\S]*leaves|leaves[\s\S]*station/);
  const told = await known();
  expect(told).toMatch(line);
  expect(told).not.toContain('<data');
  // Only where it was said: what has been read of another's memory makes changes a person's to confirm.
  const forget = (words: string) => answer(desktop, `forget ${words}`, 'desk');
  expect(await forget('the train')).toMatch(/Several facts fit[\s\S]*leaves at 8:15 \(written here, [\s\S]*id [\da-f]{8}/);
  expect(await forget('my dog')).toContain('I remember nothing like that.');
  expect(await forget(`the fact ${line.exec(told)?.[1]}`)).toMatch(/Forgotten:\n- the train leaves at 8:15/);
  expect(await forget('the train station')).toMatch(/Forgotten:\n- the train station is on the left/);
  await expect.poll(known, { timeout: 10_000 }).toContain('I remember nothing about that.');
});
