/** Messages in one frame. */
export const FRAME_MESSAGES_MAX = 256;
/** Bytes of messages a sender puts in one frame before it begins the next; a single larger message goes alone. */
export const FRAME_BYTES_SOFT = 96 * 1024;
/** Bytes of one message's body. */
export const BODY_BYTES_MAX = 1024 * 1024;
/** Bytes of one record on a connection: the largest body with its header, frame header, type byte and tag. */
export const RECORD_BYTES_MAX = BODY_BYTES_MAX + 1024;
/** Levels of arrays and objects in a body. */
export const BODY_DEPTH_MAX = 32;
/** Values in a body: items, members, and the arrays and objects around them. */
export const BODY_VALUES_MAX = 32_768;
/** A message older than this when it arrives is refused. */
export const MESSAGE_AGE_MAX_MS = 60_000;
/** A message from further in the future than this is refused. */
export const MESSAGE_AHEAD_MAX_MS = 5_000;
/** Frames sealed under one key. */
export const REKEY_FRAMES = 2 ** 20;
/** Time one key is used. */
export const REKEY_MS = 600_000;
/** Bytes of streamed parts a callee may send ahead of the caller's credit. */
export const CREDIT_BYTES = 256 * 1024;
/** Bytes one side takes in before the handshake is finished. */
export const HANDSHAKE_BYTES_MAX = 8 * 1024;
/** Messages one side takes in before the handshake is finished. */
export const HANDSHAKE_MESSAGES_MAX = 3;
/** Time from the opening of a connection to the end of its handshake. */
export const HANDSHAKE_MS = 5_000;
/** Handshakes a second above which a listener demands cookies. */
export const HANDSHAKES_PER_SECOND_FREE = 50;
/** Bytes of a hello's JSON. */
export const HELLO_BYTES_MAX = 2 * 1024;
/** How long a handshake cookie is good for at least; at most twice this. */
export const COOKIE_MS = 60_000;
