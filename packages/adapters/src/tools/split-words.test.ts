import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SkeinError } from '@skein/protocol';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { splitWords } from './split-words.ts';

function codeOf(line: string): string | undefined {
  try {
    splitWords(line);
    return undefined;
  } catch (error) {
    return SkeinError.from(error).code;
  }
}

test.each([
  ['df -h', ['df', '-h']],
  ['  ls \t -l  ', ['ls', '-l']],
  [`echo 'a b' "c d" e\\ f`, ['echo', 'a b', 'c d', 'e f']],
  [`echo 'it'"'"'s'`, ['echo', "it's"]],
  ['echo "" \'\'', ['echo', '', '']],
  ['echo "a\\"b\\\\c\\d"', ['echo', 'a"b\\c\\d']],
  [`echo '$HOME;|&<>*'`, ['echo', '$HOME;|&<>*']],
  ['echo a#b x=1 a~ %!^,@', ['echo', 'a#b', 'x=1', 'a~', '%!^,@']],
  ['echo \\$HOME \\;', ['echo', '$HOME', ';']],
  ['échо ünïcode 你好', ['échо', 'ünïcode', '你好']],
])('splits %j as a shell does', (line, words) => {
  expect(splitWords(line)).toEqual(words);
});

test.each([
  'df; rm -rf /',
  'df;rm x',
  'df | sh',
  'df|sh',
  'df && rm x',
  'df || rm x',
  'df & rm x',
  'df > /etc/passwd',
  'df >> x',
  'cat < /etc/shadow',
  'cat <<EOF',
  'cat <(id)',
  'echo $(id)',
  'echo `id`',
  'echo "$(id)"',
  'echo "`id`"',
  'echo "a $HOME"',
  'echo $HOME',
  'echo $\u007bHOME}',
  "echo $'\\x41'",
  'echo $((1+1))',
  '(id)',
  '{ id; }',
  'ls *',
  'ls ?',
  'ls [a-z]',
  'ls {a,b}',
  'cat ~/.ssh/id_ed25519',
  'cat ~root',
  'tar --file=~root/x',
  'df\nrm x',
  'df\r\nrm x',
  'df \\\nrm',
  'echo "a\\\nb"',
  'PATH=/tmp df',
  'LD_PRELOAD=/tmp/x.so df',
  'df # comment',
  '# nothing',
])('%j needs a shell and is denied', (line) => {
  expect(codeOf(line)).toBe('denied');
});

test.each(['', '   ', "echo 'open", 'echo "open', 'echo \\', 'echo "a\\', 'echo \0'])('%j is invalid', (line) => {
  expect(codeOf(line)).toBe('invalid');
});

test('the refusal says what the character is and what grants it', () => {
  expect(() => splitWords('df | sort')).toThrow(/"\|" is a pipe.*tools\.shell\.allowShell/);
});

test('any words survive being quoted and split', () => {
  const word = fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0'));
  fc.assert(
    fc.property(fc.array(word, { minLength: 1 }), (words) => {
      const line = words.map((text) => `'${text.replaceAll("'", `'\\''`)}'`).join(' ');
      expect(splitWords(line)).toEqual(words);
    }),
  );
});

test('a line it accepts is split by /bin/sh into the same words, and does nothing else', () => {
  const folder = mkdtempSync(join(tmpdir(), 'skein-split-'));
  const unit = fc.constantFrom(...'ab \t\n\'"\\$`;|&<>()#~*?=[]{}!%-+.,/0:@^');
  let accepted = 0;
  try {
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 14 }), (text) => {
        let words: string[];
        try {
          words = splitWords(`word ${text}`);
        } catch {
          return;
        }
        accepted += 1;
        const output = execFileSync('/bin/sh', ['-c', `printf '%s\\0' word ${text}`], {
          cwd: folder,
          env: { HOME: '/home/x' },
        });
        expect(output.toString().split('\0').slice(0, -1)).toEqual(words);
      }),
      { numRuns: 1_500 },
    );
    expect(accepted).toBeGreaterThan(100);
    expect(readdirSync(folder)).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
