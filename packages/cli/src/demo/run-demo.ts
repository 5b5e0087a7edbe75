import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import {
  type ConfigInput,
  connectToRunning,
  type DemoPlan,
  type GatewayClient,
  loadConfig,
  planDemo,
  readPageToken,
} from '@skein/host';
import { SkeinError } from '@skein/protocol';
import { loadOptionsOf } from '../node-access.ts';
import { EventTeller } from '../node-event.ts';
import { parseQuestion } from '../option-values.ts';
import { plainText } from '../plain-text.ts';
import { Repl } from '../repl.ts';
import { runTurn } from '../run-turn.ts';
import type { Shell } from '../shell.ts';
import { TurnView } from '../turn-view.ts';
import type { ChildEvent } from './child-node.ts';
import { DemoNetwork } from './demo-network.ts';

/** How long until the feed of a coordinator that is gone is asked for again. */
const FEED_RETRY_MS = 500;

export interface DemoOptions {
  readonly once?: string;
  readonly brain?: NonNullable<ConfigInput['brain']>;
}

/** Runs the demo network until the person leaves, or with `once` until the answer is there. */
export async function runDemo(shell: Shell, options: DemoOptions): Promise<void> {
  const startedMs = performance.now();
  const { brain } = options;
  const once = options.once === undefined ? undefined : parseQuestion(options.once);
  const { config, env } = loadConfig(loadOptionsOf(shell, brain === undefined ? {} : { overrides: { brain } }));
  const plan = await planDemo(path.join(config.dataDir, 'demo'), { brain: config.brain });
  let sayEvent = (name: string, event: ChildEvent) => progress(shell, name, event);
  const network = new DemoNetwork({
    plan,
    // What was said of this node is not said of those three; the brain stands in the coordinator's config.
    env: Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('SKEIN_'))),
    connect: ({ dir }) => connectToRunning(dir),
    onEvent: (name, event) => sayEvent(name, event),
  });
  await using _network = network;
  if (!shell.json) shell.note('Starting three nodes on this machine: coordinator, us-monitor, eu-monitor');
  const client = await network.start({ signal: shell.signal });
  if (once !== undefined) {
    await answerOnce(shell, client, once);
    return;
  }
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
  await introduce(shell, client, { plan, seconds });
  const repl = new Repl({ shell, client, sessionId: undefined });
  sayEvent = (name, event) => {
    if (shell.json) shell.event({ ...event, type: `process-${event.type}`, name });
    else repl.notice(describeChild(name, event));
  };
  const watching = new AbortController();
  const watch = follow(client, { shell, repl }, watching.signal);
  try {
    if (shell.isInteractive) await repl.run();
    else await untilAborted(shell.signal);
  } finally {
    watching.abort();
    await watch;
    sayEvent = () => {};
    if (!shell.json) shell.note('Stopping the three nodes');
  }
}

/** One question, its events, and the end. */
async function answerOnce(shell: Shell, client: GatewayClient, text: string): Promise<void> {
  const view = new TurnView({ write: (part) => shell.write(part), colors: shell.colors, verbose: shell.verbose });
  try {
    await runTurn(
      {
        client,
        text,
        sessionId: undefined,
        confirm: undefined,
        onEvent: (event) => (shell.json ? shell.event(event) : view.show(event)),
      },
      { signal: shell.signal },
    );
  } finally {
    view.end();
  }
}

async function introduce(
  shell: Shell,
  client: GatewayClient,
  { plan, seconds }: { readonly plan: DemoPlan; readonly seconds: string },
): Promise<void> {
  const { brain, port } = await client.status({ signal: shell.signal });
  const page = `http://127.0.0.1:${port}/#token=${readPageToken(plan.coordinator.dir)}`;
  if (shell.json) {
    shell.event({ type: 'ready', page, port, brain: brain?.name ?? null, workers: plan.workers.map(({ name }) => name) });
    return;
  }
  const { bold, dim, cyan } = shell.colors;
  const folder = path.dirname(plan.coordinator.configFile);
  const workers = plan.workers.map(({ name, shares }) => `  ${bold(name.padEnd(11))}  shares ${shares.join(', ')}`);
  shell.line(
    [
      '',
      `${bold('Three agents are up')} ${dim(`(${seconds} s)`)}`,
      `  ${bold('coordinator')}  has the brain, and uses the tools of the others`,
      ...workers,
      '',
      `  brain  ${plainText(brain?.name ?? 'none')}`,
      ...(brain?.hint ? [dim(`         ${plainText(brain.hint)}`)] : []),
      `  page   ${cyan(page)}`,
      '',
      ...(shell.isInteractive
        ? [dim('Try: how full is the disk on us-monitor?   which of them has the most free memory?   /help'), '']
        : [dim(shell.typed(`Ctrl-C stops them. To ask: skein -C ${shell.typedFolder(folder)} ask "…"`)), '']),
    ].join('\n'),
  );
}

/** Tells what happens in the network, for as long as it lasts; a coordinator that comes back is followed again. */
async function follow(
  client: GatewayClient,
  { shell, repl }: { readonly shell: Shell; readonly repl: Repl },
  signal: AbortSignal,
): Promise<void> {
  const teller = new EventTeller();
  while (!signal.aborted) {
    try {
      for await (const event of client.events({ signal })) {
        if (shell.json) {
          shell.event(event);
          continue;
        }
        const words = repl.hasShown(event) ? undefined : teller.tell(event);
        if (words !== undefined) repl.notice(event.type === 'peer-problem' ? shell.typedElsewhere(words) : words);
      }
    } catch (error) {
      const { code, message } = SkeinError.from(error);
      // Gone for a moment is told by its process already.
      if (code !== 'unavailable' && !signal.aborted) {
        if (shell.json) shell.event({ type: 'error', code, message });
        else repl.notice(`The coordinator's events are not shown: ${message}`);
      }
    }
    await wait(FEED_RETRY_MS, undefined, { signal }).catch(() => undefined);
  }
}

function progress(shell: Shell, name: string, event: ChildEvent): void {
  if (!shell.json) shell.note(`  ${describeChild(name, event)}`);
}

function describeChild(name: string, event: ChildEvent): string {
  switch (event.type) {
    case 'ready':
      return `${name} is ${event.again ? 'up again' : 'up'} on port ${event.port}, process ${event.pid}`;
    case 'ended':
      return `${name}: ${event.how}; starting it again in ${(event.retryInMs / 1_000).toFixed(2)} s`;
  }
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    // Keeps the process for as long as nothing else does.
    const alive = setInterval(() => {}, 60_000);
    const done = () => {
      clearInterval(alive);
      resolve();
    };
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}
