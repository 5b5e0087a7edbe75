import type { AgentEvent } from '@skein/agent';
import { chromiumMissing, type ScriptedTurn } from '@skein/testing';
import { describe, expect, it } from 'vitest';
import { openPage } from './open-page.ts';
import { usePageFolder } from './page-folder.ts';
import { startScriptedNode } from './scripted-node.ts';

const missing = chromiumMissing();
const call = { id: 'c1', name: 'us-monitor/shell_exec', peer: 'us-monitor' };

/** A turn that calls a tool, and waits for the gate before it answers. */
function slowTurn() {
  const gate = Promise.withResolvers<void>();
  const turns: ScriptedTurn[] = [];
  const ask = async function* (turn: ScriptedTurn): AsyncGenerator<AgentEvent> {
    turns.push(turn);
    yield { type: 'turn-start', turnId: 't', sessionId: turn.request.sessionId, brain: 'script' };
    yield { type: 'text-delta', text: 'Looking at it.' };
    yield { type: 'tool-call', ...call, input: { command: 'df -h' } };
    await gate.promise;
    yield { type: 'tool-result', ...call, ok: true, ms: 5, output: { stdout: 'all of it' } };
    yield { type: 'text-delta', text: 'Plenty of room.' };
    yield { type: 'answer', text: 'Plenty of room.', toolCalls: [{ ...call, ms: 5, ok: true }] };
  };
  return { ask, turns, answer: gate.resolve };
}

