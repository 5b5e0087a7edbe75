import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutorContext, Task } from '@skein/agent';
import type { VolePeer } from '@skein/dialects';
import { Router } from '@skein/mesh';
import { createIdentity } from '@skein/protocol';
import { VirtualClock } from '@skein/testing';
import { expect, test } from 'vitest';
import { loadConfig } from '../../config/load-config.ts';
import { Presence } from '../presence.ts';
import { TaskPlacement } from './placement.ts';

test('what waits for an OpenVole node that did no tasks is placed anew once that is asked again', async () => {
  const cwd = mkdtempSync(join(tmpdir(), 'skein-placement-'));
  using _cleared = { [Symbol.dispose]: () => rmSync(cwd, { recursive: true, force: true }) };
  const { net } = loadConfig({ cwd, env: {}, overrides: { net: { brainSource: 'remote' } } }).config;
  const clock = new VirtualClock();
  const [self, id] = [createIdentity().id, createIdentity().id];
  const delegate = async () => ({ status: 'failed', error: 'Brain access not allowed' });
  // Proven: all of it that a placement and its executor look at.
  const vole = { id, name: 'vole', isConnected: true, delegate } as unknown as VolePeer;
  const woken: number[] = [];
  const placement = new TaskPlacement({
    self,
    local: undefined,
    net: () => net,
    peers: () => new Map(),
    volePeers: () => [vole],
    ownName: 'node',
    nameOf: () => 'vole',
    presence: new Presence({
      router: new Router(),
      mesh: { peers: new Map() },
      clock,
      stateFor: () => expect.unreachable('nobody is told anything'),
    }),
    load: () => ({ running: 0, queued: 1, capacity: 1 }),
    forwardedTo: () => 0,
    clock,
    onRoom: (inMs) => woken.push(clock.monotonicMs() + inMs),
  });
  const task: Task = {
    ...{ origin: self, id: 'one', attempt: 1, state: 'queued', owner: 'me', session: 'test', priority: 'normal' },
    ...{ acceptedAtMs: 0, updatedAtMs: 0, deadlineAtMs: 600_000, tokens: 0, title: 'think', path: [self], sender: self },
    ...{ text: 'think', interactive: false, history: [] },
  };
  const context: ExecutorContext = {
    emit: async () => {},
    meter: (brain) => brain,
    signal: new AbortController().signal,
    steps: [],
    remainingMs: 600_000,
  };
  const choose = () => placement.choose(task, { tried: [], sinceFailureMs: 0, localFree: false });
  const executor = choose();
  if (executor === undefined || executor === 'wait') throw new Error('nobody was chosen');
  expect((await executor.run(task, context)).error?.code).toBe('denied');
  expect(choose()).toBe('wait');
  const [atMs] = woken;
  await clock.advance(atMs ?? 0);
  expect(choose()).toMatchObject({ owner: id });
});
