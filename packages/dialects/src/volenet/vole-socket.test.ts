import type { AddressInfo } from 'node:net';
import { VirtualClock } from '@skein/testing';
import { describe, expect, it } from 'vitest';
import WebSocket, { WebSocketServer } from 'ws';
import { VoleSocket } from './vole-socket.ts';

/** One end of ours on a clock that a test moves, and the other end. */
async function connected({ autoPong }: { readonly autoPong: boolean }) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', autoPong });
  await new Promise((resolve) => server.once('listening', resolve));
  const accepted = new Promise<WebSocket>((resolve) => server.once('connection', resolve));
  const ws = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  await new Promise((resolve) => ws.once('open', resolve));
  const clock = new VirtualClock();
  let onMessage = () => {};
  const { promise: closed, resolve: onClosed } = Promise.withResolvers<string>();
  const socket = new VoleSocket({
    socket: ws,
    direction: 'dialled',
    address: 'x',
    clock,
    onMessage: () => onMessage(),
    onClosed,
  });
  const far = await accepted;
  return {
    clock,
    socket,
    closed,
    far,
    onMessage: (listener: () => void) => {
      onMessage = listener;
    },
    [Symbol.dispose]: () => {
      socket.cut('the test is over');
      far.terminate();
      server.close();
    },
  };
}

describe('a socket to a VoleNet node', () => {
  it('that brings no sign of life is cut within 20 s', async () => {
    using net = await connected({ autoPong: false });
    await net.clock.advance(20_000);
    expect(await net.closed).toContain('nothing came for 15 s');
  });

  it('that answers pings stays', async () => {
    using net = await connected({ autoPong: true });
    for (let times = 0; times < 6; times += 1) {
      const ponged = new Promise((resolve) => net.far.once('ping', resolve));
      await net.clock.advance(5_000);
      await ponged;
      // The pong comes back before what is sent after it.
      const echoed = new Promise((resolve) => net.far.once('message', resolve));
      net.socket.send('x', { mayWait: false });
      await echoed;
    }
    expect(net.socket.isOpen).toBe(true);
  });

  it('is sent at most 1,200 messages in any minute: calls are refused, answers wait, nothing is cut off there', async () => {
    using net = await connected({ autoPong: true });
    let came = 0;
    const { promise: gotAll, resolve } = Promise.withResolvers<void>();
    net.far.on('message', (data) => {
      came += 1;
      if (data.toString() === 'last') resolve();
    });
    for (let n = 0; n < 500; n += 1) net.socket.send('call', { mayWait: false });
    expect(() => net.socket.send('one more', { mayWait: false })).toThrow('1,200 messages a minute');
    for (let n = 0; n < 99; n += 1) net.socket.send('answer', { mayWait: true });
    net.socket.send('last', { mayWait: true });
    // 10 a second: as long as the pings are answered in real time, ten seconds of its own are enough.
    await net.clock.advance(4_900);
    expect(() => net.socket.send('still', { mayWait: false })).toThrow('1,200 messages a minute');
    net.socket.lift();
    await gotAll;
    expect(came).toBe(600);
  });

  it('reads nothing of one that does not take its answers, until it does', async () => {
    using net = await connected({ autoPong: true });
    net.far.pause();
    // More than the system takes for it by itself.
    const large = 'x'.repeat(500_000);
    for (let n = 0; n < 16; n += 1) net.socket.send(large, { mayWait: true });
    let asked = 0;
    const { promise: heard, resolve: onHeard } = Promise.withResolvers<void>();
    net.onMessage(() => {
      asked += 1;
      onHeard();
    });
    net.far.send('asked');
    // What was sent before another connection was made, would be here by now.
    using _another = await connected({ autoPong: true });
    expect(asked).toBe(0);
    let came = 0;
    const { promise: gotAll, resolve } = Promise.withResolvers<void>();
    net.far.on('message', () => {
      came += 1;
      if (came === 16) resolve();
    });
    net.far.resume();
    await Promise.all([gotAll, heard]);
  });

  it('that takes nothing of what it was sent is cut, and so is one that asks on all the same', async () => {
    using silent = await connected({ autoPong: true });
    silent.far.pause();
    const large = 'x'.repeat(900_000);
    const sendAll = (socket: VoleSocket) => {
      for (let n = 0; n < 20; n += 1) socket.send(large, { mayWait: true });
    };
    expect(() => sendAll(silent.socket)).toThrow('too slowly');
    expect(silent.socket.isOpen).toBe(true);
    // Why it was not sent is short, and still finds room; not without end.
    const sendShort = () => {
      for (let n = 0; n < 1_000; n += 1) silent.socket.send('y'.repeat(4_000), { mayWait: true });
    };
    expect(sendShort).toThrow('too slowly');
    expect(await silent.closed).toBe('it does not take its answers');
  });

  it('takes no binary frames', async () => {
    using net = await connected({ autoPong: true });
    net.far.send(Buffer.from('{}'));
    expect(await net.closed).toContain('binary');
  });
});
