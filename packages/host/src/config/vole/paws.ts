import { isIP } from 'node:net';
import type { ConfigInput } from '../schema.ts';
import type { PawGrants } from './vole-schema.ts';

/** One of the paws a configuration names. */
export interface Paw {
  readonly name: string;
  readonly allow: PawGrants;
}

/** What a paw becomes here, as parts of the configuration; `note` says to people what differs. */
interface PawRow {
  readonly config?: (grants: PawGrants) => ConfigInput;
  /** Names for `tools.enabled`. */
  readonly tools?: readonly string[];
  readonly note?: string;
}

/** Every paw that has something in its place here, without its `@openvole/paw-`. */
const PAWS: Readonly<Record<string, PawRow>> = {
  brain: { note: 'the model is that of BRAIN_PROVIDER, else one whose key is in the environment, else Ollama (see "brain")' },
  memory: {},
  session: {},
  compact: {},
  dashboard: { config: () => ({ page: { enabled: true } }), note: 'the page is at the port of the node, behind its token' },
  shell: {
    tools: ['shell_exec'],
    // There, a shell that may start processes runs any command; here each is split into arguments, in the jail of tools.root.
    config: ({ childProcess }) => (childProcess === true ? { tools: { shell: { allow: ['*'] } } } : {}),
    note: 'runs commands as arguments, without a shell (tools.shell); only those that read unless allow.childProcess is true',
  },
  filesystem: { tools: ['read_file', 'write_file', 'list_files'] },
  database: { note: 'name each database under tools.databases of skein.config.json: "shop": { "url": "sqlite:./shop.db" }' },
  scraper: {
    tools: ['scrape', 'http_get'],
    config: ({ network }) => {
      const allowPrivate = Array.isArray(network) ? network.filter(isPrivateHost) : [];
      return allowPrivate.length === 0 ? {} : { tools: { http: { allowPrivate } } };
    },
    note: 'fetches from any public host, and from private ones that allow.network names',
  },
  mcp: { note: 'name each server under tools.mcp of skein.config.json: "files": { "command": ["npx", "server"] }' },
};

type Provider = NonNullable<ConfigInput['brain']>['provider'];

/** The models that are their own paws there, and the words of BRAIN_PROVIDER. */
const MODELS: Readonly<Record<string, Provider>> = {
  claude: 'anthropic',
  anthropic: 'anthropic',
  openai: 'openai',
  gemini: 'google',
  xai: 'xai',
  ollama: 'ollama',
};

const NO_CHANNEL = 'in this version: people reach this node on its page and with `skein chat`';
const BY_SERVER = 'under tools.mcp, or write a plug-in';

/** Paws that have nothing in their place, and what to do instead. */
const LACKING: Readonly<Record<string, string>> = {
  telegram: `there is no Telegram channel ${NO_CHANNEL}`,
  slack: `there is no Slack channel ${NO_CHANNEL}`,
  discord: `there is no Discord channel ${NO_CHANNEL}`,
  whatsapp: `there is no WhatsApp channel ${NO_CHANNEL}`,
  msteams: `there is no Teams channel ${NO_CHANNEL}`,
  'voice-call': `there is no telephone channel ${NO_CHANNEL}`,
  social: `there is no channel to social networks ${NO_CHANNEL}`,
  browser: '@openvole/paw-scraper reads pages without a browser; or add a browser server under tools.mcp',
  email: `add a mail server ${BY_SERVER}`,
  resend: `add a mail server ${BY_SERVER}`,
  github: `add a GitHub server ${BY_SERVER}`,
  calendar: `add a calendar server ${BY_SERVER}`,
  image: `add an image server ${BY_SERVER}`,
  pdf: `add a PDF server ${BY_SERVER}`,
  tts: `add a speech server ${BY_SERVER}`,
  stt: `add a speech server ${BY_SERVER}`,
  computer: `add a server that controls the desktop ${BY_SERVER}`,
  markets: `add a market data server ${BY_SERVER}`,
  prospect: 'write a plug-in',
  club: 'write a plug-in',
};

/** Every paw there is an answer for, by its full name. */
export const KNOWN_PAWS: readonly string[] = [...Object.keys(PAWS), ...Object.keys(MODELS), ...Object.keys(LACKING)].map(
  (short) => `@openvole/paw-${short}`,
);

/** What a list of paws becomes. */
export interface ConvertedPaws {
  /** In order; a later part stands over an earlier. */
  readonly parts: readonly ConfigInput[];
  readonly tools: readonly string[];
  /** Whether any of them is a brain. */
  readonly hasBrain: boolean;
  readonly notes: readonly string[];
  /** One line for each that is lacking here. */
  readonly refused: readonly string[];
}

/** What a list of paws becomes. Nothing is left out silently. */
export function convertPaws(paws: readonly Paw[]): ConvertedPaws {
  const parts: ConfigInput[] = [];
  const tools: string[] = [];
  const notes: string[] = [];
  const refused: string[] = [];
  let hasBrain = false;
  for (const { name, allow } of paws) {
    const short = shortName(name);
    const provider = providerOf(short);
    const row = own(PAWS, short);
    if (provider !== undefined) {
      hasBrain = true;
      parts.push({ brain: { provider } });
    } else if (row === undefined) {
      refused.push(`${name}: ${own(LACKING, short) ?? 'nothing here stands for it: write a plug-in, or add a server of MCP'}`);
    } else {
      hasBrain ||= short === 'brain';
      tools.push(...(row.tools ?? []));
      if (row.config !== undefined) parts.push(row.config(allow));
      if (row.note !== undefined) notes.push(`${name}: ${row.note}`);
    }
  }
  const folder = folderOf(paws);
  return { parts: [...parts, folder.part], tools, hasBrain, notes: [...notes, ...folder.notes], refused };
}

/** The provider of a model by the word used for it there. */
export function providerOf(word: string): Provider | undefined {
  return own(MODELS, word);
}

/** The words of BRAIN_PROVIDER that mean something here. */
export const MODEL_WORDS: readonly string[] = Object.keys(MODELS);

/** Whether a name, as people write it, is that of this paw. */
export function isPaw(name: string, short: string): boolean {
  return shortName(name) === short;
}

/** Tools share one folder here: the first one that files, else the shell, may use. */
function folderOf(paws: readonly Paw[]): { readonly part: ConfigInput; readonly notes: readonly string[] } {
  const granted = ['filesystem', 'shell'].flatMap((short) =>
    paws
      .filter(({ name }) => isPaw(name, short))
      .flatMap(({ allow }) => (Array.isArray(allow.filesystem) ? allow.filesystem : [])),
  );
  const [root, ...others] = new Set(granted);
  if (root === undefined) return { part: {}, notes: [] };
  const left =
    others.length === 0
      ? []
      : [`allow.filesystem: tools work in one folder, "${root}" (tools.root); left out: ${others.join(', ')}`];
  return { part: { tools: { root } }, notes: left };
}

/** `@openvole/paw-shell@2.0.0` as `shell`. */
function shortName(name: string): string {
  return name
    .replace(/^@openvole\//, '')
    .replace(/^paw-/, '')
    .replace(/@[^@/]*$/, '');
}

/** Hosts that are reached only where they are named. */
function isPrivateHost(entry: string): boolean {
  const host = entry.replace(/:\d+$/, '').toLowerCase();
  return isIP(host) !== 0 || /^[a-z0-9_-]+$/.test(host) || /^[a-z0-9._-]+\.(local|internal|lan)$/.test(host);
}

function own<T>(table: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}
