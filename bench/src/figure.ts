/** How much a figure does: what a quick run leaves out is width, never a kind of measurement. */
export interface Pace {
  /** Times that a run of the same kind is repeated, for a median. */
  readonly repeats: number;
  readonly taskSeconds: number;
  readonly facts: number;
  /** Leaders killed in each mode. */
  readonly kills: number;
  /** Leaders held still in each mode, all at once. */
  readonly freezes: number;
  /** How long a network that has met is left alone before it is looked at, and for how long it is looked at. */
  readonly settleMs: number;
  readonly idleMs: number;
  /** Nodes of the largest of these networks. */
  readonly mostNodes: number;
}

export const FULL_PACE: Pace = {
  repeats: 3,
  taskSeconds: 5,
  facts: 200,
  kills: 20,
  freezes: 3,
  // A minute after peers have joined, that is in what their nodes keep for each other.
  settleMs: 75_000,
  // Six times the silence after which a peer is asked whether it is there.
  idleMs: 72_000,
  mostNodes: 32,
};

export const QUICK_PACE: Pace = {
  repeats: 1,
  taskSeconds: 1,
  facts: 20,
  kills: 1,
  freezes: 1,
  settleMs: 6_000,
  idleMs: 12_000,
  mostNodes: 8,
};

/** One number. */
export interface Measured {
  readonly title: string;
  readonly unit: string;
  /** Null where it is only shown. */
  readonly goal: number | null;
  readonly bound: 'at most' | 'at least';
  /** Null when it cannot be measured here. */
  readonly value: number | null;
}

/** Something that is measured in one go, and the numbers it gives. */
export interface Figure {
  readonly title: string;
  measure(pace: Pace): Promise<readonly Measured[]>;
}

/** A number that should be small. */
export function atMost(title: string, unit: string, goal: number | null, value: number | null): Measured {
  return { title, unit, goal, bound: 'at most', value };
}

/** A number that should be large. */
export function atLeast(title: string, unit: string, goal: number | null, value: number | null): Measured {
  return { title, unit, goal, bound: 'at least', value };
}
