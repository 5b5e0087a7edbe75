/** Bytes of a call's argument, and of its result, as JSON. */
export const PAYLOAD_BYTES = 600;

/** What a tool may be called with: a few values of each kind, and text. */
export interface Payload {
  readonly path: string;
  readonly lines: readonly number[];
  readonly options: { readonly follow: boolean; readonly encoding: string };
  readonly text: string;
}

/** An argument of exactly `PAYLOAD_BYTES`, told apart by its number. */
export function createPayload(number: number): Payload {
  const base = {
    path: `/var/log/node-${String(number % 1000).padStart(3, '0')}.log`,
    lines: [1, 20, 300],
    options: { follow: false, encoding: 'utf-8' },
    text: '',
  };
  const room = PAYLOAD_BYTES - Buffer.byteLength(JSON.stringify(base));
  return { ...base, text: 'the quick brown fox jumps over the lazy dog. '.repeat(20).slice(0, room) };
}

/** A call as the hand-made contenders send it, and its answer. */
export interface EchoCall {
  readonly id: number;
  readonly method: 'echo';
  readonly params: Payload;
}
export interface EchoAnswer {
  readonly id: number;
  readonly result: Payload;
}
