import { describe, expect, test } from 'vitest';
import { tool } from '../../test/test-agent.ts';
import { ToolSet } from './tool-set.ts';

const US = { name: 'monitor', id: `usus${'a'.repeat(48)}` };
const EU = { name: 'monitor', id: `eueu${'b'.repeat(48)}` };
const LAB = { name: 'lab', id: `labb${'c'.repeat(48)}` };
const named = (name: string, peer?: typeof US) => tool(name, () => name, peer === undefined ? {} : { peer });
const names = (set: ToolSet) => set.all().map((one) => one.name);

describe('names', () => {
  test('are plain for this node, and begin with the peer for others', () => {
    const set = new ToolSet({ local: [named('clock')] });
    set.replacePeer(US.id, [named('disk', US), named('clock', US)]);
    expect(names(set)).toEqual(['clock', 'monitor/clock', 'monitor/disk']);
    expect(set.offered()).toMatchObject([{ name: 'clock' }, { name: 'monitor/clock', peer: 'monitor' }, { peer: 'monitor' }]);
  });

  test('of two peers with one label carry their ids, whoever came first', () => {
    for (const order of [
      [US, EU],
      [EU, US],
    ]) {
      const set = new ToolSet();
      for (const peer of order) set.replacePeer(peer.id, [named('disk', peer)]);
      expect(names(set)).toEqual(['monitor~eueu/disk', 'monitor~usus/disk']);
      set.replacePeer(EU.id, []);
      expect(names(set)).toEqual(['monitor/disk']);
    }
  });

  test('mean no peer where two have one label, however busy the one that was meant is', () => {
    const set = new ToolSet({ loadOf: (id) => (id === US.id ? 9 : 0), routing: () => ({ routed: 'monitor' }) });
    for (const peer of [US, EU]) set.replacePeer(peer.id, [named('disk', peer), named('routed', peer)]);
    expect(() => set.find('monitor/disk')).toThrow(expect.objectContaining({ code: 'not-found' }));
    expect(() => set.find('routed')).toThrow(expect.objectContaining({ code: 'unavailable' }));
    expect(set.find('monitor~usus/disk').tool.peer).toEqual(US);
  });

  test('change with the labels of peers, all at once', () => {
    const set = new ToolSet({ local: [named('clock')] });
    for (const peer of [US, LAB]) set.replacePeer(peer.id, [named('disk', peer)]);
    let changes = 0;
    set.onChange(() => {
      changes += 1;
    });
    set.relabel((id) => ({ [US.id]: 'lab', [LAB.id]: 'monitor' })[id]);
    expect(changes).toBe(1);
    expect(set.find('lab/disk').tool.peer).toEqual({ name: 'lab', id: US.id });
    expect(set.find('monitor/disk').tool.peer).toEqual({ name: 'monitor', id: LAB.id });
    set.relabel(() => undefined);
    expect(changes).toBe(1);
    expect(set.find('lab/disk').tool.peer?.id).toBe(US.id);
  });

  test('carry as much of the ids as tells them apart', () => {
    const twin = { name: 'monitor', id: `usus${'a'.repeat(47)}b` };
    const set = new ToolSet();
    for (const peer of [US, twin]) set.replacePeer(peer.id, [named('disk', peer)]);
    expect(new Set(names(set))).toEqual(new Set([`monitor~${US.id}/disk`, `monitor~${twin.id}/disk`]));
  });
});

