import type { Contender } from './contender.ts';
import { bareEcho } from './contenders/bare-echo.ts';
import { moleculer } from './contenders/moleculer.ts';
import { nats } from './contenders/nats.ts';
import { signedEcho } from './contenders/signed-echo.ts';
import { skein } from './contenders/skein.ts';
import { voleNet, voleNetPlain } from './contenders/volenet.ts';

/** What others are measured against. It always runs, and first. */
export const BASELINE = bareEcho;

/** Everything that can be measured, in the order of the table. */
export const CONTENDERS: readonly Contender[] = [BASELINE, skein, signedEcho, voleNet, voleNetPlain, moleculer, nats];

/** @throws Error naming those there are. */
export function findContender(name: string): Contender {
  const found = CONTENDERS.find((contender) => contender.name === name);
  if (found !== undefined) return found;
  throw new Error(`There is no contender "${name}"; there are ${CONTENDERS.map((contender) => contender.name).join(', ')}`);
}
