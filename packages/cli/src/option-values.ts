import type { ConfigInput, TrustLevel } from '@skein/host';
import { SkeinError } from '@skein/protocol';
import { InvalidArgumentError } from 'commander';

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const LEVELS: readonly TrustLevel[] = ['full', 'tool', 'read'];

/** `10m` in milliseconds. */
export function parseDuration(text: string): number {
  const [, number = '', unit = ''] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? [];
  const factor = Object.entries(UNITS).find(([name]) => name === unit)?.[1];
  if (factor === undefined || Number(number) === 0)
    throw new InvalidArgumentError('expected a number above 0 and ms, s, m, h or d, such as 10m');
  return Number(number) * factor;
}

/** A port, 0 included. */
export function parsePort(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw new InvalidArgumentError('expected a port, 0 to 65535');
  return Number(text);
}

/** Where a node is dialled; `host:port` alone means `ws://`. */
export function parseUrl(text: string): string {
  const url = text.includes('://') ? text : `ws://${text}`;
  if (!/^(?:ws|http)s?:\/\/[^\s,@]+$/.test(url) || !URL.canParse(url)) {
    throw new InvalidArgumentError('expected an address such as ws://192.168.1.20:9700');
  }
  return url;
}

/** How far a peer is trusted. */
export function parseLevel(text: string): TrustLevel {
  const level = LEVELS.find((known) => known === text);
  if (level === undefined) throw new InvalidArgumentError(`expected one of ${LEVELS.join(', ')}`);
  return level;
}

/** `a,b` or `a b`, as often as the option is given. */
export function parseList(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, ...text.split(/[\s,;]+/).filter((word) => word !== '')];
}

export type BrainInput = NonNullable<ConfigInput['brain']>;

/** `provider` or `provider:model`; whether there is such a provider says the config's schema. */
export function parseBrain(text: string): BrainInput {
  const colon = text.indexOf(':');
  const provider = colon < 0 ? text : text.slice(0, colon);
  if (provider === '') throw new InvalidArgumentError('expected provider or provider:model, such as ollama:llama3.2');
  // Proven when it matters: every config goes through the schema, which refuses other words and names the nearest.
  return { provider: provider as BrainInput['provider'], ...(colon < 0 ? {} : { model: text.slice(colon + 1) }) };
}

/** What is to be asked. @throws SkeinError `invalid` when that is nothing. */
export function parseQuestion(text: string): string {
  if (text.trim() !== '') return text;
  throw new SkeinError('There is nothing to ask', { code: 'invalid' });
}
