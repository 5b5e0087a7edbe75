import {
  formatKeyLine,
  nearestNames,
  type PeerId,
  type PublicIdentity,
  parseKeyLine,
  parsePeerId,
  publicIdentity,
  SkeinError,
} from '@skein/protocol';

/** How far a peer is trusted, most first. */
export const TRUST_LEVELS = ['full', 'tool', 'read'] as const;
export type TrustLevel = (typeof TRUST_LEVELS)[number];

/** What one trusted, or revoked, key may do here. */
export interface TrustOptions {
  readonly trust: TrustLevel;
  /**
   * The level is nobody's word: no person stated it. So an entry of the configuration for the address where this key
   * answers may raise it.
   */
  readonly assumed: boolean;
  /** May have this node's brain think for it. */
  readonly allowBrain: boolean;
  /** When given, only these tools: names, `prefix*` or `*`. */
  readonly allowTools: readonly string[] | undefined;
  /** Never these tools, whatever is allowed. */
  readonly denyTools: readonly string[];
  /** Counts in elections. */
  readonly voter: boolean;
  /** What its revocation list names is revoked here too; counts with `trust=full` alone. */
  readonly revoker: boolean;
  /** Where to dial it. */
  readonly url: string | undefined;
  /** Its root, as it first showed it: without that one's signature no other key takes its place. */
  readonly root: PublicIdentity | undefined;
  /** Known, and refused. Kept so that no invitation lets the key in again. */
  readonly revoked: boolean;
  /** Of a revoked key: this node's own revocation list names it. */
  readonly shareRevocation: boolean;
  /** Of a revoked key: the one that has taken its place. */
  readonly successor: PeerId | undefined;
}

/** One line of the trust file. */
export interface TrustRecord extends TrustOptions {
  readonly identity: PublicIdentity;
  /** A label, never an identity. */
  readonly name: string;
  readonly kind: 'skein' | 'vole';
  /** The fourth word of a `vole-ed25519` line, kept as it is. */
  readonly voleExtra: string | undefined;
}

/** What a line without options says: the least. */
export const TRUST_DEFAULTS: TrustOptions = {
  trust: 'read',
  assumed: true,
  allowBrain: false,
  allowTools: undefined,
  denyTools: [],
  voter: false,
  revoker: false,
  url: undefined,
  root: undefined,
  revoked: false,
  shareRevocation: false,
  successor: undefined,
};

const GLOB = /^(?:[a-zA-Z0-9_-]{1,64}\*?|\*)$/;
const URL_SHAPE = /^[a-z][a-z0-9+.-]*:\/\/[^\s,@]+$/;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Reader = (value: string | undefined, into: Mutable<TrustOptions>) => void;

/** The options of the fourth word, comma separated; how each is read. */
const READERS: Record<string, Reader> = {
  trust: (value, into) => {
    const level = TRUST_LEVELS.find((known) => known === value);
    if (level === undefined) throw invalid(`the option trust=${value ?? ''} is not one of trust=full, trust=tool, trust=read`);
    into.trust = level;
    into.assumed = false;
  },
  assumed: (value, into) => {
    into.assumed = flag('assumed', value);
  },
  'allow-brain': (value, into) => {
    into.allowBrain = flag('allow-brain', value);
  },
  allow: (value, into) => {
    into.allowTools = parseGlobs('allow', value);
  },
  deny: (value, into) => {
    into.denyTools = parseGlobs('deny', value);
  },
  voter: (value, into) => {
    into.voter = flag('voter', value);
  },
  revoker: (value, into) => {
    into.revoker = flag('revoker', value);
  },
  url: (value, into) => {
    into.url = parseUrl(value);
  },
  root: (value, into) => {
    into.root = parseRoot(value);
  },
  revoked: (value, into) => {
    into.revoked = flag('revoked', value);
  },
  'share-revocation': (value, into) => {
    into.shareRevocation = flag('share-revocation', value);
  },
  successor: (value, into) => {
    into.successor = parsePeerId(value ?? '');
  },
};
const OPTION_NAMES = Object.keys(READERS);

/**
 * Reads `<kind> <base64 key> <name> [options]`, where kind is `skein-ed25519` or VoleNet's `vole-ed25519`; the latter
 * may have a further word in front of the options.
 * @throws SkeinError `invalid` naming what is wrong and, for an unknown option, the nearest known one.
 */
export function parseTrustLine(line: string): TrustRecord {
  const words = line.trim().split(/\s+/);
  if (words.length < 3) throw invalid('a line has a kind, a key and a name: skein-ed25519 <base64 key> <name>');
  const { identity, name } = parseKeyLine(words.slice(0, 3).join(' '));
  const kind = words[0] === 'vole-ed25519' ? 'vole' : 'skein';
  const rest = words.slice(3);
  const voleExtra = kind === 'vole' && rest[0] !== undefined && !isOptions(rest[0]) ? rest.shift() : undefined;
  const [options = '', surplus] = rest;
  if (surplus !== undefined) {
    throw invalid(
      `"${surplus.slice(0, 60)}" stands behind the options; they are one word, and comments have lines of their own`,
    );
  }
  return { identity, name, kind, voleExtra, ...parseTrustOptions(options) };
}

