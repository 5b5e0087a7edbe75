/** Which arguments keep a command from changing or disclosing anything. What is not listed is refused. */
export interface CommandRule {
  /** Letters of short options without a value. */
  readonly flags?: string;
  /** Letters of short options with a value, attached or in the next word. */
  readonly valued?: string;
  /** Long options by their full name; a value comes after `=`. */
  readonly long?: readonly string[];
  /**
   * What the other words are. `files`: paths inside the root. `paths`: any paths, which only name a file system.
   * `words`: what `operand` matches, any text without it.
   */
  readonly operands?: 'files' | 'paths' | 'words';
  readonly operand?: RegExp;
  /** Other arguments in place of the given ones, or undefined to refuse them; the rest of the rule does not apply. */
  readonly rewrite?: (args: readonly string[]) => string[] | undefined;
}

/** Values of options: words that cannot be a path to another folder. */
export const OPTION_VALUE = /^[\w.,:%+=-]{0,100}$/;

const PS_COLUMNS = new Set(
  (
    'pid,ppid,pgid,sid,user,uid,group,gid,ruser,pcpu,%cpu,pmem,%mem,rss,vsz,sz,comm,ucmd,args,cmd,command,etime,etimes,time,' +
    'cputime,tty,tname,tt,stat,state,s,nice,ni,pri,psr,nlwp,thcount,start,start_time,stime,lstart,wchan'
  ).split(','),
);

/**
 * `ps` in the forms in use. Its `e` modifier shows other processes' environments, and ps falls back from the dashed
 * meaning of letters (where `-e` is "all") to that one when it does not understand the rest; so `-e` is passed on as
 * its synonym `-A`, which has no other meaning, and `-aux` as `aux`.
 */
function rewritePs(args: readonly string[]): string[] | undefined {
  const rewritten: string[] = [];
  for (let at = 0; at < args.length; at += 1) {
    const arg = args[at] ?? '';
    const next = args[at + 1] ?? '';
    if (at === 0 && /^[auxwfjlh]+$/.test(arg)) rewritten.push(arg);
    else if (/^-aux?w*$/.test(arg) && args.length === 1) rewritten.push(arg.slice(1));
    else if (/^-[eAFflyHwj]+$/.test(arg)) rewritten.push(arg.replaceAll('e', 'A'));
    else if (/^(-[eA]?o|[auxwfjlh]*o)$/.test(arg) && next.split(',').every((column) => PS_COLUMNS.has(column))) {
      rewritten.push(arg.replaceAll('e', 'A'), next);
      at += 1;
    } else if (/^-?p$/.test(arg) && /^\d{1,7}(,\d{1,7})*$/.test(next)) {
      rewritten.push('-p', next);
      at += 1;
    } else if (/^--sort=/.test(arg) && isSortList(arg.slice(7))) rewritten.push(arg);
    else if (arg === '--sort' && isSortList(next)) {
      rewritten.push(arg, next);
      at += 1;
    } else if (arg === '--no-headers' || arg === '--forest') rewritten.push(arg);
    else return undefined;
  }
  return rewritten;
}

function isSortList(list: string): boolean {
  return list.split(',').every((column) => PS_COLUMNS.has(column.replace(/^[-+]/, '')));
}

const NUMBER = /^\d{1,6}$/;
const SIZES = 'human-readable si';

/**
 * Commands that only read, whatever their permitted arguments. Left out on purpose: those that run others (env, find,
 * xargs, time), that set what they show (date -s, hostname NAME, sysctl), that write (sort -o, tee), that read files
 * named in files (wc --files0-from, sha256sum -c) and that wait or ask (top, tail -f).
 */
export const READ_ONLY_COMMANDS: ReadonlyMap<string, CommandRule> = new Map(
  Object.entries({
    df: {
      flags: 'ahHiklmPT',
      valued: 'Btx',
      long: list(`all inodes local portability print-type total output type exclude-type block-size ${SIZES}`),
      operands: 'paths',
    },
    free: { flags: 'bkmghtlwv', long: list('bytes kilo mega giga tera human si total wide lohi') },
    uptime: { flags: 'ps', long: list('pretty since') },
    uname: { flags: 'asnrvmpio', long: list('all kernel-name nodename kernel-release machine operating-system') },
    nproc: { long: list('all ignore') },
    arch: {},
    hostname: { flags: 'fsdiI', long: list('fqdn short domain ip-address all-ip-addresses') },
    whoami: {},
    id: { flags: 'gGnruz', operands: 'words', operand: /^[\w.-]{1,64}$/ },
    groups: {},
    who: { flags: 'abdHlmqrstTu' },
    w: { flags: 'hsfi' },
    date: {
      flags: 'uRI',
      long: list('utc universal iso-8601 rfc-3339 rfc-email'),
      operands: 'words',
      operand: /^\+/,
    },
    pwd: { flags: 'LP' },
    echo: { rewrite: (args) => [...args] },
    ps: { rewrite: rewritePs },
    vmstat: { flags: 'asdwf', operands: 'words', operand: NUMBER },
    lscpu: { flags: 'aJ' },
    lsblk: { flags: 'abdfilmnpPrstJ' },
    lsmem: { flags: 'abnPrJ' },
    ss: { flags: 'tulnaxspe46H', long: list('tcp udp listening numeric all unix summary processes ipv4 ipv6 no-header') },
    vm_stat: {},
    sw_vers: {},
    ls: {
      flags: 'aAbBcCdfFgGhiklmnNopqQrsStuUvxXZ1',
      valued: 'ITw',
      long: list(
        'all almost-all directory full-time group-directories-first inode reverse size sort time time-style color classify ' +
          SIZES,
      ),
      operands: 'files',
    },
    du: {
      flags: 'bchkmsxS',
      valued: 'dBt',
      long: list(`summarize total max-depth apparent-size bytes one-file-system block-size threshold ${SIZES}`),
      operands: 'files',
    },
    stat: { flags: 'ft', valued: 'c', long: list('file-system terse'), operands: 'files' },
    cat: { flags: 'AbeEnstTuv', long: list('number number-nonblank show-all show-ends show-tabs'), operands: 'files' },
    head: { flags: 'qv0123456789', valued: 'nc', long: list('lines bytes quiet verbose'), operands: 'files' },
    tail: { flags: 'qv0123456789', valued: 'nc', long: list('lines bytes quiet verbose'), operands: 'files' },
    wc: { flags: 'clmwL', long: list('bytes chars lines words max-line-length'), operands: 'files' },
  } satisfies Record<string, CommandRule>),
);

function list(names: string): string[] {
  return names.split(' ');
}
