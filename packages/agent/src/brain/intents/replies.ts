import type { Catalog, Intent } from './catalog.ts';
import type { Match } from './matching.ts';
import type { Places } from './places.ts';
import type { Slot } from './slot-values.ts';
import { listOf, nameOf, suggestions } from './suggestions.ts';
import { phraseOf } from './word-index.ts';
import { isWithinEdits } from './words.ts';

const MAX_NAMES = 20;
const MAX_NEAREST = 3;

/** What is said instead of calling a tool, all of it from what is offered. */
export class Replies {
  readonly #catalog: Catalog;
  readonly #thisNode: string;

  constructor(parts: { readonly catalog: Catalog; readonly thisNode: string }) {
    this.#catalog = parts.catalog;
    this.#thisNode = parts.thisNode;
  }

  names(labels: readonly string[]): string {
    const shown = labels.slice(0, MAX_NAMES).map((label) => nameOf(label, this.#thisNode));
    return listOf(labels.length > shown.length ? [...shown, `${labels.length - shown.length} more`] : shown);
  }

  whichText(match: Match, slot: Slot, places: Places): string {
    const where = places.named.length > 0 ? ` on ${this.names(places.named)}` : '';
    const wanted = wantedOf(slot);
    return `Which ${slot.name.replaceAll('_', ' ')}${wanted === '' ? '' : ` (${wanted})`}${where}? Say it like “${phraseOf(match.intent)}”.`;
  }

  whichNode(labels: readonly string[]): string {
    return `On which node? ${this.names(labels)} can do it; name one, or say “all of them”.`;
  }

  confirmNode(labels: readonly string[]): string {
    return labels.length === 1
      ? `Did you mean ${this.names(labels)}? It may change something, so I would rather ask.`
      : `Which of ${this.names(labels)} do you mean? It may change something, so I would rather ask.`;
  }

  unknownNode(name: string): string {
    const which =
      this.#catalog.peers.length === 0
        ? 'No other node is connected right now.'
        : `Connected: ${this.names(this.#catalog.peers)}.`;
    const near = this.nearestNodes(name);
    const meant = near.length === 0 ? '' : ` Did you mean ${near.join(' or ')}?`;
    return `“${name}” is not a node I know, or it is not connected.${meant} ${which}`;
  }

  /** Known nodes whose names are one letter away. */
  nearestNodes(name: string): string[] {
    const wanted = name.toLowerCase();
    const near = this.#catalog.peers.filter((label) => label.length > 3 && isWithinEdits(wanted, label.toLowerCase(), 1));
    return near.slice(0, MAX_NEAREST);
  }

  notOffered(absent: readonly string[], offering: readonly string[]): string {
    const who =
      absent.length === 0
        ? 'No node that fits shares'
        : `${this.names(absent)} ${absent.length === 1 ? 'does' : 'do'} not share`;
    const others = offering.length === 0 ? '' : ` ${this.names(offering)} can do it.`;
    return `${who} a tool for that.${others}`;
  }

  /** For a request that names a node and nothing to do there. */
  whatThere(labels: readonly string[]): string {
    const list = suggestions(this.#catalog, { thisNode: this.#thisNode, only: labels });
    return list === '' ? this.notOffered(labels, []) : `What should I do on ${this.names(labels)}? I can do this:\n${list}`;
  }

  notUnderstood(matches: readonly Match[]): string {
    if (this.#catalog.intents.length === 0) {
      return 'I did not understand that, and no tools are offered to me right now, so there is nothing I could do.';
    }
    const near: Intent[] = matches.filter((match) => match.score >= 0.2).map((match) => match.intent);
    return `I did not understand that. I can do this:\n${suggestions(this.#catalog, { thisNode: this.#thisNode, near })}`;
  }
}

/** What a slot takes, where its schema says so: without it, nobody knows why what they said was not taken. */
function wantedOf({ kind, schema }: Slot): string {
  if (kind === 'choice' && Array.isArray(schema.enum)) return schema.enum.slice(0, 10).join(', ');
  if (kind !== 'number') return '';
  const { type, minimum, maximum } = schema;
  const what = type === 'integer' ? 'a whole number' : 'a number';
  const from = typeof minimum === 'number' ? minimum : undefined;
  const to = typeof maximum === 'number' ? maximum : undefined;
  if (from !== undefined && to !== undefined) return `${what} from ${from} to ${to}`;
  if (to !== undefined) return `${what}, at most ${to}`;
  return from === undefined ? what : `${what}, at least ${from}`;
}