/**
 * Reads the options word; an empty one is the defaults.
 * @throws SkeinError `invalid`.
 */
export function parseTrustOptions(text: string): TrustOptions {
  const into: Mutable<TrustOptions> = { ...TRUST_DEFAULTS };
  const seen = new Set<string>();
  for (const option of text === '' ? [] : text.split(',')) {
    const equals = option.indexOf('=');
    const name = equals < 0 ? option : option.slice(0, equals);
    const read = Object.hasOwn(READERS, name) ? READERS[name] : undefined;
    if (read === undefined) {
      const [near] = nearestNames(name, OPTION_NAMES);
      const hint = near === undefined ? `there are ${OPTION_NAMES.join(', ')}` : `the nearest is "${near}"`;
      throw invalid(`there is no option "${name.slice(0, 60)}"; ${hint}`);
    }
    if (seen.has(name)) throw invalid(`the option "${name}" is given twice`);
    seen.add(name);
    read(equals < 0 ? undefined : option.slice(equals + 1), into);
  }
  // Wherever in the word it stands.
  if (seen.has('assumed')) into.assumed = true;
  if (!into.revoked && (into.shareRevocation || into.successor !== undefined)) {
    throw invalid('the options "share-revocation" and "successor" are for a key that is "revoked"');
  }
  return into;
}

/** The line of a record, its options in one fixed order; `parseTrustLine` gives the same record back. */
export function formatTrustLine(record: TrustRecord): string {
  const key =
    record.kind === 'skein'
      ? formatKeyLine(record.identity, record.name)
      : `vole-ed25519 ${record.identity.key.export({ type: 'spki', format: 'der' }).toString('base64')} ${record.name}`;
  const options = formatTrustOptions(record);
  return [key, ...(record.voleExtra === undefined ? [] : [record.voleExtra]), ...(options === '' ? [] : [options])].join(' ');
}

/** The options word, empty for the defaults. @throws SkeinError `invalid` when an option's value cannot be written. */
export function formatTrustOptions(options: TrustOptions): string {
  const words = [
    ...(options.assumed && options.trust === TRUST_DEFAULTS.trust ? [] : [`trust=${options.trust}`]),
    ...(options.assumed && options.trust !== TRUST_DEFAULTS.trust ? ['assumed'] : []),
    ...(options.allowBrain ? ['allow-brain'] : []),
    ...(options.allowTools === undefined ? [] : [`allow=${options.allowTools.join(';')}`]),
    ...(options.denyTools.length === 0 ? [] : [`deny=${options.denyTools.join(';')}`]),
    ...(options.voter ? ['voter'] : []),
    ...(options.revoker ? ['revoker'] : []),
    ...(options.url === undefined ? [] : [`url=${options.url}`]),
    ...(options.root === undefined ? [] : [`root=${Buffer.from(options.root.bytes).toString('base64')}`]),
    ...(options.revoked ? ['revoked'] : []),
    ...(options.shareRevocation ? ['share-revocation'] : []),
    ...(options.successor === undefined ? [] : [`successor=${options.successor}`]),
  ];
  const text = words.join(',');
  parseTrustOptions(text);
  return text;
}

function isOptions(word: string): boolean {
  return OPTION_NAMES.includes(word.split(/[=,]/, 1)[0] ?? '');
}

function flag(name: string, value: string | undefined): true {
  if (value !== undefined) throw invalid(`the option "${name}" takes no value; leave "=${value.slice(0, 60)}" out`);
  return true;
}

function parseGlobs(name: string, value: string | undefined): readonly string[] {
  if (value === undefined) throw invalid(`the option "${name}" needs a list: ${name}=tool;prefix_*`);
  const globs = value === '' ? [] : value.split(';');
  const wrong = globs.find((glob) => !GLOB.test(glob));
  if (wrong !== undefined) {
    throw invalid(`"${wrong.slice(0, 70)}" in ${name}= is no tool name, no "prefix*" and not "*"`);
  }
  return globs;
}

function parseUrl(value: string | undefined): string {
  if (value === undefined || !URL_SHAPE.test(value) || !URL.canParse(value)) {
    throw invalid(`"${(value ?? '').slice(0, 100)}" is not an address such as url=ws://host:9700, without "," and "@"`);
  }
  return value;
}

function parseRoot(value: string | undefined): PublicIdentity {
  const bytes = Buffer.from(value ?? '', 'base64');
  if (bytes.length !== 32 || bytes.toString('base64') !== value) {
    throw invalid(`root=${(value ?? '').slice(0, 60)} is not a key: it has 32 bytes, in base64`);
  }
  return publicIdentity(bytes);
}

function invalid(message: string): SkeinError {
  return new SkeinError(message.charAt(0).toUpperCase() + message.slice(1), { code: 'invalid' });
}
