import { type Json, type PublicError, SkeinError } from '@skein/protocol';
import type { GatewayBackend } from './backend.ts';

/** What a direct tool call tells, in order; `result` or `error` is the last. */
export type CallEvent =
  | { readonly type: 'tool-output'; readonly delta: string }
  /** The reader was too slow, and so much of the oldest partial output was left out here. */
  | { readonly type: 'tool-output-skipped'; readonly characters: number }
  | { readonly type: 'result'; readonly output: Json }
  | ({ readonly type: 'error' } & PublicError);

export interface CallParts {
  readonly backend: Pick<GatewayBackend, 'callTool'>;
  readonly request: { readonly name: string; readonly input: unknown };
  readonly signal: AbortSignal;
  /** Characters of partial output held for a slow reader. */
  readonly maxPending: number;
}

/** Runs a tool and tells its partial output as it comes. @throws what the tool raises. */
export async function* callEvents(parts: CallParts): AsyncGenerator<CallEvent> {
  const pending: string[] = [];
  let held = 0;
  let skipped = 0;
  let wake: (() => void) | undefined;
  const onDelta = (delta: string) => {
    pending.push(delta);
    held += delta.length;
    while (held > parts.maxPending) {
      const oldest = pending.shift() ?? '';
      held -= oldest.length;
      skipped += oldest.length;
    }
    wake?.();
  };

  let outcome: { readonly output: Json } | { readonly thrown: unknown } | undefined;
  const finish = (result: typeof outcome) => {
    outcome = result;
    wake?.();
  };
  parts.backend.callTool(parts.request, { signal: parts.signal, onDelta }).then(
    (output) => finish({ output }),
    (thrown: unknown) => finish({ thrown }),
  );

  for (;;) {
    if (skipped > 0) {
      const characters = skipped;
      skipped = 0;
      yield { type: 'tool-output-skipped', characters };
      continue;
    }
    const delta = pending.shift();
    if (delta !== undefined) {
      held -= delta.length;
      yield { type: 'tool-output', delta };
      continue;
    }
    if (outcome !== undefined) break;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
    wake = undefined;
  }
  if ('thrown' in outcome) throw SkeinError.from(outcome.thrown);
  yield { type: 'result', output: outcome.output };
}
