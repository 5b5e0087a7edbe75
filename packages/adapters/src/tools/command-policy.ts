import { nearestNames, SkeinError } from '@skein/protocol';
import type { Jail } from './jail.ts';
import { type CommandRule, OPTION_VALUE, READ_ONLY_COMMANDS } from './read-only-commands.ts';

/** One entry of the allow-list, parsed. */
type Grant =
  /** Any command. */
  | { readonly type: 'any' }
  /** A command known to only read, with arguments its rule permits. */
  | { readonly type: 'read-only'; readonly name: string; readonly rule: CommandRule }
  /** A command whose arguments begin with these. */
  | { readonly type: 'prefix'; readonly name: string; readonly args: readonly string[] };

/** What a command may be, decided from the allow-list. */
export interface CommandPolicy {
  /** True when every allowed command only reads. */
  readonly readsOnly: boolean;
  readonly names: readonly string[];
  /**
   * The arguments to run the command with.
   * @throws SkeinError `denied` when the command, its arguments or a path among them is not allowed.
   */
  check(argv: readonly string[], place: { readonly jail: Jail; readonly cwd: string }): Promise<readonly string[]>;
}

/**
 * The policy of an allow-list. An entry is `df` (a command of the read-only table keeps that table's bounds on its
 * arguments; any other may have any), `git status` (arguments must begin so), `find *` (any arguments, also where the
 * table knows the command) or `*` (any command).
 * @throws SkeinError `invalid` for an entry that is none of these.
 */
export function createCommandPolicy(allow: readonly string[]): CommandPolicy {
  const grants = allow.map(parseGrant);
  const names = [...new Set(grants.flatMap((grant) => (grant.type === 'any' ? [] : [grant.name])))];
  return {
    readsOnly: grants.every(({ type }) => type === 'read-only'),
    names,
    async check(argv, place) {
      const [name = '', ...args] = argv;
      const matching = grants.filter((grant) => grant.type === 'any' || grant.name === name);
      if (matching.length === 0) throw notAllowed(name, names);
      if (matching.some((grant) => grant.type === 'any' || (grant.type === 'prefix' && startsWith(args, grant.args)))) {
        await assertNoHiddenPath(args, place);
        return args;
      }
      for (const grant of matching) {
        if (grant.type === 'read-only') return applyRule(grant.name, grant.rule, args, place);
      }
      throw new SkeinError(
        `${name} is allowed here only as: ${allow.filter((entry) => entry.split(/\s+/)[0] === name).join(', ')}`,
        {
          code: 'denied',
        },
      );
    },
  };
}

function parseGrant(entry: string): Grant {
  const words = entry.trim().split(/\s+/);
  const [name = '', ...args] = words;
  if (name === '*' && args.length === 0) return { type: 'any' };
  const isName = /^[\w.+-]+$/.test(name) || (name.startsWith('/') && !name.includes('/../'));
  if (!isName || args.slice(0, -1).includes('*')) {
    throw new SkeinError(
      `${JSON.stringify(entry)} is no entry of a command allow-list; write a command (df), a command and how its arguments begin (git status), a command and * for any arguments, or * alone`,
      { code: 'invalid' },
    );
  }
  if (args.at(-1) === '*') return { type: 'prefix', name, args: args.slice(0, -1) };
  const rule = READ_ONLY_COMMANDS.get(name);
  return args.length === 0 && rule !== undefined ? { type: 'read-only', name, rule } : { type: 'prefix', name, args };
}

function startsWith(args: readonly string[], prefix: readonly string[]): boolean {
  return prefix.every((word, index) => args[index] === word);
}

