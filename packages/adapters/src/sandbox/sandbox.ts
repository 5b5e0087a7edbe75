import type { Readable, Writable } from 'node:stream';
import type { ResolveHost } from '../tools/address-policy.ts';

/**
 * What holds foreign code. `namespaces`: bubblewrap on Linux, where the kernel shows it nothing that was not granted.
 * `permissions`: for JavaScript where that is missing, Node's own permission model and a guard in the same process, which
 * keep out code that is careless or curious and are no wall against code that breaks the engine itself.
 */
export type Isolation = 'namespaces' | 'permissions';

/** What a program may reach. It gets nothing else: no files, no network, no processes of others. */
export interface SandboxGrants {
  /** Absolute files and folders it may read. Each must exist. */
  readonly read?: readonly string[];
  /** Absolute files and folders it may also write. Each must exist. */
  readonly write?: readonly string[];
  /**
   * True: the network of this machine, loopback too. A list: hosts as in `parseHostGrant` and no others, by a proxy that
   * its environment names, in a network of its own; refused under `permissions`, which could not hold it to that.
   */
  readonly network?: boolean | readonly string[];
  /** Whether it may start processes, which are held as it is; refused under `permissions`, which could not hold them. */
  readonly childProcess?: boolean;
}

export interface SandboxLimits {
  /** Of all its processes together; a program that holds more is ended, within about a quarter of a second. */
  readonly memoryBytes: number;
  /** Processes and, for most users, threads; with more it is ended, or refused the next. */
  readonly maxProcesses: number;
  /** Of both outputs together, as a rate and as the most at once; a program that writes faster is ended. */
  readonly outputBytesPerSecond: number;
}

export const SANDBOX_LIMITS: SandboxLimits = {
  memoryBytes: 536_870_912,
  maxProcesses: 64,
  outputBytesPerSecond: 8_388_608,
};

export interface SandboxOptions {
  /** What to call it in messages. */
  readonly name: string;
  /** Absolute path of the program; `process.execPath` for JavaScript, with the file that it runs granted and among `args`. */
  readonly file: string;
  readonly args: readonly string[];
  /** Absolute, and inside what is granted; the private `/tmp` (under `permissions`, the root folder) when absent. */
  readonly cwd?: string;
  /** The whole environment but PATH, HOME, LANG and TZ, which it may also replace. Nothing of this process's goes along. */
  readonly env?: Readonly<Record<string, string>>;
  readonly grants?: SandboxGrants;
  /** Files and folders no grant opens, but one for something inside them: the node's keys, data and configuration. */
  readonly hidden?: readonly string[];
  readonly limits?: Partial<SandboxLimits>;
  readonly egress?: EgressOptions;
  /** Exactly this isolation; the strongest this machine has when absent. */
  readonly isolation?: Isolation;
}

/** For a program with a list of hosts. */
export interface EgressOptions {
  /** Where people grant it hosts, for messages; `allow.network` when absent. */
  readonly listedIn?: string;
  /** Told of each host and port that it was refused, once, in words that begin with those. */
  readonly onRefused?: (message: string) => void;
  /** Where names come from; the system's resolver by default. */
  readonly resolveHost?: ResolveHost;
}

/** What a program with a list of hosts was refused of the network until now: how often, and the last in words. */
export interface Refusals {
  readonly count: number;
  readonly last: string | undefined;
}

/** Why it ended: by itself, by `kill`, or because it went over a limit. */
export type SandboxEndReason = 'ended' | 'killed' | 'memory' | 'processes' | 'flood';

export interface SandboxEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly reason: SandboxEndReason;
}

/** A running program and the pipes to it. */
export interface Sandboxed {
  readonly isolation: Isolation;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves when it and all it started have ended; what it wrote may then still be read. Never rejects. */
  readonly closed: Promise<SandboxEnd>;
  readonly refusals: Refusals;
  /** Ends it, with all it started, at once. */
  kill(): void;
}
