import { SkeinError } from '@skein/protocol';

/** What a shell would do with a character we refuse, by the character, for the refusal's message. */
const SHELL_SYNTAX: ReadonlyMap<string, string> = new Map([
  ['|', 'a pipe'],
  ['&', 'a background job or "&&"'],
  [';', 'a second command'],
  ['\n', 'a second line'],
  ['\r', 'a second line'],
  ['<', 'a redirection'],
  ['>', 'a redirection'],
  ['(', 'a subshell'],
  [')', 'a subshell'],
  ['`', 'a command substitution'],
  ['$', 'an expansion'],
  ['*', 'a file pattern'],
  ['?', 'a file pattern'],
  ['[', 'a file pattern'],
  [']', 'a file pattern'],
  ['{', 'a brace expansion'],
  ['}', 'a brace expansion'],
]);

/**
 * The words of a command line as a POSIX shell would split it (XCU 2.2, quoting), for lines that need no shell.
 * What only a shell can do is refused where it stands unquoted, or inside double quotes where it keeps its meaning.
 * @throws SkeinError `denied` for shell syntax, `invalid` for an open quote, a trailing backslash, NUL or no words.
 */
export function splitWords(line: string): string[] {
  if (line.includes('\0')) throw invalid('it holds a NUL character');
  const words: string[] = [];
  let word = '';
  let inWord = false;
  let at = 0;
  while (at < line.length) {
    const char = line.charAt(at);
    if (char === ' ' || char === '\t') {
      if (inWord) words.push(word);
      word = '';
      inWord = false;
      at += 1;
      continue;
    }
    const startsWord = !inWord;
    inWord = true;
    if (char === "'") {
      const end = line.indexOf("'", at + 1);
      if (end === -1) throw invalid("a ' is not closed");
      word += line.slice(at + 1, end);
      at = end + 1;
    } else if (char === '"') {
      const quoted = readDoubleQuoted(line, at + 1);
      word += quoted.text;
      at = quoted.next;
    } else if (char === '\\') {
      if (at + 1 >= line.length) throw invalid('it ends in a backslash');
      const next = line.charAt(at + 1);
      if (next === '\n') throw needsShell('\n');
      word += next;
      at += 2;
    } else {
      if (SHELL_SYNTAX.has(char)) throw needsShell(char);
      if (startsWord && char === '#') throw denied('"#" starts a comment', 'Quote it');
      if (char === '~' && (startsWord || /[=:]$/.test(word))) throw denied('"~" is a home folder', 'Write the path out');
      if (char === '=' && words.length === 0 && /^[A-Za-z_]\w*$/.test(word)) {
        throw denied(`"${word}=" sets a variable`, 'Leave it out');
      }
      word += char;
      at += 1;
    }
  }
  if (inWord) words.push(word);
  if (words.length === 0) throw invalid('it is empty');
  return words;
}

function readDoubleQuoted(line: string, start: number): { text: string; next: number } {
  let text = '';
  let at = start;
  while (at < line.length) {
    const char = line.charAt(at);
    if (char === '"') return { text, next: at + 1 };
    if (char === '$' || char === '`') throw needsShell(char);
    if (char === '\\') {
      const next = line.charAt(at + 1);
      if (next === '\n') throw needsShell('\n');
      // Inside double quotes a backslash is special before these four only (XCU 2.2.3).
      const escapes = next !== '' && '$`"\\'.includes(next);
      text += escapes ? next : char;
      at += escapes ? 2 : 1;
    } else {
      text += char;
      at += 1;
    }
  }
  throw invalid('a " is not closed');
}

function invalid(what: string): SkeinError {
  return new SkeinError(`The command cannot be split into words: ${what}`, { code: 'invalid' });
}

function needsShell(char: string): SkeinError {
  return denied(
    `${JSON.stringify(char)} is ${SHELL_SYNTAX.get(char) ?? 'shell syntax'}`,
    'Run one command at a time, or quote it',
  );
}

function denied(what: string, instead: string): SkeinError {
  return new SkeinError(
    `${what}, and commands run here without a shell. ${instead}; a shell is granted by the node's owner with tools.shell.allowShell`,
    { code: 'denied' },
  );
}