async function applyRule(
  name: string,
  rule: CommandRule,
  args: readonly string[],
  { jail, cwd }: { jail: Jail; cwd: string },
): Promise<readonly string[]> {
  if (rule.rewrite !== undefined) {
    const rewritten = rule.rewrite(args);
    if (rewritten === undefined) throw refusedArgument(name, args.join(' '));
    return rewritten;
  }
  for (const operand of checkOptions(name, rule, args)) {
    if (rule.operands === 'files') await jail.locate(operand, cwd);
    else if (rule.operands === 'paths') await jail.assertNotHidden(operand, cwd);
    else if (rule.operands === undefined || !(rule.operand?.test(operand) ?? true)) throw refusedArgument(name, operand);
  }
  return args;
}

/** Checks the options and returns the operands, reading words as getopt does. */
function checkOptions(name: string, rule: CommandRule, args: readonly string[]): string[] {
  const operands: string[] = [];
  for (let at = 0; at < args.length; at += 1) {
    const arg = args[at] ?? '';
    if (arg === '--') return [...operands, ...args.slice(at + 1)];
    if (!arg.startsWith('-')) operands.push(arg);
    else if (arg.startsWith('--')) {
      const [option = '', value = ''] = splitOnce(arg.slice(2), '=');
      if (!(rule.long ?? []).includes(option) || !OPTION_VALUE.test(value)) throw refusedArgument(name, arg);
    } else if (arg === '-' || !isShortCluster(rule, arg, args[at + 1])) throw refusedArgument(name, arg);
    else if (takesNextWord(rule, arg)) at += 1;
  }
  return operands;
}

function isShortCluster(rule: CommandRule, arg: string, next: string | undefined): boolean {
  for (let at = 1; at < arg.length; at += 1) {
    const letter = arg.charAt(at);
    if (rule.valued?.includes(letter)) {
      const value = at + 1 < arg.length ? arg.slice(at + 1) : next;
      return value !== undefined && OPTION_VALUE.test(value);
    }
    if (!rule.flags?.includes(letter)) return false;
  }
  return true;
}

function takesNextWord(rule: CommandRule, arg: string): boolean {
  return rule.valued?.includes(arg.charAt(arg.length - 1)) === true && !valuedBefore(rule, arg);
}

function valuedBefore(rule: CommandRule, arg: string): boolean {
  return [...arg.slice(1, -1)].some((letter) => rule.valued?.includes(letter));
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

/**
 * Refuses arguments that name a hidden path, alone or inside (`--file=/x`, `-C/x`, `@/x`). It is a fence for mistakes
 * and curiosity: a command that opens files of its own accord can still read what this node's user can.
 */
async function assertNoHiddenPath(args: readonly string[], { jail, cwd }: { jail: Jail; cwd: string }): Promise<void> {
  for (const arg of args) {
    const starts = new Set([0]);
    for (let at = 0; at < arg.length && starts.size < 64; at += 1) {
      if ('=:@, \t\n\'"<>|;'.includes(arg.charAt(at))) starts.add(at + 1);
      if (arg.charAt(at) === '/' && !/[\w.]/.test(arg.charAt(at - 1))) starts.add(at);
      if (at === 0 && /^-[A-Za-z]./.test(arg)) starts.add(2);
    }
    for (const start of starts) {
      const candidate = arg.slice(start);
      if (candidate !== '' && candidate.length <= 4_096) await jail.assertNotHidden(candidate, cwd);
    }
  }
}

function notAllowed(name: string, names: readonly string[]): SkeinError {
  const [guess] = nearestNames(name, names);
  const hint = guess === undefined ? '' : `; the nearest that is allowed: ${guess}`;
  const all = names.length === 0 ? 'No command is allowed' : `Allowed: ${names.join(', ')}`;
  return new SkeinError(`The command ${JSON.stringify(name)} is not allowed here${hint}. ${all}`, { code: 'denied' });
}

function refusedArgument(name: string, arg: string): SkeinError {
  return new SkeinError(
    `${name} does not run here with ${JSON.stringify(arg)}: only arguments known to read nothing but what is meant are allowed; the node's owner lifts that with "${name} *" in tools.shell.allow`,
    { code: 'denied' },
  );
}
