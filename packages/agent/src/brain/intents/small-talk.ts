import { isRefusal } from './agreement.ts';
import type { Catalog } from './catalog.ts';
import { THIS_NODE } from './catalog.ts';
import { clip, nameOf, suggestions } from './suggestions.ts';
import type { Token } from './words.ts';

/** What is said about the conversation itself, and needs no tool. */
export type Talk = 'greeting' | 'thanks' | 'farewell' | 'help' | 'peers' | 'tools' | 'self' | 'cancel';

const FILLERS = new Set(
  `please pls plz hey so well ok okay and the a an is are do does you i me my to of can could would will there here us your at
  now right in on with for it this that by how currently exactly just all s actually else able be oh sorry then`.split(/\s+/),
);
const OPENERS = new Set(['hello', 'hi', 'hey', 'greetings', 'morning', 'afternoon', 'evening', 'good', 'howdy', 'hiya', 'yo']);
const TALKS: readonly (readonly [Talk, string])[] = [
  ['greeting', 'hello|hi|greetings|good morning|good afternoon|good evening|howdy|hiya|yo|good day'],
  [
    'thanks',
    'thanks|thank|thx|cheers|great thanks|many thanks|thanks lot|thank very much|perfect thanks|good|great|nice|perfect',
  ],
  ['farewell', 'bye|goodbye|good night|see later|see|bye bye'],
  [
    'help',
    `help|help need|need help|what|what know|what help|what offer|what ask|what possible|what abilities|what capabilities|
    what commands|capabilities|what things|commands|show what|tell what|what say|give examples|examples|show examples|
    what should ask|what done|work|?`,
  ],
  [
    'peers',
    `who connected|who|who online|who up|who else|who around|which peers connected|which machines connected|who network|
    which nodes connected|which servers connected|what machines connected|what peers connected|list peers|list nodes|
    list machines|list servers|show peers|show nodes|show machines|peers|nodes|machines|which machines|which nodes|
    which peers|which servers|what machines|what nodes|what peers|what servers|which machines know|which peers know|
    what machines see|which nodes online|which machines online|which peers online|what nodes connected|
    which machines have|which computers connected|who reachable|which nodes see|what machines have|who see|who talk|
    which nodes network|which machines network|what machines network|list connected machines|list connected nodes|
    list connected peers|show connected peers|show connected machines|show connected nodes|connected machines|connected peers`,
  ],
  [
    'tools',
    `tools|which tools|what tools|which tools have|what tools have|list tools|show tools|which tools available|available tools|
    what tools available|tools have|list available tools|which tools know|which tools offer|what tools offer|show available tools|
    which tools use|what tools use|which tools share|what tools share|which tools offered|what tools offered`,
  ],
  ['self', 'who|what name|what model|which model|which brain|what brain|what|bot|what kind ai|introduce yourself|ai'],
  [
    'cancel',
    `cancel|never mind|nevermind|forget|forget about|never mind forget|forget never mind|no forget|stop|no|no thanks|nothing|
    abort|no thank|leave|leave alone|leave be|drop|skip|wait|hold`,
  ],
];

const PHRASES = new Map<string, Talk>();
for (const [talk, phrases] of TALKS) {
  for (const phrase of phrases.split('|')) {
    const key = phrase.trim();
    if (!PHRASES.has(key)) PHRASES.set(key, talk);
  }
}

