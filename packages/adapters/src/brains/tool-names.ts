import { hash } from 'node:crypto';

/** What every provider accepts: Gemini wants a letter or underscore first, OpenAI and Anthropic at most 64. */
const LEGAL = /^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$/;
const MAX_LENGTH = 64;
const HASH_LENGTH = 8;

/** Tool names as a provider may see them, and back. */
export interface ToolNames {
  /** The legal name; of a name that was not among those given too, as long as it does not collide. */
  toWire(name: string): string;
  /** The full name; a name that was never given comes back as it is, so that the loop can say it does not exist. */
  fromWire(name: string): string;
}

/**
 * A one-to-one mapping for a set of full names such as `us-monitor/shell_exec` -> `us-monitor__shell_exec`. A legal
 * name keeps itself; one that is too long, or whose legal form is taken, ends in 8 digits of its SHA-256. The mapping
 * depends on the set, not on its order, so a prompt keeps its form from turn to turn.
 */
export function createToolNames(names: Iterable<string>): ToolNames {
  const wireOf = new Map<string, string>();
  const nameOf = new Map<string, string>();
  const sorted = [...new Set(names)].sort();
  for (const name of [...sorted.filter(isLegal), ...sorted.filter((name) => !isLegal(name))]) {
    const wire = freeName(name, nameOf);
    wireOf.set(name, wire);
    nameOf.set(wire, name);
  }
  return {
    toWire: (name) => wireOf.get(name) ?? freeName(name, nameOf),
    fromWire: (wire) => nameOf.get(wire) ?? wire,
  };
}

function isLegal(name: string): boolean {
  return LEGAL.test(name);
}

function freeName(name: string, taken: ReadonlyMap<string, string>): string {
  if (isLegal(name) && !taken.has(name)) return name;
  const cleaned = name.replaceAll('/', '__').replace(/[^a-zA-Z0-9_-]/g, '_');
  const legal = /^[a-zA-Z_]/.test(cleaned) ? cleaned : `_${cleaned}`;
  if (legal.length <= MAX_LENGTH && !taken.has(legal)) return legal;
  const digest = hash('sha256', name);
  // Two names that share the first eight digits take the next eight.
  for (let at = 0; ; at = (at + 1) % (digest.length - HASH_LENGTH)) {
    const suffix = `_${digest.slice(at, at + HASH_LENGTH)}`;
    const candidate = legal.slice(0, MAX_LENGTH - suffix.length) + suffix;
    if (!taken.has(candidate)) return candidate;
  }
}
