import type { Payload } from './payload.ts';

/** Plain facts one part of a contender tells the next: addresses, keys, ports. */
export type Facts = Readonly<Record<string, string>>;

/** Something started, and how to stop it. */
export interface Running extends AsyncDisposable {
  /** Told to whatever starts after it. */
  readonly facts: Facts;
}

/** The calling side; it waits in a process of its own. */
export interface Caller extends AsyncDisposable {
  call(argument: Payload): Promise<Payload>;
}

/** One way to call something in another process and get the argument back. */
export interface Contender {
  /** As given to `--only`. */
  readonly name: string;
  readonly title: string;
  /** Why it cannot run here, or null. */
  missing(): string | null;
  /** In the main process, before both sides: what they share. */
  prepare?(): Promise<Running>;
  /** In the server's process. */
  serve(facts: Facts): Promise<Running>;
  /** In the caller's process; resolves when calls can be made. */
  connect(facts: Facts): Promise<Caller>;
}

/** A fact that must be there. */
export function fact(facts: Facts, name: string): string {
  const value = facts[name];
  if (value === undefined) throw new Error(`The other side did not tell its ${name}`);
  return value;
}
