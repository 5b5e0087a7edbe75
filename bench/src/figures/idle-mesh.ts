import { atMost, type Measured, type Pace } from '../figure.ts';
import { pause } from '../measure.ts';
import type { Usage } from '../nodes/messages.ts';
import { NodeNetwork } from '../nodes/node-network.ts';

/** How many nodes, and how many of them in one process: a process each, as long as a small machine has the memory. */
const MESHES = [
  { count: 3, perProcess: 1 },
  { count: 5, perProcess: 1 },
  { count: 8, perProcess: 1 },
  { count: 16, perProcess: 16 },
  { count: 32, perProcess: 16 },
] as const;

/** Networks in which nothing happens, while they are looked at. */
export interface IdleMeshes extends AsyncDisposable {
  /** What each cost while it was looked at, which takes as long as the pace says: CPU is that of its own processes. */
  readonly figures: Promise<readonly Measured[]>;
}

/** Starts them and leaves them alone; what else the machine does meanwhile is not counted. */
export async function startIdleMeshes({ settleMs, idleMs, mostNodes }: Pace): Promise<IdleMeshes> {
  await using starting = new AsyncDisposableStack();
  const networks: NodeNetwork[] = [];
  // One after the other: the handshakes of a large one keep a small machine busy.
  for (const { count, perProcess } of MESHES) {
    if (count > mostNodes) break;
    networks.push(starting.use(await NodeNetwork.start({ count, perProcess, net: { share: { tools: true } } })));
  }
  const figures = look(networks, settleMs, idleMs);
  // Whoever started them may fail before asking.
  figures.catch(() => undefined);
  const stack = starting.move();
  return { figures, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

async function look(networks: readonly NodeNetwork[], settleMs: number, idleMs: number): Promise<readonly Measured[]> {
  await pause(settleMs);
  const sinceMs = performance.now();
  const before = await Promise.all(networks.map(usageOf));
  await pause(sinceMs + idleMs - performance.now());
  const tookMs = performance.now() - sinceMs;
  const after = await Promise.all(networks.map(usageOf));
  return networks.flatMap(({ count }, place) => {
    const [first, last] = [before[place], after[place]];
    return first === undefined || last === undefined ? [] : figuresOf(count, first, last, tookMs);
  });
}

function figuresOf(count: number, before: Usage, after: Usage, tookMs: number): readonly Measured[] {
  const pairs = (count * (count - 1)) / 2;
  const perPairMinute = (part: number) => (part / pairs / tookMs) * 60_000;
  const title = `idle mesh of ${count}`;
  return [
    atMost(`${title}, CPU a node`, '%', null, ((after.cpuMs - before.cpuMs) / count / tookMs) * 100),
    atMost(`${title}, messages a pair`, '/min', 10, perPairMinute(after.messages - before.messages)),
    atMost(`${title}, traffic a pair`, 'bytes/min', null, perPairMinute(after.bytes - before.bytes)),
    atMost(`${title}, sockets a pair`, 'sockets', 1, after.sockets / pairs),
  ];
}

async function usageOf({ processes }: NodeNetwork): Promise<Usage> {
  const all = await Promise.all(processes.map((process) => process.ask({ type: 'usage' })));
  const sum = (part: keyof Usage) => all.reduce((total, usage) => total + usage[part], 0);
  return { cpuMs: sum('cpuMs'), messages: sum('messages'), bytes: sum('bytes'), sockets: sum('sockets') };
}
