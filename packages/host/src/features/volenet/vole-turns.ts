import type { SessionStore } from '@skein/agent';
import type { VoleSessionEntry } from '@skein/dialects';
import { type PeerId, SkeinError } from '@skein/protocol';

/** Conversations that one peer may write into in one life of the process. */
const SESSIONS_PER_PEER_MAX = 512;

/** What a person asked this node and was answered. */
export interface OwnTurn {
  readonly session: string;
  readonly text: string;
  readonly answer: string;
  readonly acceptedAtMs: number;
  readonly endedAtMs: number;
}

/** A turn as OpenVole nodes take it: who said what. No two bear the same time, by which they tell them apart. */
export function entriesOfTurn({ session, text, answer, acceptedAtMs, endedAtMs }: OwnTurn): readonly VoleSessionEntry[] {
  const asked = { sessionId: session, role: 'user', content: text, timestamp: acceptedAtMs } as const;
  const timestamp = Math.max(endedAtMs, acceptedAtMs + 1);
  if (answer.trim() === '') return [asked];
  return [asked, { sessionId: session, role: 'brain', content: answer, timestamp }];
}

/** Keeps the turns that OpenVole nodes held, in the same conversations here: what they say is text from outside. */
export class VoleTurns {
  readonly #sessions: SessionStore;
  readonly #written = new Map<PeerId, Set<string>>();

  constructor(parts: { readonly sessions: SessionStore }) {
    this.#sessions = parts.sessions;
  }

  /** @throws SkeinError `busy` for one conversation of this peer too many, and what `SessionStore.append` raises. */
  async keep(peer: PeerId, { sessionId, role, content }: VoleSessionEntry): Promise<void> {
    const id = sessionIdOf(sessionId);
    const written = this.#written.get(peer) ?? new Set();
    this.#written.set(peer, written);
    if (!written.has(id) && written.size >= SESSIONS_PER_PEER_MAX) {
      throw new SkeinError(`It writes into ${SESSIONS_PER_PEER_MAX} conversations already: one more is not taken`, {
        code: 'busy',
      });
    }
    written.add(id);
    const text = content.toWellFormed();
    const message = role === 'user' ? ({ role, text } as const) : ({ role: 'assistant', text, toolCalls: [] } as const);
    await this.#sessions.append(id, [{ message, tainted: true }]);
  }
}

/** Their names of conversations are free: what a name may not hold here becomes `_`. */
function sessionIdOf(text: string): string {
  const fitted = text.replaceAll(/[^a-zA-Z0-9._:-]/g, '_');
  return /^[a-zA-Z0-9]/.test(fitted) ? fitted : `v${fitted}`.slice(0, 128);
}
