/** The version every message carries. */
export const VOLE_VERSION = 2;
/** Bytes of one message, either way: the other side closes a socket, or cuts a body, above it. */
export const VOLE_MESSAGE_BYTES_MAX = 1_000_000;
/** Levels of arrays and objects in a message that is read at all, the message itself being the first. */
export const VOLE_DEPTH_MAX = 256;
/** Levels in a payload that is taken; one that is deeper is answered with why not. */
export const VOLE_PAYLOAD_DEPTH_MAX = 31;
/** Values in a message: items, members, and the arrays and objects around them. */
export const VOLE_VALUES_MAX = 200_000;
/** A message stamped longer ago than this is refused. */
export const VOLE_AGE_MAX_MS = 60_000;
/** A message stamped further ahead than this is refused. */
export const VOLE_AHEAD_MAX_MS = 5_000;
/** How long a socket may take to show whose it is. */
export const VOLE_PROOF_MS = 5_000;
/** Tools one peer may offer; more are left out. */
export const VOLE_TOOLS_MAX = 256;
/** How long a tool call waits for its result when nothing shorter is said; also how long one is served. */
export const VOLE_CALL_MS = 60_000;
/** How long a delegated task waits for its result when nothing shorter is said; also how long one is served. */
export const VOLE_TASK_MS = 300_000;
/** How long a search of the peers' memory waits for those that are slow. */
export const VOLE_SEARCH_MS = 5_000;
/** How long one HTTP message may take. */
export const VOLE_POST_MS = 5_000;
/** How long an announcement over HTTP may take. */
export const VOLE_DISCOVER_MS = 10_000;
/** About how often a peer that is not connected is looked for, and one that is only reached over HTTP asked anew. */
export const VOLE_DISCOVERY_MS = 15_000;