/** The talk a request is, when it is nothing more. */
export function findTalk(tokens: readonly Token[]): Talk | undefined {
  if (tokens.length > 12 || tokens.some((token) => token.quoted)) return undefined;
  if (isRefusal(tokens)) return 'cancel';
  const keys = tokens.flatMap((token) =>
    token.key
      .replaceAll("'s", '')
      .replaceAll("'re", '')
      .split(/[^\p{L}\p{N}]+/u),
  );
  const said = keys.filter((key) => key !== '');
  if (said.length === 0) return undefined;
  const self = said.join(' ');
  if (/^(?:and |so |hi |hello |hey )*(?:who|what) (?:are|re|r) (?:you|u)$/.test(self)) return 'self';
  const words = said.filter((key) => !FILLERS.has(key));
  if (words.length === 0) return said.some((key) => OPENERS.has(key)) ? 'greeting' : undefined;
  const direct = PHRASES.get(words.join(' '));
  if (direct === undefined && said.every((key) => OPENERS.has(key) || FILLERS.has(key))) return 'greeting';
  if (direct !== undefined) return meansTalk(direct, { said, words }) ? direct : undefined;
  const opened = words.filter((word) => !OPENERS.has(word));
  return opened.length < words.length ? PHRASES.get(opened.join(' ')) : undefined;
}

/** Bare question words are talk only in the questions people ask of it: "what can you do", "who is there". */
function meansTalk(
  talk: Talk,
  { said, words }: { readonly said: readonly string[]; readonly words: readonly string[] },
): boolean {
  if (said.length === 1 && (said[0] === 'what' || said[0] === 'who')) return false;
  // "What is my name": who asks is meant, not who answers.
  if (talk === 'self' && said.some((key) => key === 'my' || key === 'i' || key === 'me')) return false;
  if (talk === 'help' && words.join(' ') === 'what' && said.length <= 3)
    return said.some((key) => key === 'can' || key === 'do');
  return true;
}

/** The answer to small talk, from what is offered. */
export function answerTalk(talk: Talk, catalog: Catalog, thisNode: string): string {
  const offer = catalog.intents.length === 0 ? 'No tools are offered to me right now, so there is nothing I could do.' : '';
  const ask = offer === '' ? `You can ask me:\n${suggestions(catalog, { thisNode })}` : offer;
  switch (talk) {
    case 'greeting':
      return `Hello. ${ask}`;
    case 'help':
      return ask;
    case 'self':
      return `I am the built-in intents brain: I match a request to the tools I am offered, without a language model. ${ask}`;
    case 'thanks':
      return 'You are welcome.';
    case 'farewell':
      return 'Goodbye.';
    case 'cancel':
      return 'All right, nothing is done.';
    case 'peers':
      return describePeers(catalog, thisNode);
    case 'tools':
      return describeTools(catalog, thisNode);
  }
}

const MAX_NODES = 50;
const MAX_TOOLS = 30;

function describePeers(catalog: Catalog, thisNode: string): string {
  if (catalog.peers.length === 0) {
    const own = catalog.here ? ` ${sentence(thisNode)} itself offers ${countTools(catalog, THIS_NODE)}.` : '';
    return `No other node shares tools with me right now.${own}`;
  }
  const lines = catalog.peers.slice(0, MAX_NODES).map((label) => `- ${nameOf(label, thisNode)}: ${countTools(catalog, label)}`);
  if (catalog.peers.length > MAX_NODES) lines.push(`- and ${catalog.peers.length - MAX_NODES} more`);
  const here = catalog.here ? `\n${sentence(thisNode)} offers ${countTools(catalog, THIS_NODE)} of its own.` : '';
  return `These nodes share tools with me:\n${lines.join('\n')}${here}`;
}

function countTools(catalog: Catalog, label: string): string {
  const count = catalog.tools.get(label)?.length ?? 0;
  return count === 1 ? '1 tool' : `${count} tools`;
}

function describeTools(catalog: Catalog, thisNode: string): string {
  if (catalog.tools.size === 0) return 'No tools are offered to me right now.';
  const lines = [...catalog.tools].slice(0, MAX_NODES).map(([label, tools]) => {
    const names = tools.map((tool) => clip(tool.name.slice(tool.name.lastIndexOf('/') + 1), 64));
    const shown = names.length > MAX_TOOLS ? [...names.slice(0, MAX_TOOLS), `${names.length - MAX_TOOLS} more`] : names;
    return `- ${nameOf(label, thisNode)}: ${shown.join(', ')}`;
  });
  return `The tools I am offered:\n${lines.join('\n')}`;
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
