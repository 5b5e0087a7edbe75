import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { formatVoleLine, parseVoleLine, voleIdOf } from '@skein/dialects';
import { loadOrCreateIdentity } from '@skein/mesh';
import { SpecVole, type SpecVoleOptions } from '@skein/testing';
import type { ConfigInput } from '../src/config/schema.ts';
import type { Nodes, TestHost } from './nodes.ts';

/** The key line of a node as an OpenVole node reads it, and the id it has there. */
export function voleNameOf(node: TestHost): { readonly line: string; readonly id: string } {
  const identity = loadOrCreateIdentity(node.file('key'));
  return { line: formatVoleLine(identity, node.name), id: voleIdOf(identity) };
}

/** The trust line of an OpenVole node, with these options. */
export function trustLine(vole: SpecVole, options: string): string {
  // Without the fourth word: that is for the peer to show.
  return `${vole.line.split(' ').slice(0, 3).join(' ')} ${options}`;
}

export interface WithVole {
  readonly config?: ConfigInput;
  readonly vole?: SpecVoleOptions;
  /** What the OpenVole node may do at ours. */
  readonly trust?: string;
  /** Who dials: ours by a dialect of the configuration or by the trust file, or theirs. */
  /** What the configuration says of the address that is dialled. */
  readonly restrict?: object;
  readonly dials?: 'volenet' | 'auto' | 'trust-file' | 'vole' | 'nobody';
}

/** A started node of ours and an OpenVole node, each trusting the other, and connected. */
export async function startWithVole(nodes: Nodes, options: WithVole = {}) {
  const { config = {}, trust = 'trust=full,allow-brain', dials = 'volenet' } = options;
  const vole = await new SpecVole({ name: 'vole', tools: { echo: (params) => params }, ...options.vole }).start();
  const peers = dials === 'volenet' || dials === 'auto' ? [{ url: vole.url, dialect: dials, ...options.restrict }] : [];
  const node = nodes.make('ours', {
    ...config,
    net: { volenet: true, peers, share: { tools: true, memory: true, session: true }, ...config.net },
  });
  const url = dials === 'trust-file' ? `,url=${vole.url.replace('http', 'ws')}` : '';
  writeFileSync(node.file('authorized_peers'), `${trustLine(vole, `${trust}${url}`)}\n`, { mode: 0o600 });
  const ours = voleNameOf(node);
  vole.trust(ours.line);
  const listed = Object.keys(options.vole?.tools ?? { echo: true }).length > 0;
  const ready = await nodes.start(node);
  const http = `http://127.0.0.1:${ready.port}`;
  if (dials !== 'nobody') {
    const met = listed ? node.event('tools-changed') : node.event('peer-joined');
    if (dials === 'vole') await vole.announceTo(http);
    await met;
  }
  return {
    node,
    vole,
    http,
    /** Our node's id there, and theirs here. */
    id: ours.id,
    peer: parseVoleLine(vole.line).identity.id,
    /** Has it ask for something and gives the answer with this id. */
    async ask(type: string, payload: Record<string, unknown>, answer: string) {
      const [key] = Object.keys(payload).filter((name) => ['callId', 'taskId', 'requestId'].includes(name));
      const came = vole.received.find(
        (wire) => wire.type === answer && (key === undefined || wire.payload[key] === payload[key]),
      );
      await vole.send(type, ours.id, payload);
      return (await came).payload;
    },
    /** Has it call one of our tools. */
    async call({ name, params }: { readonly name: string; readonly params: object }) {
      const callId = randomUUID();
      const came = vole.received.find((wire) => wire.type === 'tool:result' && wire.payload.callId === callId);
      await vole.send('tool:call', ours.id, { callId, toolName: name, params });
      return (await came).payload;
    },
    [Symbol.asyncDispose]: () => vole.stop(),
  };
}

/** Two started nodes of ours that know each other by VoleNet's protocol alone, and offer each other their tools. */
export async function startVolePair(nodes: Nodes) {
  const speaking = { volenet: true, share: { tools: true } };
  const left = nodes.make('left', { net: speaking });
  const first = nodes.make('right', { net: speaking });
  left.trusts([first, { trust: 'full' }]);
  await nodes.start(left);
  first.trusts([left, { trust: 'full' }]);
  const right = nodes.restart(first, { net: { ...speaking, peers: [{ url: left.url, dialect: 'volenet' }] } });
  const met = left.event('tools-changed');
  await nodes.start(right);
  await Promise.all([met, right.event('tools-changed')]);
  return { left, right };
}
