// Strangers that send junk as fast as they can: `flood-process.ts PORT SOCKETS`. Says how much it sent each second.
import { connect, type Socket } from 'node:net';
import { createIdentity, createX25519, InitiatorHandshake } from '@skein/protocol';

const [port = 0, sockets = 0] = process.argv.slice(2).map(Number);
const UPGRADE =
  'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n' +
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: skein.1\r\n\r\n';

/** A binary client frame with a zero mask. */
function frame(payload: Buffer): Buffer {
  const header = Buffer.alloc(payload.length < 126 ? 6 : 8);
  header[0] = 0x82;
  header[1] = 0x80 | Math.min(payload.length, 126);
  if (payload.length >= 126) header.writeUInt16BE(payload.length, 2);
  return Buffer.concat([header, payload]);
}

const init = new InitiatorHandshake({
  identity: createIdentity(),
  staticKey: createX25519(),
  hello: { name: 'stranger', boot: '00'.repeat(16), features: [] },
  clock: { now: Date.now, monotonicMs: () => performance.now() },
  admit: () => ({ admitted: true }),
  expected: undefined,
}).start();

/** What one stranger sends behind its upgrade, and how many frames that is. */
const KINDS = [
  // Small junk in one go, many frames of it.
  {
    bytes: Buffer.concat([Buffer.from(UPGRADE), ...Array.from({ length: 100 }, () => frame(Buffer.alloc(20, 0x10)))]),
    frames: 100,
  },
  // A true first message, whose answer is costly, and again.
  { bytes: Buffer.concat([Buffer.from(UPGRADE), frame(init), frame(init)]), frames: 2 },
  // As much as fits under the bound, and more.
  { bytes: Buffer.concat([Buffer.from(UPGRADE), ...Array.from({ length: 60 }, () => frame(Buffer.alloc(500)))]), frames: 60 },
  // No WebSocket at all.
  { bytes: Buffer.alloc(2_000, 'A'), frames: 1 },
];

let sent = 0;
let opened = 0;
for (let index = 0; index < sockets; index += 1) attack(index);
setInterval(() => {
  process.send?.({ sent, opened });
}, 250).unref();
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));

function attack(index: number): void {
  const { bytes, frames } = KINDS[index % KINDS.length] ?? { bytes: Buffer.alloc(0), frames: 0 };
  const socket: Socket = connect(port, '127.0.0.1');
  socket.on('error', () => socket.destroy());
  socket.once('connect', () => {
    opened += 1;
    sent += frames;
    socket.write(bytes);
    socket.resume();
  });
  socket.once('close', () => setImmediate(attack, index + 1));
}
