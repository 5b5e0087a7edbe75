import type { GatewayClient } from '@skein/host';
import { type Json, nearestNames, SkeinError } from '@skein/protocol';
import { Command } from 'commander';
import { openNodeOf } from '../node-access.ts';
import { plainText } from '../plain-text.ts';
import type { Shell } from '../shell.ts';

/** `skein call PEER/TOOL JSON` */
export function callCommand(shell: Shell): Command {
  return new Command('call')
    .description('run one tool, of this node or of a peer')
    .argument('<tool>', 'its name, such as us-monitor/shell_exec')
    .argument('[json]', 'its input, an object', '{}')
    .addHelpText('after', `\nExample:\n  $ skein call us-monitor/shell_exec '{"command":"df -h"}'`)
    .action(async (name: string, text: string) => {
      const input = parseInput(text);
      const slash = name.indexOf('/');
      await using node = await openNodeOf(shell, slash < 0 ? {} : { peer: name.slice(0, slash) });
      const output = await node.client
        .call({ name, input }, { signal: shell.signal, onDelta: (delta) => showDelta(shell, delta) })
        .catch(async (error: unknown) => {
          throw (slash < 0 ? undefined : await whyNoPeer(node.client, name.slice(0, slash), error)) ?? failureOf(name, error);
        });
      shell.result({ type: 'result', name, output }, () => inWords(output));
    });
}

/** That a tool is not found has a better reason where its peer is unknown or away. */
async function whyNoPeer(client: GatewayClient, name: string, error: unknown): Promise<SkeinError | undefined> {
  if (!(error instanceof SkeinError) || error.code !== 'not-found') return undefined;
  const peers = await client.peers();
  const peer = peers.find((known) => known.name === name);
  if (peer === undefined) {
    const names = peers.map((known) => known.name);
    const [near] = nearestNames(name, names);
    const hint = near === undefined ? `peers: ${names.join(', ') || 'none'}` : `did you mean "${near}"?`;
    return new SkeinError(`There is no peer "${name}"; ${hint}`, { code: 'not-found', cause: error });
  }
  if (peer.state !== 'connected') {
    const reason = peer.problem ?? 'it has no address to dial, so it must dial this node';
    return new SkeinError(`${name} is not connected: ${reason}`, { code: 'unavailable', cause: error });
  }
  if (peer.tools.length > 0) return undefined;
  const hint = 'there, "net": { "share": { "tools": true } } and trust of level tool would let this node call them';
  return new SkeinError(`${name} shares no tools with this node; ${hint}`, { code: 'denied', cause: error });
}

/** What broke in a tool is no fault of this program: it may be anybody's code. */
function failureOf(name: string, error: unknown): SkeinError {
  const { code, message } = SkeinError.from(error);
  if (code !== 'internal') return SkeinError.from(error);
  return new SkeinError(`The tool ${name} failed: ${message}`, { code: 'unavailable', cause: error });
}

function showDelta(shell: Shell, delta: string): void {
  if (shell.json) shell.event({ type: 'tool-output', delta });
  else if (shell.verbose) shell.stderr.write(plainText(delta));
}

function parseInput(text: string): Readonly<Record<string, Json>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SkeinError(
      `The input ${JSON.stringify(text.slice(0, 80))} is not JSON; give an object, such as '{"command":"df -h"}'`,
      {
        code: 'invalid',
        cause,
      },
    );
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new SkeinError(`The input is ${text.slice(0, 80)}; a tool takes an object, such as '{"command":"df -h"}'`, {
      code: 'invalid',
    });
  }
  return value as Record<string, Json>; // Proven: JSON.parse makes nothing but JSON, and it is an object.
}

/** Texts as they are, the rest as JSON. */
function inWords(output: Json): string {
  return plainText(typeof output === 'string' ? output : JSON.stringify(output, null, 2)).trimEnd();
}
