import { SkeinError } from '@skein/protocol';
import {
  findNodeAtLocation,
  getNodeValue,
  type Node,
  type ParseError,
  parseTree,
  printParseErrorCode,
  visit,
} from 'jsonc-parser';

const MAX_CHARACTERS = 1_048_576;
/** Far deeper than any config; what reads one calls itself for each level. */
const MAX_DEPTH = 64;

/** A config file's content, and where in it each value stands. */
export interface ConfigText {
  readonly value: unknown;
  /** `skein.config.json:12:5` for a path, or the nearest part of it that is there. */
  locate(path: readonly PropertyKey[]): string;
}

/**
 * Reads JSON with comments and trailing commas.
 * @throws SkeinError `corrupt` naming file, line and column; `too-large` above a million characters; `invalid` for what
 * nests deeper than any config.
 */
export function parseConfigText(text: string, file: string): ConfigText {
  if (text.length > MAX_CHARACTERS) {
    throw new SkeinError(`${file} has ${text.length} characters; at most ${MAX_CHARACTERS} are read`, { code: 'too-large' });
  }
  const at = (offset: number) => `${file}:${position(text, offset)}`;
  const errors: ParseError[] = [];
  const json = text.replace(/^\uFEFF/, ' ');
  refuseDepth(json, at);
  const tree = parseTree(json, errors, { allowTrailingComma: true });
  const [error] = errors;
  if (error !== undefined || tree === undefined) {
    const what = error === undefined ? 'it is empty' : spaced(printParseErrorCode(error.error));
    throw new SkeinError(`${at(error?.offset ?? 0)}: not readable as JSON: ${what}`, { code: 'corrupt' });
  }
  refuseDoubtfulKeys(tree, at);
  return {
    value: getNodeValue(tree),
    locate(path) {
      for (let length = path.length; length > 0; length -= 1) {
        const segments = path.slice(0, length).map((part) => (typeof part === 'symbol' ? String(part) : part));
        const node = findNodeAtLocation(tree, segments);
        // A property's key says more than where its value begins.
        if (node !== undefined) return at(node.parent?.type === 'property' ? node.parent.offset : node.offset);
      }
      return at(tree.offset);
    },
  };
}

/** What can be read of a config file that need not be whole; undefined where that is nothing. */
export function salvageConfigText(text: string): unknown {
  if (text.length > MAX_CHARACTERS) return undefined;
  const tree = parseTree(text.replace(/^\uFEFF/, ' '), [], { allowTrailingComma: true });
  return tree === undefined ? undefined : getNodeValue(tree);
}

function position(text: string, offset: number): string {
  const before = text.slice(0, offset);
  return `${before.split('\n').length}:${offset - before.lastIndexOf('\n')}`;
}

/** "CommaExpected" as words. */
function spaced(code: string): string {
  return code.replaceAll(/(?<=[a-z])(?=[A-Z])/g, ' ').toLowerCase();
}

/** Stops at the first level too many: the parser would go on until there is no stack left. */
function refuseDepth(json: string, at: (offset: number) => string): void {
  let depth = 0;
  const begin = (offset: number) => {
    depth += 1;
    if (depth <= MAX_DEPTH) return;
    throw new SkeinError(`${at(offset)}: nested deeper than ${MAX_DEPTH} levels; no config is`, { code: 'invalid' });
  };
  const end = () => {
    depth -= 1;
  };
  visit(json, { onObjectBegin: begin, onArrayBegin: begin, onObjectEnd: end, onArrayEnd: end }, { allowTrailingComma: true });
}

/** A key given twice would silently lose one of its values; `__proto__` would not become a key at all. */
function refuseDoubtfulKeys(node: Node, at: (offset: number) => string): void {
  const seen = new Set<unknown>();
  for (const child of node.children ?? []) {
    if (node.type === 'object') {
      const key: unknown = child.children?.[0]?.value;
      if (key === '__proto__') throw new SkeinError(`${at(child.offset)}: "__proto__" is not a key`, { code: 'invalid' });
      if (seen.has(key)) throw new SkeinError(`${at(child.offset)}: "${String(key)}" is given twice`, { code: 'invalid' });
      seen.add(key);
    }
    refuseDoubtfulKeys(child, at);
  }
}