describe.skipIf(missing !== null)(`a chat that is worked on${missing === null ? '' : ` (left out: ${missing})`}`, () => {
  const folder = usePageFolder();

  it('is shown again after a reload: what was done so far, then what comes', async () => {
    const slow = slowTurn();
    await using open = await openPage({ page: folder(), script: slow });
    await open.ask('how full is it?');
    const running = open.page.getByRole('button', { name: /shell_exec.*running/ });
    await running.waitFor();
    await open.page.reload();
    await running.waitFor();
    await open.page.getByText('how full is it?').waitFor();
    await open.page.getByText('Looking at it.', { exact: true }).waitFor();
    await open.page.getByRole('button', { name: 'Stop' }).waitFor();
    slow.answer();
    await open.page.getByText('Plenty of room.', { exact: true }).first().waitFor();
    await open.page.getByRole('button', { name: 'Send' }).waitFor();
    expect(await open.page.getByText('how full is it?').count()).toBe(1);
    expect(slow.turns).toHaveLength(1);
    expect(slow.turns[0]?.signal.aborted).toBe(false);
    expect(open.problems).toEqual([]);
  });

  it('is the same in a second tab, and is stopped from either', async () => {
    const slow = slowTurn();
    await using open = await openPage({ page: folder(), script: slow });
    await open.ask('how full is it?');
    await open.page.getByRole('button', { name: /shell_exec.*running/ }).waitFor();
    const sessionId = slow.turns[0]?.request.sessionId ?? '';
    const other = await open.page.context().newPage();
    const asked = [{ role: 'user', text: 'how full is it?' }] as const;
    open.node.backend.change({
      sessions: [{ id: sessionId, title: 'how full is it?', updatedAtMs: 1 }],
      history: { [sessionId]: asked },
    });
    await other.goto(open.node.link);
    await other.getByRole('button', { name: /how full is it/ }).click();
    await other.getByRole('button', { name: /shell_exec.*running/ }).waitFor();
    expect(await other.getByRole('heading', { name: 'You asked' }).count()).toBe(1);
    await other.getByRole('button', { name: 'Stop' }).click();
    await other.getByText('Stopped.').waitFor();
    await open.page.getByText('Stopped.').waitFor();
    expect(slow.turns[0]?.signal.aborted).toBe(true);
  });

  it('may be left for another, which stops nothing, and be come back to', async () => {
    const slow = slowTurn();
    await using open = await openPage({ page: folder(), script: slow });
    await open.ask('how full is it?');
    await open.page.getByRole('button', { name: /shell_exec.*running/ }).waitFor();
    const sessionId = slow.turns[0]?.request.sessionId ?? '';
    await open.page.getByRole('button', { name: 'New chat' }).click();
    await open.page.getByText('What shall your machines do?').waitFor();
    open.node.backend.change(
      { sessions: [{ id: sessionId, title: 'The first', updatedAtMs: 1 }], history: { [sessionId]: [] } },
      { type: 'sessions-changed', atMs: 1 },
    );
    await open.page.getByRole('button', { name: /The first/ }).click();
    await open.page.getByRole('button', { name: /shell_exec.*running/ }).waitFor();
    slow.answer();
    await open.page.getByText('Plenty of room.', { exact: true }).first().waitFor();
    expect(slow.turns[0]?.signal.aborted).toBe(false);
  });

  it('goes on when the node was away for a while', async () => {
    const slow = slowTurn();
    await using open = await openPage({ page: folder(), script: slow });
    await open.ask('how full is it?');
    await open.page.getByRole('button', { name: /shell_exec.*running/ }).waitFor();
    const { backend, port } = open.node;
    await open.node[Symbol.asyncDispose]();
    await open.page.getByRole('alert').first().waitFor();
    await using _again = await startScriptedNode({ page: folder(), port, backend });
    await open.page.getByRole('button', { name: /shell_exec.*running/ }).waitFor();
    slow.answer();
    await open.page.getByText('Plenty of room.', { exact: true }).first().waitFor();
    expect(await open.page.getByText('how full is it?').count()).toBe(1);
  });

  it('holds no connection while nobody looks, and is whole when somebody does', async () => {
    const slow = slowTurn();
    await using open = await openPage({ page: folder(), script: slow });
    const look = (state: 'visible' | 'hidden') =>
      open.page.evaluate((visibilityState) => {
        Object.defineProperty(document, 'visibilityState', { value: visibilityState, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
      }, state);
    await open.ask('how full is it?');
    await open.page.getByRole('button', { name: /shell_exec.*running/ }).waitFor();
    expect(open.node.gateway.openStreams).toBe(2);
    await look('hidden');
    await expect.poll(() => open.node.gateway.openStreams).toBe(1);
    slow.answer();
    await look('visible');
    await open.page.getByText('Plenty of room.', { exact: true }).first().waitFor();
    await open.page.getByRole('button', { name: /shell_exec.*ok/ }).waitFor();
    expect(slow.turns[0]?.signal.aborted).toBe(false);
    expect(open.problems).toEqual([]);
  });

  it('takes the word of a person after a reload, and no longer waits for it in other tabs', async () => {
    const gate = Promise.withResolvers<void>();
    const ask = async function* (turn: ScriptedTurn): AsyncGenerator<AgentEvent> {
      const decision = turn.confirmed('k1');
      yield { type: 'tool-call', ...call, input: { command: 'rm x' } };
      yield { type: 'confirm-request', ...call, id: 'k1', input: { command: 'rm x' }, reason: 'It deletes a file.' };
      yield { type: 'tool-result', ...call, ok: await decision, ms: 5, output: 'gone' };
      await gate.promise;
      yield { type: 'answer', text: 'Done so.', toolCalls: [] };
    };
    await using open = await openPage({ page: folder(), script: { ask } });
    await open.ask('clean up');
    const approve = { role: 'button', options: { name: 'Approve' } } as const;
    await open.page.getByRole(approve.role, approve.options).waitFor();
    const other = await open.page.context().newPage();
    await other.addInitScript((kept) => window.sessionStorage.setItem('skein-chat', kept), await keptChat(open.page));
    await other.goto(open.node.link);
    await other.getByRole(approve.role, approve.options).waitFor();
    await open.page.reload();
    await open.page.getByRole(approve.role, approve.options).click();
    await other.getByRole('heading', { name: /Approved/ }).waitFor();
    expect(await other.getByRole(approve.role, approve.options).count()).toBe(0);
    gate.resolve();
    for (const page of [open.page, other]) await page.getByText('Done so.').first().waitFor();
  });

  it('is opened again by a reload when it is over too, and says where an answer is missing', async () => {
    const history = { past: [{ role: 'user', text: 'were they full?' }] } as const;
    const sessions = [{ id: 'past', title: 'Disks last week', updatedAtMs: 1 }];
    await using open = await openPage({ page: folder(), script: { sessions, history } });
    await open.page.getByRole('button', { name: /Disks last week/ }).click();
    await open.page.getByText(/No answer: this was stopped/).waitFor();
    await open.page.reload();
    await open.page.getByText('were they full?').waitFor();
    await open.page.getByRole('button', { name: 'New chat' }).click();
    await open.page.reload();
    await open.page.getByText('What shall your machines do?').waitFor();
    expect(await open.page.getByText('were they full?').count()).toBe(0);
  });

  it('shows the past as well when somebody asks before that has come', async () => {
    const history = { past: [{ role: 'user', text: 'were they full?' }] } as const;
    const sessions = [{ id: 'past', title: 'Disks last week', updatedAtMs: 1 }];
    await using open = await openPage({ page: folder(), script: { sessions, history } });
    await open.page.route('**/api/sessions/past', () => {}, { times: 1 });
    await open.page.getByRole('button', { name: /Disks last week/ }).click();
    await open.page.getByText('Opening…').waitFor();
    await open.ask('and now?');
    await open.page.getByText('were they full?').waitFor();
    expect(await open.page.getByText('Opening…').count()).toBe(0);
  });

  it('is shown when it could not be at first, and says so no longer', async () => {
    const history = { past: [{ role: 'user', text: 'were they full?' }] } as const;
    const sessions = [{ id: 'past', title: 'Disks last week', updatedAtMs: 1 }];
    await using open = await openPage({ page: folder(), script: { sessions, history } });
    await open.page.route('**/api/sessions/past', (route) => route.abort(), { times: 1 });
    await open.page.getByRole('button', { name: /Disks last week/ }).click();
    await open.page.getByText('The node does not answer').waitFor();
    open.node.backend.change(
      { sessions: [{ id: 'past', title: 'Disks last week', updatedAtMs: 2 }] },
      { type: 'sessions-changed', atMs: 2 },
    );
    await open.page.getByText('were they full?').waitFor();
    expect(await open.page.getByText('The node does not answer').count()).toBe(0);
  });

  it('is told that the node may have stopped when it falls silent', async () => {
    await using open = await openPage({ page: folder() });
    await open.page.clock.install();
    await open.page.reload();
    await open.page.getByText('connected', { exact: true }).first().waitFor({ state: 'attached' });
    await open.page.clock.fastForward(41_000);
    const banner = open.page.getByText('The node is gone.').locator('..');
    await banner.waitFor();
    expect(await banner.textContent()).toContain('It may have stopped');
  });
});

function keptChat(page: { evaluate<T>(read: () => T): Promise<T> }): Promise<string> {
  return page.evaluate(() => window.sessionStorage.getItem('skein-chat') ?? '');
}
