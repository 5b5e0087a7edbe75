import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { chromiumMissing, launchBrowser } from '@skein/testing';
import { describe, expect, it } from 'vitest';
import { openPage } from './open-page.ts';
import { usePageFolder } from './page-folder.ts';
import { startScriptedNode, TOKEN } from './scripted-node.ts';

const missing = chromiumMissing();

/** A web server of somebody else, with a page that tries things. */
async function startStranger(html: string) {
  const server = createServer((_request, response) => response.end(`<!doctype html><meta charset="utf-8">${html}`));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // Proven: a server listening on a host and port has an AddressInfo.
  const { port } = server.address() as AddressInfo;
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describe.skipIf(missing !== null)(`access to the page${missing === null ? '' : ` (left out: ${missing})`}`, () => {
  const folder = usePageFolder();

  it('takes the token from the fragment, clears it away at once and sends it in no address', async () => {
    await using open = await openPage({ page: folder() });
    expect(open.page.url()).toBe(open.node.url);
    expect(open.requested.length).toBeGreaterThan(5);
    expect(open.requested.slice(1).filter((url) => url.includes(TOKEN))).toEqual([]);
    await open.page.reload();
    await open.page.getByText('connected', { exact: true }).first().waitFor({ state: 'attached' });
    expect(await open.page.evaluate(() => window.localStorage.getItem('skein-token'))).toBe(null);
    expect(open.problems).toEqual([]);
  });

  it('asks for the token without one, and again after a wrong one', async () => {
    await using node = await startScriptedNode({ page: folder() });
    await using browser = await launchBrowser();
    const page = await browser.context.newPage();
    await page.goto(node.url);
    await page.getByLabel('Token', { exact: true }).fill('not-the-token-at-all');
    await page.keyboard.press('Enter');
    await page.getByText(/That token is not this node/).waitFor();
    await page.getByLabel('Token', { exact: true }).fill(TOKEN);
    await page.keyboard.press('Enter');
    await page.getByText('connected', { exact: true }).first().waitFor({ state: 'attached' });
  });

  it('lets a page of another origin do nothing, even one that knows the token', async () => {
    let asked = 0;
    await using node = await startScriptedNode({
      page: folder(),
      script: {
        ask: async function* () {
          asked += 1;
          yield { type: 'answer', text: 'no', toolCalls: [] };
        },
      },
    });
    await using stranger = await startStranger('<p>hello</p><iframe name="sink"></iframe>');
    await using browser = await launchBrowser({ hosts: { 'evil.example': '127.0.0.1' } });
    const page = await browser.context.newPage();
    for (const from of [`http://evil.example:${stranger.port}/`, `http://localhost:${stranger.port}/`]) {
      await page.goto(from);
      const seen = await page.evaluate(
        async ({ base, token }) => {
          const attempt = async (path: string, init: RequestInit) => {
            try {
              const response = await fetch(base + path, init);
              return response.type === 'opaque' ? 'opaque' : `${response.status} ${await response.text()}`;
            } catch {
              return 'refused';
            }
          };
          const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
          const body = JSON.stringify({ text: 'rm -rf /' });
          const socket = new Promise<string>((resolve) => {
            const ws = new WebSocket(`${base.replace('http', 'ws')}api/events`);
            ws.onopen = () => resolve('open');
            ws.onerror = () => resolve('refused');
          });
          const script = new Promise<string>((resolve) => {
            const element = document.createElement('script');
            element.src = `${base}api/status`;
            element.onload = () => resolve('loaded');
            element.onerror = () => resolve('refused');
            document.body.append(element);
          });
          return [
            await attempt('api/status', { headers }),
            await attempt('health', {}),
            await attempt('api/ask', { method: 'POST', headers, body }),
            await attempt('api/ask', { method: 'POST', mode: 'no-cors', headers: { 'Content-Type': 'text/plain' }, body }),
            await socket,
            await script,
          ];
        },
        { base: node.url, token: TOKEN },
      );
      expect(seen).toEqual(['refused', 'refused', 'refused', 'refused', 'refused', 'refused']);

      const answer = page.waitForResponse(
        (response) => response.url().includes('/api/ask') && response.request().method() === 'POST',
      );
      await page.evaluate((base) => {
        const form = document.createElement('form');
        Object.assign(form, { method: 'post', action: `${base}api/ask`, target: 'sink', enctype: 'text/plain' });
        form.append(Object.assign(document.createElement('input'), { name: '{"text":"', value: 'hi"}' }));
        document.body.append(form);
        form.submit();
      }, node.url);
      expect((await answer).status()).toBe(403);
    }
    expect(asked).toBe(0);
  });

  it('cannot be put in a frame', async () => {
    await using node = await startScriptedNode({ page: folder() });
    await using stranger = await startStranger(`<iframe src="${node.url}"></iframe>`);
    await using browser = await launchBrowser();
    const page = await browser.context.newPage();
    await page.goto(`http://127.0.0.1:${stranger.port}/`, { waitUntil: 'load' });
    const [, frame] = page.frames();
    expect(await frame?.locator('#root').count()).toBe(0);
  });

  it('is refused under a name that was rebound to this machine', async () => {
    await using node = await startScriptedNode({ page: folder() });
    await using browser = await launchBrowser({ hosts: { 'evil.example': '127.0.0.1' } });
    const page = await browser.context.newPage();
    const opened = await page.goto(`http://evil.example:${node.port}/`);
    expect(opened?.status()).toBe(403);
    const status = await page.evaluate(async (token) => {
      const response = await fetch('/api/status', { headers: { Authorization: `Bearer ${token}` } });
      return response.status;
    }, TOKEN);
    expect(status).toBe(403);
  });
});
