import { atMost, type Measured, type Pace } from '../figure.ts';
import { median, pause } from '../measure.ts';
import { machineMs } from '../nodes/messages.ts';
import { NodeNetwork } from '../nodes/node-network.ts';

const MODES = ['auto', 'quorum'] as const;
type Mode = (typeof MODES)[number];
const NODES = 3;
/** Until a call is surely being worked on over there. */
const CALL_MS = 50;
const TOOLS = `import { defineTool } from '@skein/agent';
import { z } from 'zod';

export const hang = defineTool({
  name: 'hang',
  description: 'Never answers.',
  effect: 'read',
  input: z.object({}),
  run: (_input, { signal }) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
});
`;

/**
 * A voter that was started again votes for nobody for 10 s, since what it promised before may still hold: one network of
 * three is not struck twice within that time, as then it would be that which is measured.
 */
const REST_MS = 10_500;

/** Leaders of three that are killed, or held still with their sockets open; and what becomes of a call they worked on. */
export async function measureFailover({ kills, freezes }: Pace): Promise<readonly Measured[]> {
  await using stack = new AsyncDisposableStack();
  // As many networks of each mode as leaders are to fall silent, so that one silence is waited out for all.
  const modes = Array.from({ length: freezes }, () => MODES).flat();
  const net = (leader: Mode) => ({ leader, share: { tools: true } });
  const started = modes.map(async (mode) => {
    return {
      mode,
      network: await NodeNetwork.start({ count: NODES, net: net(mode), tools: TOOLS, bothDial: true }),
      struckMs: -REST_MS,
    };
  });
  // All of them, so that those that did start are stopped when one did not.
  const ended = await Promise.allSettled(started);
  for (const one of ended) if (one.status === 'fulfilled') stack.use(one.value.network);
  const struck = ended.map((one) => {
    if (one.status === 'rejected') throw one.reason;
    return one.value;
  });
  const killed: (Killed & { readonly mode: Mode })[] = [];
  for (let kill = 0; kill < kills * MODES.length; kill += 1) {
    const next = struck[kill % struck.length];
    if (next === undefined) throw new Error('No network was started');
    await pause(next.struckMs + REST_MS - performance.now());
    killed.push({ mode: next.mode, ...(await killLeader(next.network)) });
    next.struckMs = performance.now();
  }
  await pause(Math.max(...struck.map(({ struckMs }) => struckMs)) + REST_MS - performance.now());
  const silent = await Promise.all(struck.map(async ({ mode, network }) => ({ mode, leadMs: await freezeLeader(network) })));
  const callsMs = killed.map(({ callMs }) => callMs);
  return [
    ...MODES.flatMap((mode) => {
      const times = (list: readonly { readonly mode: Mode; readonly leadMs: number }[]) =>
        list.filter((one) => one.mode === mode).map(({ leadMs }) => leadMs);
      const title = `failover, ${mode}`;
      return [
        atMost(`${title}, median of ${kills} killed leaders`, 'ms', null, median(times(killed))),
        atMost(`${title}, worst of ${kills} killed leaders`, 'ms', 1_000, Math.max(...times(killed))),
        atMost(`${title}, worst of ${freezes} silent leaders`, 'ms', 15_000, Math.max(...times(silent))),
      ];
    }),
    atMost(`call whose worker is killed, median of ${callsMs.length}`, 'ms', null, median(callsMs)),
    atMost(`call whose worker is killed, worst of ${callsMs.length}`, 'ms', 1_000, Math.max(...callsMs)),
  ];
}

interface Killed {
  /** Until another said that it leads. */
  readonly leadMs: number;
  /** Until the call failed that the dead node worked on. */
  readonly callMs: number;
}

/** Kills the one that leads while another has it work. It is back when this resolves. */
async function killLeader(network: NodeNetwork): Promise<Killed> {
  const leader = await network.agreed();
  const place = placeOf(leader);
  const caller = (place + 1) % NODES;
  const call = network.at(caller).ask({ type: 'call', node: `node-${caller}`, tool: `${leader}/hang` });
  await pause(CALL_MS);
  const next = network.nextLead(leader);
  const killedMs = machineMs();
  const gone = network.at(place).kill();
  const [{ atMs: ledMs }, end] = await Promise.all([next, call, gone]);
  if (end.failedAs !== 'unavailable') throw new Error(`The call ended as ${end.failedAs ?? 'an answer'}`);
  await network.restart(place);
  return { leadMs: ledMs - killedMs, callMs: end.atMs - killedMs };
}

/** Holds the one that leads still until another says that it does; how long that took. */
async function freezeLeader(network: NodeNetwork): Promise<number> {
  const leader = await network.agreed();
  const process = network.at(placeOf(leader));
  const next = network.nextLead(leader);
  const frozenMs = machineMs();
  process.freeze();
  try {
    return (await next).atMs - frozenMs;
  } finally {
    process.thaw();
  }
}

function placeOf(name: string): number {
  return Number(name.slice('node-'.length));
}
