import { SkeinError } from '@skein/protocol';
import { findNodeAtLocation, getNodeValue, type Node, type ParseError, parseTree, printParseErrorCode } from 'jsonc-parser';

const MAX_CHARACTERS = 1_048_576;

/** A config file's content, and where in it each value stands. */
export interface ConfigText {
  readonly value: unknown;
  /** `skein.config.json:12:5` for a path, or the nearest part of it that is there. */
  locate(path: readonly PropertyKey[]): string;
}

/**
 * Reads JSON with comments and trailing commas.
 * @throws SkeinError `corrupt` naming file, line and column; `too-large` above a million characters.
 */
export function parseConfigText(text: string, file: string): ConfigText {
  if (text.length > MAX_CHARACTERS) {
    throw new SkeinError(`${file} has ${text.length} characters; at most ${MAX_CHARACTERS} are read`, { code: 'too-large' });
  }
  const at = (offset: number) => `${file}:${position(text, offset)}`;
  const errors: ParseError[] = [];
  const tree = parseTree(text.replace(/^\uFEFF/, ' '), errors, { allowTrailingComma: true });
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

function position(text: string, offset: number): string {
  const before = text.slice(0, offset);
  return `${before.split('\n').length}:${offset - before.lastIndexOf('\n')}`;
}

/** "CommaExpected" as words. */
function spaced(code: string): string {
  return code.replaceAll(/(?<=[a-z])(?=[A-Z])/g, ' ').toLowerCase();
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