describe('find', () => {
  const set = new ToolSet({ local: [named('clock')] });
  set.replacePeer(US.id, [named('disk', US), named('system_info', US)]);
  set.replacePeer(LAB.id, [named('system_info', LAB), named('clock', LAB)]);

  test.each([
    ['monitor/disk', 'monitor/disk'],
    ['disk', 'monitor/disk'],
    ['clock', 'clock'],
    ['lab/clock', 'lab/clock'],
  ])('takes %s as %s', (asked, found) => {
    expect(set.find(asked).name).toBe(found);
  });

  test('chooses the least busy of several peers', () => {
    const load = new Map([
      [US.id, 0.5],
      [LAB.id, 0.25],
    ]);
    const busy = new ToolSet({ loadOf: (id) => load.get(id) ?? 0 });
    busy.replacePeer(US.id, [named('system_info', US)]);
    busy.replacePeer(LAB.id, [named('system_info', LAB)]);
    expect(busy.find('system_info').name).toBe('lab/system_info');
    load.set(LAB.id, 2);
    expect(busy.find('system_info').name).toBe('monitor/system_info');
  });

  test.each([
    ['lab/sytem_info', 'lab/system_info'],
    ['dsik', 'monitor/disk'],
    ['monitor/clok', 'lab/clock'],
  ])('names what is like %s', (asked, nearest) => {
    expect(() => set.find(asked)).toThrow(
      expect.objectContaining({ code: 'not-found', message: expect.stringContaining(nearest) }),
    );
  });

  test('keeps its answer short, whatever is asked for', () => {
    try {
      set.find('x'.repeat(100_000));
      expect.unreachable();
    } catch (thrown) {
      expect(String(thrown).length).toBeLessThan(1_000);
    }
  });
});

describe('changes', () => {
  test('are told until nobody listens', () => {
    const set = new ToolSet();
    let changes = 0;
    const stop = set.onChange(() => {
      changes += 1;
    });
    set.add(named('one'));
    set.replacePeer(US.id, [named('disk', US)]);
    expect(set.remove('monitor/disk')).toBe(true);
    expect(set.remove('monitor/disk')).toBe(false);
    stop();
    set.remove('one');
    expect(changes).toBe(3);
    expect(names(set)).toEqual([]);
  });

  test.each([
    ['two of one name', () => new ToolSet({ local: [named('a'), named('a')] }), 'conflict'],
    ['a name no provider takes', () => new ToolSet({ local: [named('a/b')] }), 'invalid'],
    ['a tool in the name of another peer', () => new ToolSet().replacePeer(US.id, [named('a', EU)]), 'invalid'],
    ['a local tool in place of a peer’s', () => new ToolSet().replacePeer(US.id, [named('a')]), 'invalid'],
    ['a peer’s tool among the local ones', () => new ToolSet({ local: [named('a', US)] }), 'invalid'],
    ['a label that is no name', () => new ToolSet().replacePeer(US.id, [named('a', { ...US, name: 'x/y' })]), 'invalid'],
    ['too many of one peer', () => new ToolSet({ local: Array.from({ length: 257 }, (_, n) => named(`t${n}`)) }), 'too-large'],
  ])('with %s are refused', (_, change, code) => {
    expect(change).toThrow(expect.objectContaining({ code }));
  });

  test('that are refused leave what there was', () => {
    const set = new ToolSet({ local: [named('kept')] });
    expect(() => set.replaceLocal([named('a'), named('a')])).toThrow();
    expect(names(set)).toEqual(['kept']);
  });
});

describe('routing', () => {
  const set = new ToolSet({
    local: [named('clock'), named('disk')],
    ownName: 'home',
    routing: () => ({ 'disk*': 'lab', clock: 'home', 'net_*': 'monitor' }),
  });
  set.replacePeer(US.id, [named('clock', US), named('disk', US)]);
  set.replacePeer(LAB.id, [named('disk', LAB)]);

  test.each([
    ['disk', 'lab/disk'],
    ['clock', 'clock'],
    ['monitor/disk', 'monitor/disk'],
  ])('takes %s as %s', (asked, found) => {
    expect(set.find(asked).name).toBe(found);
  });

  test('never takes another in place of the peer it names', () => {
    expect(() => set.find('disk_free')).toThrow(/disk_free goes to lab \(net\.routing, "disk\*"\), which is away/);
    expect(() => set.find('net_ping')).toThrow(expect.objectContaining({ code: 'unavailable' }));
  });
});
