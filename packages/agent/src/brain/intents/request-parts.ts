import type { PeerMentions } from './peer-mentions.ts';
import type { ReadToken } from './word-index.ts';

const JOINING = new Set(['and', 'then', 'also', 'plus', '&', 'well', 'as']);
const MAX_PARTS = 6;

/** A run of a request's tokens that may be a request of its own. */
export interface Part {
  readonly from: number;
  readonly to: number;
  /** Whether a semicolon or "then" sets it apart, which no text inside one request does. */
  readonly apart: boolean;
}

/** Cuts a request at commas, semicolons, "and", "then", "also". Names of nodes joined by "and" stay together. */
export function splitParts(tokens: readonly ReadToken[], found: PeerMentions): Part[] {
  const inside = new Set<number>();
  for (const mention of found.mentions) for (let index = mention.from; index < mention.to; index += 1) inside.add(index);
  const parts: Part[] = [];
  let from = 0;
  let apart = false;
  const close = (to: number) => {
    if (to > from) parts.push({ from, to, apart });
  };
  for (const [index, { token }] of tokens.entries()) {
    const joins = !token.quoted && !inside.has(index) && JOINING.has(token.key);
    if (joins) {
      close(index);
      from = index + 1;
      apart = token.key === 'then' || (apart && from === index + 1 && parts.at(-1)?.to !== index);
      continue;
    }
    const lastOfName = found.mentions.every((mention) => index < mention.from || index >= mention.to - 1);
    if (lastOfName && (token.after.includes(',') || token.after.includes(';'))) {
      close(index + 1);
      from = index + 1;
      apart = token.after.includes(';');
    }
  }
  close(tokens.length);
  return parts.length > MAX_PARTS ? [] : parts;
}
