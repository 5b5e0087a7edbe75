import type { Connection, ConnectionHandlers } from '@skein/mesh';

/** A connection that passes everything on to another; what stands in the way overrides what it is about. */
export class ForwardingConnection implements Connection {
  protected readonly inner: Connection;

  constructor(inner: Connection) {
    this.inner = inner;
  }

  get remoteAddress(): string {
    return this.inner.remoteAddress;
  }

  get transport(): Connection['transport'] {
    return this.inner.transport;
  }

  get arrived(): number {
    return this.inner.arrived;
  }

  get departed(): number {
    return this.inner.departed;
  }

  attach(handlers: ConnectionHandlers): void {
    this.inner.attach(handlers);
  }

  send(record: Uint8Array): boolean {
    return this.inner.send(record);
  }

  admit(maxRecordBytes: number): void {
    this.inner.admit(maxRecordBytes);
  }

  pause(): void {
    this.inner.pause();
  }

  resume(): void {
    this.inner.resume();
  }

  close(reason: string): void {
    this.inner.close(reason);
  }

  cut(reason: string): void {
    this.inner.cut(reason);
  }
}
