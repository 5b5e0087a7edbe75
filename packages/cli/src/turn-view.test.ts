import type { AgentEvent } from '@skein/host';
import pc from 'picocolors';
import { expect, test } from 'vitest';
import { TurnView } from './turn-view.ts';

const CALL = { id: '1', name: 'us-monitor/shell_exec', peer: 'us-monitor' } as const;

function show(...events: AgentEvent[]): string {
  let shown = '';
  const view = new TurnView({
    write: (text) => {
      shown += text;
    },
    colors: pc.createColors(false),
    verbose: false,
  });
  for (const event of events) view.show(event);
  return shown;
}

test('a call shows which peer runs which tool with what, and how long it took', () => {
  const shown = show(
    { type: 'tool-call', ...CALL, input: { command: 'df -h' } },
    { type: 'tool-result', ...CALL, ok: true, ms: 42.4, output: 'x' },
  );
  expect(shown).toBe('  → us-monitor/shell_exec {"command":"df -h"}\n  ✓ us-monitor/shell_exec 42 ms\n');
});

test('a failed call shows why', () => {
  const output = { error: { code: 'denied', message: 'not for you' } };
  expect(show({ type: 'tool-result', ...CALL, ok: false, ms: 1, output })).toBe(
    '  ✗ us-monitor/shell_exec 1 ms: not for you\n',
  );
});

test('an answer that was streamed is not printed twice', () => {
  const shown = show({ type: 'text-delta', text: 'half ' }, { type: 'text-delta', text: 'full' }, answer('half full'));
  expect(shown).toBe('half full\n');
});

test('an answer that was not streamed is printed', () => {
  expect(show({ type: 'text-delta', text: 'let me see' }, { type: 'tool-call', ...CALL, input: {} }, answer('done'))).toMatch(
    /\ndone\n$/,
  );
});

test('what a peer, a tool or a model says cannot reach the terminal as anything but text', () => {
  const evil = '\u001b[2J\u001b]0;owned\u0007\u009b1m\r';
  const shown = show(
    { type: 'tool-call', id: '1', name: `x/${evil}`, peer: evil, input: { evil } },
    { type: 'tool-result', id: '1', name: evil, peer: evil, ok: false, ms: 1, output: { error: { message: evil } } },
    { type: 'confirm-request', id: '2', name: evil, peer: evil, input: evil, reason: evil },
    { type: 'text-delta', text: evil },
    answer(evil),
  );
  expect(shown).not.toMatch(/[^\P{Cc}\t\n]/u);
});

function answer(text: string): AgentEvent {
  return { type: 'answer', text, toolCalls: [] };
}
