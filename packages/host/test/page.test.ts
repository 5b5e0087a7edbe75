import { chromiumMissing, launchBrowser, startLlmServer } from '@skein/testing';
import { describe, expect, it } from 'vitest';
import { Nodes, startPair } from './nodes.ts';

const missing = chromiumMissing();

describe.skipIf(missing !== null)(`the page of real nodes${missing === null ? '' : ` (left out: ${missing})`}`, () => {
  it('chats, shows a tool call on another node, and shows that node leaving and coming back', async () => {
    await using nodes = new Nodes();
    const { boss, worker } = await startPair(nodes);
    await using browser = await launchBrowser();
    const page = await browser.context.newPage();
    page.setDefaultTimeout(10_000);
    await page.goto(`http://127.0.0.1:${boss.host.backend.status().port}/#token=${boss.host.token}`);
    await page.getByText('worker', { exact: true }).first().waitFor();
    expect(page.url()).not.toContain(boss.host.token);

    await page.getByLabel('Message').fill('how full is the disk on worker?');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: /worker\s*\/\s*system_info/ }).waitFor();
    await page
      .getByText(/disk used \d/)
      .first()
      .waitFor();

    const { port } = worker.host.backend.status();
    await worker.host[Symbol.asyncDispose]();
    await page.getByRole('tab', { name: /Peers\s*0\/1/ }).waitFor();
    await page
      .getByText(/said goodbye|Nobody answers/)
      .first()
      .waitFor();

    const back = nodes.restart(worker, { net: { port, share: { tools: true } } });
    await nodes.start(back);
    await page.getByRole('tab', { name: /Peers\s*1\/1/ }).waitFor();
    await page.getByLabel('Message').fill('how much memory is free on worker?');
    await page.keyboard.press('Enter');
    await page
      .getByText(/free memory/)
      .last()
      .waitFor();
    expect(await page.getByRole('button', { name: /worker\s*\/\s*system_info/ }).count()).toBe(2);
  });

  it('finds its work again after a reload, and after the node was restarted', async () => {
    const gate = Promise.withResolvers<void>();
    let asked = 0;
    await using llm = await startLlmServer({
      script: async () => {
        asked += 1;
        if (asked === 1) return { text: 'Let me look.', toolCalls: [{ name: 'system_info', input: {} }] };
        await gate.promise;
        return { text: 'It is well.' };
      },
    });
    await using nodes = new Nodes();
    const brain = { provider: 'openai-compatible', model: 'scripted', baseUrl: `${llm.url}/v1` } as const;
    const node = nodes.make('node', { brain });
    await nodes.start(node);
    const { port } = node.host.backend.status();
    await using browser = await launchBrowser();
    const page = await browser.context.newPage();
    page.setDefaultTimeout(15_000);
    await page.goto(`http://127.0.0.1:${port}/#token=${node.host.token}`);
    await page.getByLabel('Message').fill('is it well?');
    await page.keyboard.press('Enter');
    const call = page.getByRole('button', { name: /system_info.*ok/ });
    await call.waitFor();
    await page.reload();
    await call.waitFor();
    await page.getByText('Let me look.').waitFor();
    expect(node.host.backend.tasks()).toMatchObject([{ state: 'running' }]);

    await node.host[Symbol.asyncDispose]();
    await page.getByRole('alert').first().waitFor();
    const back = nodes.restart(node, { brain, net: { port } });
    await nodes.start(back);
    await page.getByRole('button', { name: 'Stop' }).waitFor();
    gate.resolve();
    await page.getByText('It is well.', { exact: true }).first().waitFor();
    await call.waitFor();
    expect(await page.getByText('is it well?').count()).toBe(2); // In the chat, and as its title in the list.
    expect(back.host.backend.tasks()).toMatchObject([{ state: 'done' }]);
  });

  it('shows nothing without the token, and nothing to a page from elsewhere', async () => {
    await using nodes = new Nodes();
    const { boss } = await startPair(nodes);
    const { port } = boss.host.backend.status();
    await using browser = await launchBrowser({ hosts: { 'evil.example': '127.0.0.1' } });
    const page = await browser.context.newPage();
    await page.goto(`http://127.0.0.1:${port}/`);
    await page.getByLabel(/token/i).first().waitFor();
    const answer = await page.goto(`http://evil.example:${port}/`);
    expect(answer?.status()).toBe(403);
    await page.goto('about:blank');
    const opened = await page.evaluate(
      (url) =>
        new Promise((resolve) => {
          const socket = new WebSocket(url, 'skein.1');
          socket.onopen = () => resolve('open');
          socket.onerror = () => resolve('refused');
        }),
      `ws://127.0.0.1:${port}/`,
    );
    expect(opened).toBe('refused');
  });
});
