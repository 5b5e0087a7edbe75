import { atMost, type Figure } from '../figure.ts';
import { quantile } from '../measure.ts';
import { NodeNetwork } from '../nodes/node-network.ts';

const NODES = 5;
const EVERY_MS = 20;

/** From a write on one node until the last of four others would show it. */
export const memorySpread: Figure = {
  title: 'memory at 4 peers',
  async measure({ facts }) {
    await using network = await NodeNetwork.start({ count: NODES, net: { share: { memory: true } } });
    const [writer, ...others] = network.processes;
    if (writer === undefined) throw new Error('No node was started');
    const looking = others.map((process, place) => process.ask({ type: 'look', node: `node-${place + 1}`, count: facts }));
    const written = await writer.ask({ type: 'remember', node: 'node-0', count: facts, everyMs: EVERY_MS });
    const seen = (await Promise.all(looking)).map((list) => new Map(list.map(({ text, atMs }) => [text, atMs])));
    const tookMs = written.map(({ text, atMs }) => Math.max(...seen.map((at) => at.get(text) ?? Number.NaN)) - atMs);
    const sorted = Float64Array.from(tookMs).sort();
    return [
      atMost('memory write to visible at 4 peers, p50', 'ms', null, quantile(sorted, 0.5)),
      atMost('memory write to visible at 4 peers, p99', 'ms', null, quantile(sorted, 0.99)),
    ];
  },
};
