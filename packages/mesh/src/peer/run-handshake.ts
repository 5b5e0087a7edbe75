import {
  type Established,
  HANDSHAKE_BYTES_MAX,
  HANDSHAKE_MESSAGES_MAX,
  HANDSHAKE_MS,
  type HandshakeStep,
  SkeinError,
} from '@skein/protocol';
import type { Clock } from '../clock.ts';
import type { Connection } from '../transport/transport.ts';

export interface HandshakeRun {
  readonly connection: Connection;
  readonly clock: Clock;
  /** Takes one message of the other side and says what follows. */
  readonly receive: (message: Buffer) => HandshakeStep;
  /** What the dialer says first. */
  readonly first?: Buffer;
  /** Called in the same turn in which the last message came, so that no record is lost in between. */
  readonly onEstablished: (established: Established) => void;
  /** Called once when no session comes about; the connection is closed already. */
  readonly onFailed: (error: SkeinError) => void;
}

/** Plays one handshake over a connection, within its bounds of time and bytes. */
export function runHandshake(run: HandshakeRun): void {
  const { connection, clock } = run;
  let receivedBytes = 0;
  let receivedMessages = 0;
  let settled = false;

  const fail = (error: SkeinError) => {
    if (settled) return;
    settled = true;
    release();
    connection.close(error.message);
    run.onFailed(error);
  };
  const release = clock.after(HANDSHAKE_MS, () => {
    fail(new SkeinError(`The handshake took longer than ${HANDSHAKE_MS / 1000} s`, { code: 'deadline-exceeded' }));
  });

  connection.attach({
    record(message) {
      if (settled) return;
      receivedBytes += message.length;
      receivedMessages += 1;
      if (receivedBytes > HANDSHAKE_BYTES_MAX || receivedMessages > HANDSHAKE_MESSAGES_MAX) {
        fail(new SkeinError(`The handshake is longer than ${HANDSHAKE_BYTES_MAX} bytes`, { code: 'too-large' }));
        return;
      }
      const step = run.receive(message);
      if (step.send !== undefined) connection.send(step.send);
      if (step.refused !== undefined) fail(step.refused);
      if (step.established === undefined || settled) return;
      settled = true;
      release();
      run.onEstablished(step.established);
    },
    drain() {},
    closed(reason) {
      fail(new SkeinError(`The connection ended during the handshake: ${reason}`, { code: 'unavailable' }));
    },
  });
  if (run.first !== undefined) connection.send(run.first);
}
