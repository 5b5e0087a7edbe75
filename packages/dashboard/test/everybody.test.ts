import type { AgentEvent } from '@skein/agent';
import { chromiumMissing, type ScriptedTurn } from '@skein/testing';
import { describe, expect, it } from 'vitest';
import { openPage } from './open-page.ts';
import { usePageFolder } from './page-folder.ts';

const missing = chromiumMissing();

describe.skipIf(missing !== null)(`the page for everybody${missing === null ? '' : ` (left out: ${missing})`}`, () => {
  const folder = usePageFolder();

  it('is used by keyboard alone', async () => {
    const ask = async function* (turn: ScriptedTurn): AsyncGenerator<AgentEvent> {
      const decision = turn.confirmed('k');
      yield { type: 'turn-start', turnId: 't', sessionId: turn.request.sessionId, brain: 'script' };
      yield { type: 'confirm-request', id: 'k', name: 'x', peer: null, input: {}, reason: 'It acts.' };
      yield { type: 'answer', text: `${turn.request.text} ${await decision}`, toolCalls: [] };
    };
    await using open = await openPage({ page: folder(), script: { ask } });
    const { keyboard } = open.page;
    const focused = () =>
      open.page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent);

    await keyboard.press('Tab');
    expect(await focused()).toBe('Skip to the message');
    await keyboard.press('Enter');
    await keyboard.press('Tab');
    await open.page.getByRole('button', { name: 'New chat' }).focus();
    await keyboard.press('/');
    expect(await focused()).toBe('Message');
    await keyboard.type('one');
    await keyboard.press('Shift+Enter');
    await keyboard.type('two');
    expect(await open.page.getByLabel('Message').inputValue()).toBe('one\ntwo');
    await keyboard.press('Enter');
    await open.page.getByText('It acts.').waitFor();
    // The card took the focus and Enter decides nothing until a button is chosen.
    await keyboard.press('Enter');
    expect(await open.page.getByRole('button', { name: 'Approve' }).isVisible()).toBe(true);
    for (let steps = 0; steps < 6 && (await focused()) !== 'Approve'; steps += 1) await keyboard.press('Tab');
    expect(await focused()).toBe('Approve');
    expect(await open.page.evaluate(() => getComputedStyle(document.activeElement ?? document.body).outlineStyle)).toBe(
      'solid',
    );
    await keyboard.press('Enter');
    await open.page.getByText('two true').first().waitFor();
  });

  it('tells a screen reader what happens, and every control has a name', async () => {
    await using open = await openPage({ page: folder() });
    await open.ask('how full is the disk?');
    await expect.poll(() => open.page.getByRole('status').textContent()).toContain('61 %');
    await open.page.getByRole('tab', { name: /Tools/ }).click();
    await open.page.getByRole('button', { name: 'Run us-monitor/shell_exec' }).click();
    await open.page.getByRole('dialog').waitFor();
    const nameless = await open.page.locator('button, input, textarea, select, a[href]').evaluateAll((controls) =>
      controls
        .filter((control) => {
          const labels = 'labels' in control && control.labels instanceof NodeList ? control.labels.length : 0;
          return labels === 0 && (control.textContent ?? '').trim() === '' && control.getAttribute('aria-label') === null;
        })
        .map((control) => control.outerHTML),
    );
    expect(nameless).toEqual([]);
  });

  it('fits a phone: no view is wider than 360 pixels, whatever is in it', async () => {
    const wide = 'x'.repeat(300);
    const ask = async function* (turn: ScriptedTurn): AsyncGenerator<AgentEvent> {
      yield { type: 'turn-start', turnId: 't', sessionId: turn.request.sessionId, brain: 'script' };
      yield { type: 'text-delta', text: `\n\n${wide}\n\n\`${wide}\`\n\n| ${wide} | b |\n|---|---|\n| c | ${wide} |` };
      const failed = { id: 'w', name: `us-monitor/${wide}`, peer: 'us-monitor' };
      yield { type: 'tool-call', ...failed, input: { command: wide } };
      const decision = turn.confirmed('w');
      yield { type: 'confirm-request', ...failed, input: { command: wide }, reason: wide };
      await decision;
    };
    await using open = await openPage({ page: folder(), script: { ask }, width: 360, height: 740 });
    // Code and tables scroll by themselves; nothing around them may.
    const overflow = () =>
      open.page.evaluate(() => {
        const scrolling = [...document.querySelectorAll('body *')].filter(
          (element) =>
            element.scrollWidth > element.clientWidth + 1 &&
            ['auto', 'scroll'].includes(getComputedStyle(element).overflowX) &&
            !element.matches('pre, :has(> table)'),
        );
        const { scrollWidth, scrollHeight } = document.documentElement;
        return [scrollWidth - innerWidth, scrollHeight - innerHeight, scrolling.map((element) => element.className)];
      });
    expect(await overflow()).toEqual([0, 0, []]);
    await open.ask(`how full ${wide}`);
    await open.page
      .getByText('Exact arguments')
      .or(open.page.getByRole('button', { name: 'Approve' }))
      .first()
      .waitFor();
    expect(await overflow()).toEqual([0, 0, []]);
    for (const view of [/Peers/, /Tools/, /Events/, /Chat/]) {
      await open.page.getByRole('tab', { name: view }).click();
      expect(await overflow()).toEqual([0, 0, []]);
    }
    await open.page.getByRole('button', { name: 'Chats' }).click();
    await open.page.getByRole('dialog').getByRole('button', { name: 'New chat' }).click();
    await open.page.getByText('What shall your machines do?').waitFor();
  });

  it.each(['light', 'dark'] as const)('is %s as the system is, and as one likes', async (colorScheme) => {
    await using open = await openPage({ page: folder(), colorScheme });
    const brightness = () =>
      open.page.evaluate(() => Number(/\d+/.exec(getComputedStyle(document.body).backgroundColor)?.[0] ?? Number.NaN));
    const isDark = colorScheme === 'dark';
    expect((await brightness()) < 128).toBe(isDark);
    const toggle = open.page.getByRole('button', { name: /Colours/ });
    await toggle.click();
    if (!isDark) await toggle.click();
    expect((await brightness()) < 128).toBe(!isDark);
  });
});
