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
  const { promise: closed, resolve: onClosed } = Promise.withResolvers<string>();
  const socket = new VoleSocket({ socket: ws, direction: 'dialled', address: 'x', clock, onMessage: () => {}, onClosed });
  const far = await accepted;
  return {
    clock,
    socket,
    closed,
    far,
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

  it('takes no binary frames', async () => {
    using net = await connected({ autoPong: true });
    net.far.send(Buffer.from('{}'));
    expect(await net.closed).toContain('binary');
  });
});
