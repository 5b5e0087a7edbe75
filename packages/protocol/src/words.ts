import type { PeerId } from './ids.ts';
import { peerIdBytes } from './ids.ts';

/** 256 short words, one for each byte; no two begin with the same three letters. */
export const WORDS: readonly string[] = `
  acid actor agent album alley amber angle apple apron arena arrow aspen atlas attic audio axle bacon badge bagel baker
  banjo barn beach bell berry bike birch bison blade blue boat bonus book brick broom cabin camel cedar cello chalk
  cider clay cliff clock cobra cocoa comet coral cow crab crown cube curry daisy dance deer delta denim disco door drum
  duck dune dust eagle earth echo eel elbow elk exit farm fence field fig finch fire flag flute fox frame frost fudge
  gecko ghost giant glass globe golf goose grape gull hawk hazel herb hippo honey hotel husky igloo index ink iris iron
  ivory jar jazz jelly jewel juice kayak king kiwi koala lake lamp laser lawn lemon lilac lion lotus lunar lynx mango
  maple melon metal mill mint moon moss motor mouse mural nomad north nova nugget nylon oak oasis ocean olive onion
  opera orbit orchid otter oval owl oxygen oyster paddle palace panda paper parrot peanut pebble pepper piano picnic
  pigeon pilot pirate planet plum pocket poem polar pond poppy potato prism puzzle quartz queen rabbit radio raft rain
  raven recipe reef ribbon rice river robin rodeo rose ruby salmon sandal saturn scarf school seal shadow sheep shield
  silver skate snail sock spider spoon spring squid stamp sugar summer swan syrup tape temple tennis thumb ticket tiger
  timber toast token tomato topaz torch tower tulip tunnel turtle tuxedo twig urban velvet video violin viper vivid
  voyage wafer wagon walnut whale wheat willow winter wood yacht yellow yeti yoga zebra zenith zero zinc zoom
`
  .trim()
  .split(/\s+/);

/** Words in a fingerprint. */
export const FINGERPRINT_WORDS = 8;

/**
 * The first 64 bits of an id as eight words that two people can read to each other. Enough against somebody who must
 * find a key with the same words as a given one (2^64 key generations); it is no identity, programs compare the id.
 */
export function fingerprintWords(id: PeerId): string {
  return Array.from(peerIdBytes(id).subarray(0, FINGERPRINT_WORDS), (byte) => WORDS[byte]).join(' ');
}
