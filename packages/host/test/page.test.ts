import { chromiumMissing, launchBrowser } from '@skein/testing';
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
