import { type ChildProcess, spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { markPrefix } from './command-marks.ts';
import { SYSTEM_PATH } from './find-program.ts';

/** A keeper without a command ends after this long. */
const IDLE_MS = 10_000;
/**
 * Reads which process groups began and ended. Its input ends when the node does, however that is: then it ends the groups
 * that are left, and where there is /proc also what carries the marks of that node ($1) and has left its group.
 */
const SCRIPT = `
groups=
while read -r word group; do
  case $word in
    began) groups="$groups $group" ;;
    ended)
      left=
      for one in $groups; do [ "$one" = "$group" ] || left="$left $one"; done
      groups=$left ;;
  esac
done
[ -n "$groups" ] || exit 0
end() {
  for group in $groups; do kill -s "$1" -- "-$group"; done
  for file in $(grep -lzs "^$2" /proc/[0-9]*/environ); do
    file=\${file#/proc/}
    kill -s "$1" "\${file%/environ}"
  done
}
end TERM "$1"
sleep 1
end KILL "$1"
`;

/**
 * Sees to it that commands end with this process even when it is killed: a small shell beside it, one for all commands,
 * started with the first. Where there is no /bin/sh nothing is kept.
 */
export class CommandKeeper {
  readonly #groups = new Set<number>();
  #shell: ChildProcess | undefined;
  #idle: NodeJS.Timeout | undefined;

  /** Keeps the process group that a marked command leads, until what is returned is disposed of. */
  keep(group: number, mark: string): Disposable {
    clearTimeout(this.#idle);
    this.#shell ??= this.#start(markPrefix(mark));
    this.#groups.add(group);
    this.#tell(`began ${group}\n`);
    return {
      [Symbol.dispose]: () => {
        this.#groups.delete(group);
        this.#tell(`ended ${group}\n`);
        if (this.#groups.size === 0) this.#idle = setTimeout(() => this.#release(), IDLE_MS).unref();
      },
    };
  }

  #start(prefix: string): ChildProcess | undefined {
    // In a session of its own, so that what a terminal sends this process does not reach it.
    const shell = spawn('/bin/sh', ['-c', SCRIPT, 'sh', prefix], {
      cwd: '/',
      env: { PATH: SYSTEM_PATH.join(':') },
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    const forget = () => {
      if (this.#shell === shell) this.#shell = undefined;
    };
    // Nothing is lost with it but this net; the next command starts another, which is told of all.
    shell.on('error', forget).on('exit', forget);
    // Without a pipe left to be had it was not started, and has none.
    if (shell.pid === undefined) return undefined;
    shell.stdin.on('error', forget);
    shell.unref();
    if (shell.stdin instanceof Socket) shell.stdin.unref();
    for (const group of this.#groups) shell.stdin.write(`began ${group}\n`);
    return shell;
  }

  #tell(line: string): void {
    this.#shell?.stdin?.write(line);
  }

  #release(): void {
    this.#shell?.stdin?.end();
    this.#shell = undefined;
  }
}
