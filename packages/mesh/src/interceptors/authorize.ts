import { type Grant, type PeerId, SkeinError } from '@skein/protocol';
import type { Interceptor } from '../router.ts';
import type { Decision } from '../trust/grants.ts';

/** Refuses a request whose caller was not granted what its method needs. Asked anew at each request, so trust may change. */
export function authorize(parts: {
  readonly decide: (peer: PeerId, grant: Grant) => Decision;
  readonly onRefused: (peer: { readonly id: PeerId; readonly name: string }, method: string, reason: string) => void;
}): Interceptor {
  return (next, method) => (params, context) => {
    const decision = parts.decide(context.peer.id, method.grant);
    if (decision.allowed) return next(params, context);
    parts.onRefused(context.peer, method.name, decision.reason);
    throw new SkeinError(`${method.name} is not granted to you: ${decision.reason}`, { code: 'denied' });
  };
}
