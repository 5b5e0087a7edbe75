import type { LlmRequest, LlmTurn } from './script.ts';

/** An answer as bytes of one protocol: whole events in order, ready to be written. */
interface WireAnswer {
  readonly contentType: string;
  readonly events: readonly string[];
}

/** What a protocol's writer offers. */
export interface Wire {
  answer(turn: LlmTurn, request: LlmRequest): WireAnswer;
  /** One event with some text, as often as wanted. */
  textEvent(text: string, request: LlmRequest): string;
  /** The event that tells a failure inside a stream. */
  errorEvent(message: string): string;
  /** The body of an HTTP error. */
  errorBody(status: number, message: string): string;
  /** An event of valid JSON whose fields have the wrong types. */
  wrongEvent: string;
}
