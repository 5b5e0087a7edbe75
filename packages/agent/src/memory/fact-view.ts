import type { Json } from '@skein/protocol';
import { formatAsData } from '../taint.ts';
import type { Fact } from './fact.ts';
import type { MergedFact } from './peer-search.ts';

/** Of the id of an author without a name. */
const SHORT_CHARACTERS = 8;

/** What is known of a fact's author besides its id. */
export interface AuthorLabel {
  readonly name: string;
  /** Its trust was taken back: what it wrote before stays, marked. */
  readonly revoked: boolean;
}

/** A fact as a tool gives it: what an untrusted author wrote is marked as data. */
export function describeFact({ fact, peer }: MergedFact, label: AuthorLabel | undefined): Record<string, Json> {
  const source = fact.trusted ? fact.source : plainWords(fact.source);
  return {
    id: plainWords(fact.id),
    text: fact.trusted ? fact.text : formatAsData(`${fact.author}: ${fact.source}`, fact.text),
    tags: fact.trusted ? fact.tags : fact.tags.map(plainWords),
    author: fact.author,
    ...(label === undefined ? {} : { authorName: label.name }),
    ...(label?.revoked === true ? { authorRevoked: true } : {}),
    source,
    trusted: fact.trusted,
    at: new Date(fact.atMs).toISOString(),
    ...(fact.concurrent === true ? { concurrent: true } : {}),
    ...(peer === undefined ? {} : { foundAt: peer }),
  };
}

/** Where an untrusted fact came from, as a turn is told of it: people know an author by name. */
export function memoryOf({ author }: Fact, label: AuthorLabel | undefined): string {
  return `memory of ${label?.name ?? author.slice(0, SHORT_CHARACTERS)}`;
}

/** What an untrusted author chose and that stands outside the marks of data: nothing of it can look like a mark. */
function plainWords(text: string): string {
  return text.replace(/[^\p{L}\p{N} ._~/:@+-]/gu, '_');
}
