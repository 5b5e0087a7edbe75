import type { Token } from './words.ts';

const YES_WORDS = new Set(
  'yes y yeah yep yup sure correct right ok okay exactly indeed absolutely definitely course'.split(' '),
);
/** What may stand beside a yes and leaves it one. */
const YES_FILLERS = new Set(
  `oh ah um uh well so and please pls plz thanks thank you that thats it is its i i'm im am meant mean did do the one of go
  ahead then thing quite very much`.split(/\s+/),
);
/** A yes begins with one of these or with a word for yes: "is that right" asks. */
const YES_OPENERS = new Set("oh ah um uh well please that thats it its i i'm im of quite".split(' '));

const NO_WORDS = new Set(
  `no n nope nah nay nein non never not dont nothing none neither nowhere nvm nevermind idk dunno`.split(' '),
);
/** What may stand beside a no and asks for nothing. */
const NO_FILLERS = new Set(
  `a all actually alone am an and any anymore anything are at be bother but care cancel could danke did do either else ever
  for forget go have here how i i'd i'm i've idea im in is it its just know least leave let like longer matter mean meant
  merci mind more much my need now of oh ok okay on one ones please pls plz quite really right run should so sorry still stop
  sure correct than thank thanks that thats the them then there these they thing think this those time to today um uh us
  very want was way well what which will with would yeah yes yet you`.split(/\s+/),
);
/** Answers to a question of ours are short. */
const MAX_WORDS = 8;

/** Whether a reply says yes and nothing else; `isNamed` tells the tokens that name what was proposed. What is not clear is no yes. */
export function isYes(tokens: readonly Token[], isNamed: (index: number) => boolean): boolean {
  const said = tokens.filter((_, index) => !isNamed(index));
  const first = said[0]?.key ?? '';
  if (tokens.length > MAX_WORDS || tokens.some((token) => token.after.includes('?'))) return false;
  if (!YES_WORDS.has(first) && !YES_OPENERS.has(first)) return false;
  return said.some(({ key }) => YES_WORDS.has(key)) && said.every(({ key }) => YES_WORDS.has(key) || YES_FILLERS.has(key));
}

/** Whether a request says no, or that nothing is wanted, and nothing else. */
export function isRefusal(tokens: readonly Token[]): boolean {
  if (tokens.length > MAX_WORDS || tokens.some((token) => token.quoted)) return false;
  return tokens.some(isNo) && tokens.every((token) => isNo(token) || NO_FILLERS.has(token.key));
}

function isNo({ key }: Token): boolean {
  return NO_WORDS.has(key) || key.endsWith("n't");
}
