import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createIdentity, fingerprintWords } from '@skein/protocol';
import { describe, expect, it } from 'vitest';
import { KnownNodes } from './known-nodes.ts';

function openNodes() {
  const directory = mkdtempSync(join(tmpdir(), 'skein-nodes-'));
  const path = join(directory, 'known_nodes');
  return { nodes: new KnownNodes({ path }), path, [Symbol.dispose]: () => rmSync(directory, { recursive: true }) };
}

describe('known nodes', () => {
  it('pin the first key of an address, over a restart', () => {
    using net = openNodes();
    const { id } = createIdentity();
    expect(net.nodes.get('ws://host:9700')).toBeUndefined();
    net.nodes.pin('ws://host:9700', id);
    net.nodes.pin('ws://HOST:9700/', id);
    expect(new KnownNodes({ path: net.path }).get('ws://host:9700')).toBe(id);
    expect(statSync(net.path).mode & 0o777).toBe(0o600);
    expect(readFileSync(net.path, 'utf8').split('\n')).toHaveLength(3);
  });

  it('refuse another key later, naming both', () => {
    using net = openNodes();
    const [first, second] = [createIdentity().id, createIdentity().id];
    net.nodes.pin('ws://host:9700', first);
    const words = [first, second].map((id) => expect.stringContaining(fingerprintWords(id)));
    for (const message of words) {
      expect(() => net.nodes.pin('ws://host:9700', second)).toThrow(
        expect.objectContaining({ code: 'unauthenticated', message }),
      );
    }
    expect(net.nodes.get('ws://host:9700')).toBe(first);
    net.nodes.pin('ws://host:9701', second);
  });

  it('take a new key after the old one was forgotten', () => {
    using net = openNodes();
    const [first, second] = [createIdentity().id, createIdentity().id];
    net.nodes.pin('ws://host:9700', first);
    expect(net.nodes.forget('ws://host:9700')).toBe(true);
    expect(net.nodes.forget('ws://host:9700')).toBe(false);
    net.nodes.pin('ws://host:9700', second);
    expect(net.nodes.get('ws://host:9700')).toBe(second);
  });

  it('say which line of a corrupt file is wrong, and leave it', () => {
    using net = openNodes();
    writeFileSync(net.path, '# x\nws://host:9700 nonsense\n', { mode: 0o600 });
    expect(() => net.nodes.get('ws://host:9700')).toThrow(/line 2/);
    expect(() => net.nodes.pin('ws://other:9700', createIdentity().id)).toThrow(expect.objectContaining({ code: 'corrupt' }));
    rmSync(net.path);
    expect(() => net.nodes.get('not an address')).toThrow(expect.objectContaining({ code: 'invalid' }));
  });
});
