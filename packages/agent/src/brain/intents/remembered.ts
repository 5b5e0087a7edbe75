import type { Json } from '@skein/protocol';
import { plainText } from './plain-text.ts';
import type { JsonObject } from './slot-values.ts';
import { isJsonObject } from './slot-values.ts';
import { clip } from './suggestions.ts';

/** Characters of an id that stand for it, where no other listed beside it begins so. */
const SHORT_ID = 8;
const MAX_TEXT = 300;
const MAX_NAME = 40;
const OWN = 'me';

/** Something remembered, as it lies in an output: a text with an id, an author and a time. */
interface Remembered {
  readonly id: string;
  readonly text: string;
  readonly author: string;
  readonly at: string;
  readonly row: JsonObject;
}

function asRemembered(item: Json): Remembered | undefined {
  if (!isJsonObject(item)) return undefined;
  const { id, text, author, at } = item;
  if (typeof id !== 'string' || typeof text !== 'string' || typeof author !== 'string' || typeof at !== 'string')
    return undefined;
  return { id, text, author, at, row: item };
}

/**
 * Facts as people read them, `the text (whose, when, id …)`, where that is what all the items of a list are; undefined
 * where they are not.
 */
export function formatRemembered(items: readonly Json[]): string[] | undefined {
  const facts = items.flatMap((item) => asRemembered(item) ?? []);
  if (facts.length < items.length) return undefined;
  const starts = facts.map(({ id }) => id.slice(0, SHORT_ID));
  return facts.map((fact, at) => {
    const isAlone = starts.every((start, other) => other === at || start !== starts[at] || facts[other]?.id === fact.id);
    return formatFact(fact, isAlone ? (starts[at] ?? fact.id) : fact.id);
  });
}

function formatFact({ text, author, at, row }: Remembered, id: string): string {
  const told = [authorOf(author, row), timeOf(at), row.concurrent === true ? 'edited in two places at once' : ''];
  const shown = [...told, `id ${clip(plainText(id), 100)}`].filter((part) => part !== '');
  return `${clip(plainText(withoutMarks(text)), MAX_TEXT)} (${shown.join(', ')})`;
}

function authorOf(author: string, { authorName, authorRevoked }: JsonObject): string {
  const name = typeof authorName === 'string' && authorName !== '' ? authorName : author;
  if (name === OWN) return 'written here';
  const shown = clip(plainText(name), name === author ? SHORT_ID + 1 : MAX_NAME);
  return authorRevoked === true ? `${shown}, no longer trusted` : shown;
}

/** An ISO date and time to the minute; other text as it is. */
function timeOf(at: string): string {
  const iso = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::[\d.]+)?Z$/.exec(at);
  return iso === null ? clip(plainText(at), MAX_NAME) : `${iso[1]} ${iso[2]} UTC`;
}

/** What a text says without the marks that tell a model where it is from: people see that beside it. */
export function withoutMarks(text: string): string {
  const marked = /^<data from="[^"\n]*">\n([\s\S]*)\n<\/data>$/.exec(text);
  return marked === null ? text : (marked[1] ?? '').replace(/&lt;(?=\s*\/?\s*data)/gi, '<');
}
