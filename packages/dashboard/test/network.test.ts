import { chromiumMissing } from '@skein/testing';
import { describe, expect, it } from 'vitest';
import { openPage } from './open-page.ts';
import { usePageFolder } from './page-folder.ts';
import { peer, peers, startScriptedNode, status } from './scripted-node.ts';

const missing = chromiumMissing();

describe.skipIf(missing !== null)(`the network in a browser${missing === null ? '' : ` (left out: ${missing})`}`, () => {
  const folder = usePageFolder();

  it('shows who this node is, its fingerprint, and how to get another brain', async () => {
    await using open = await openPage({ page: folder() });
    await open.page.getByRole('heading', { name: /coordinator/ }).waitFor();
    await open.page.getByText(status.fingerprint).waitFor();
    await open.page.getByRole('button', { name: 'New chat' }).click();
    await open.page.getByRole('button', { name: /Brain: intents/ }).click();
    await open.page
      .getByRole('dialog')
      .getByText(/OPENAI_API_KEY/)
      .waitFor();
  });

  it('shows a peer leaving, why, and coming back', async () => {
    await using open = await openPage({ page: folder() });
    const card = open.page.getByRole('list', { name: 'Peers' }).getByRole('listitem').filter({ hasText: 'eu-monitor' });
    await card.getByText('3.8 ms').waitFor();
    const [us, eu] = peers;
    if (us === undefined || eu === undefined) throw new Error('two peers are scripted');
    const gone = peer('eu-monitor', 3, {
      state: 'disconnected',
      latencyMs: null,
      tools: [],
      problem: 'It stopped answering; is the machine on?',
    });
    open.node.backend.change(
      { peers: [us, gone], tools: us.tools },
      { type: 'peer-left', id: eu.id, name: 'eu-monitor', reason: 'no answer for 15 s', atMs: 1_000 },
    );
    await card.getByText('disconnected').waitFor();
    await card.getByText('It stopped answering; is the machine on?').waitFor();
    await open.page.getByRole('tab', { name: /Peers 1\/2/ }).waitFor();
    await open.page.getByRole('tab', { name: /Events/ }).click();
    await open.page.getByRole('listitem').filter({ hasText: 'eu-monitor left: no answer for 15 s' }).waitFor();

    open.node.backend.change({ peers }, { type: 'peer-joined', id: eu.id, name: 'eu-monitor', atMs: 2_000 });
    await open.page.getByRole('listitem').filter({ hasText: 'eu-monitor joined' }).waitFor();
    await open.page.getByRole('tab', { name: /Peers 2\/2/ }).waitFor();
  });

  it('runs a tool from a form made of its schema and shows what comes', async () => {
    const gate = Promise.withResolvers<void>();
    const inputs: unknown[] = [];
    await using open = await openPage({
      page: folder(),
      script: {
        callTool: async (request, options) => {
          inputs.push(request);
          options.onDelta?.('half of it');
          await gate.promise;
          return { exitCode: 0 };
        },
      },
    });
    await open.page.getByRole('tab', { name: /Tools/ }).click();
    await open.page.getByRole('button', { name: 'Run us-monitor/shell_exec' }).click();
    const form = open.page.getByRole('dialog');
    await form.getByRole('button', { name: 'Run' }).click();
    await form.getByText('Needed').waitFor();
    await form.getByLabel('command').fill('uptime');
    await form.getByLabel('timeoutMs').fill('5000');
    await form.getByLabel('merge').check();
    await form.getByLabel('env (JSON)').fill('{"LANG":"C"}');
    await form.getByRole('button', { name: 'Run' }).click();
    await form.getByText('half of it').waitFor();
    gate.resolve();
    await form.getByText('"exitCode": 0').waitFor();
    expect(inputs).toEqual([
      { name: 'us-monitor/shell_exec', input: { command: 'uptime', timeoutMs: 5_000, merge: true, env: { LANG: 'C' } } },
    ]);
  });

  it('says that the node is gone, comes back by itself and keeps the chat', async () => {
    await using open = await openPage({ page: folder() });
    await open.ask('how full is the disk?');
    await open.page.getByText('The disk is').first().waitFor();
    await open.node[Symbol.asyncDispose]();
    await open.page.getByRole('alert').getByText('The node is gone.').waitFor();
    await using again = await startScriptedNode({ page: folder(), port: open.node.port });
    await open.page.getByRole('alert').waitFor({ state: 'detached' });
    expect(again.backend.watchers).toBe(1);
    expect(await open.page.getByText('The disk is').first().isVisible()).toBe(true);
  });
});
