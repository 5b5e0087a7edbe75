/** One thing that was looked at. */
export interface Check {
  readonly name: string;
  readonly state: 'ok' | 'warn' | 'fail';
  readonly text: string;
  /** What to do about it; null when there is nothing to do. */
  readonly fix: string | null;
}

/** What was found, before it has a name. */
export type Finding = Omit<Check, 'name'>;

/** Nothing is wrong. */
export function ok(text: string, fix: string | null = null): Finding {
  return { state: 'ok', text, fix };
}
