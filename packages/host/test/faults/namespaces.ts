import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** Where the `ip` program is; undefined where there is none. */
export function findIp(): string | undefined {
  return ['/usr/sbin/ip', '/sbin/ip', '/usr/bin/ip', '/bin/ip'].find((path) => existsSync(path));
}

/** True when this process may make network namespaces. */
export function canMakeNamespaces(): boolean {
  const ip = findIp();
  if (ip === undefined || process.getuid?.() !== 0) return false;
  const name = `skprobe${process.pid}`;
  if (spawnSync(ip, ['netns', 'add', name]).status !== 0) return false;
  return spawnSync(ip, ['netns', 'del', name]).status === 0;
}

/** One end of a cable between two network namespaces. */
export interface CableEnd {
  readonly namespace: string;
  readonly address: string;
}

/** A link-layer address nobody has: what is sent there is lost without a word, as on a cable that was cut. */
const NOWHERE = '02:00:00:00:00:99';
const DEVICE = 'sk0';

/** Two network namespaces of our own and a cable between them, cut and mended one way or both. Removed when disposed of. */
export class Cable implements Disposable {
  readonly a: CableEnd;
  readonly b: CableEnd;
  readonly #ip: string;

  /** `number` from 0 to 63 tells the cables of one process apart. */
  constructor(number: number) {
    const ip = findIp();
    if (ip === undefined) throw new Error('there is no ip program');
    this.#ip = ip;
    const name = `sk${process.pid}-${number}`;
    // Nothing outside the two namespaces sees these addresses.
    this.a = { namespace: `${name}a`, address: `10.203.${number}.1` };
    this.b = { namespace: `${name}b`, address: `10.203.${number}.2` };
    for (const { namespace } of [this.a, this.b]) this.#run('netns', 'add', namespace);
    this.#run(
      'link',
      'add',
      DEVICE,
      'netns',
      this.a.namespace,
      'type',
      'veth',
      'peer',
      'name',
      DEVICE,
      'netns',
      this.b.namespace,
    );
    for (const { namespace, address } of [this.a, this.b]) {
      this.#run('-n', namespace, 'addr', 'add', `${address}/30`, 'dev', DEVICE);
      for (const device of [DEVICE, 'lo']) this.#run('-n', namespace, 'link', 'set', device, 'up');
    }
  }

  /** Loses what this end sends from now on. */
  cutFrom(end: CableEnd): void {
    this.#run(
      '-n',
      end.namespace,
      'neigh',
      'replace',
      this.#other(end).address,
      'lladdr',
      NOWHERE,
      'dev',
      DEVICE,
      'nud',
      'permanent',
    );
  }

  mendFrom(end: CableEnd): void {
    this.#run('-n', end.namespace, 'neigh', 'del', this.#other(end).address, 'dev', DEVICE);
  }

  [Symbol.dispose](): void {
    for (const { namespace } of [this.a, this.b]) this.#run('netns', 'del', namespace);
  }

  #other(end: CableEnd): CableEnd {
    return end === this.a ? this.b : this.a;
  }

  #run(...args: readonly string[]): void {
    execFileSync(this.#ip, args);
  }
}

/** Network namespaces of our own around one switch; what any sends to any other can be lost. Removed when disposed of. */
export class Switch implements Disposable {
  readonly ends: readonly CableEnd[];
  readonly #ip: string;
  readonly #middle: string;

  constructor(count: number) {
    const ip = findIp();
    if (ip === undefined) throw new Error('there is no ip program');
    this.#ip = ip;
    const name = `sw${process.pid}`;
    this.#middle = `${name}m`;
    this.ends = Array.from({ length: count }, (_, at) => ({ namespace: `${name}-${at}`, address: `10.204.0.${at + 1}` }));
    for (const namespace of [this.#middle, ...this.ends.map((end) => end.namespace)]) this.#run('netns', 'add', namespace);
    this.#run('-n', this.#middle, 'link', 'add', 'bridge', 'type', 'bridge');
    this.#run('-n', this.#middle, 'link', 'set', 'bridge', 'up');
    for (const [at, { namespace, address }] of this.ends.entries()) {
      const port = `port${at}`;
      this.#run('link', 'add', port, 'netns', this.#middle, 'type', 'veth', 'peer', 'name', DEVICE, 'netns', namespace);
      this.#run('-n', this.#middle, 'link', 'set', port, 'master', 'bridge', 'up');
      this.#run('-n', namespace, 'addr', 'add', `${address}/24`, 'dev', DEVICE);
      for (const device of [DEVICE, 'lo']) this.#run('-n', namespace, 'link', 'set', device, 'up');
    }
  }

  /** Loses what each of these sends to each of those from now on. */
  cut(from: readonly CableEnd[], to: readonly CableEnd[]): void {
    for (const { namespace } of from) {
      for (const { address } of to)
        this.#run('-n', namespace, 'neigh', 'replace', address, 'lladdr', NOWHERE, 'dev', DEVICE, 'nud', 'permanent');
    }
  }

  mend(from: readonly CableEnd[], to: readonly CableEnd[]): void {
    for (const { namespace } of from) {
      for (const { address } of to) this.#run('-n', namespace, 'neigh', 'del', address, 'dev', DEVICE);
    }
  }

  [Symbol.dispose](): void {
    for (const { namespace } of this.ends) this.#run('netns', 'del', namespace);
    this.#run('netns', 'del', this.#middle);
  }

  #run(...args: readonly string[]): void {
    execFileSync(this.#ip, args);
  }
}
