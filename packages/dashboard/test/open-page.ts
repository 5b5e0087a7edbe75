import { type BrowserOptions, launchBrowser, type ScriptedBackendParts } from '@skein/testing';
import { startScriptedNode } from './scripted-node.ts';

export interface OpenPageOptions extends BrowserOptions {
  readonly page: URL;
  readonly script?: Partial<ScriptedBackendParts>;
}

/** A scripted node, a browser, and the node's page open in it. `problems` is what the browser complained of. */
export async function openPage({ page: folder, script, ...browserOptions }: OpenPageOptions) {
  await using stack = new AsyncDisposableStack();
  const node = stack.use(await startScriptedNode({ page: folder, ...(script === undefined ? {} : { script }) }));
  const browser = stack.use(await launchBrowser(browserOptions));
  const page = await browser.context.newPage();
  const problems: string[] = [];
  const requested: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') problems.push(message.text());
  });
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('request', (request) => requested.push(request.url()));
  await page.goto(node.link);
  await page.getByText('connected', { exact: true }).first().waitFor({ state: 'attached' });
  const life = stack.move();
  return {
    node,
    page,
    browser,
    problems,
    requested,
    /** Writes a message and sends it. */
    async ask(text: string): Promise<void> {
      await page.getByLabel('Message').fill(text);
      await page.keyboard.press('Enter');
    },
    [Symbol.asyncDispose]: () => life.disposeAsync(),
  };
}
