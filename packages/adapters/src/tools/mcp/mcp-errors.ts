import { ProtocolError, SdkError, SdkErrorCode } from '@modelcontextprotocol/client';
import { type ErrorCode, SkeinError } from '@skein/protocol';

const MAX_CHARS = 1_000;
/** JSON-RPC 2.0, section 5.1. */
const METHOD_NOT_FOUND = -32_601;
const INVALID_PARAMS = -32_602;

/** A failure of the client or the server as ours; `what` begins its message. */
export function mcpError(what: string, error: unknown): SkeinError {
  if (error instanceof SkeinError) return error;
  const text = (error instanceof Error ? error.message : String(error)).slice(0, MAX_CHARS).toWellFormed();
  return new SkeinError(`${what}: ${text}`, { code: codeOf(error), cause: error });
}

/** Whether the server answered, and with a refusal of its own. */
export function isAnswer(error: unknown): boolean {
  return error instanceof ProtocolError;
}

function codeOf(error: unknown): ErrorCode {
  if (error instanceof ProtocolError) {
    if (error.code === METHOD_NOT_FOUND) return 'not-found';
    return error.code === INVALID_PARAMS ? 'invalid' : 'unavailable';
  }
  if (error instanceof SdkError) {
    if (error.code === SdkErrorCode.RequestTimeout) return 'deadline-exceeded';
    if (error.code === SdkErrorCode.InvalidResult) return 'invalid';
  }
  return 'unavailable';
}
