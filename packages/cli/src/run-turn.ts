import { randomUUID } from 'node:crypto';
import type { GatewayClient, TurnEvent } from '@skein/host';
import { SkeinError } from '@skein/protocol';
import type { Shell } from './shell.ts';

type ConfirmRequest = Extract<TurnEvent, { type: 'confirm-request' }>;

export interface TurnParts {
  readonly client: GatewayClient;
  readonly text: string;
  readonly sessionId: string | undefined;
  /** Says yes or no to a tool call; undefined where nobody can be asked, and such calls are refused. */
  readonly confirm: ((request: ConfirmRequest) => Promise<boolean>) | undefined;
  /** Told every event but `error`. */
  readonly onEvent: (event: TurnEvent) => void;
  /** Asked when the signal fires: whether the work is to end as well. Default: it is. */
  readonly endsWork?: () => boolean;
  /** Told the id of work that goes on although nobody reads any more. */
  readonly onLeft?: (id: string) => void;
}

/** One turn. @throws SkeinError what the turn ended with, when that was not an answer. */
export async function runTurn(parts: TurnParts, { signal }: { readonly signal: AbortSignal }): Promise<void> {
  const { client, endsWork = () => true, onLeft } = parts;
  const id = randomUUID();
  let failure: SkeinError | undefined;
  let isAccepted = false;
  try {
    for await (const event of client.ask(requestOf(parts, id), { signal })) {
      if (event.type === 'error') {
        failure = new SkeinError(event.message, { code: event.code });
        break;
      }
      isAccepted = true;
      parts.onEvent(event);
      if (event.type === 'confirm-request' && parts.confirm !== undefined) await answer(client, event, parts.confirm);
    }
  } catch (thrown) {
    if (signal.aborted && endsWork()) await cancel(client, id);
    else if (isAccepted) onLeft?.(id);
    throw thrown;
  }
  if (failure !== undefined) throw failure;
}

/** For `onLeft`. */
export function tellLeft(shell: Shell, id: string): void {
  shell.note(`What was asked goes on: skein tasks show ${id.slice(0, 8)}`);
}

/** A conversation that was to go on and is not there begins: whoever mistyped its id is told. */
export async function tellIfNew(shell: Shell, client: GatewayClient, session: string): Promise<void> {
  const before = await client.history(session, { signal: shell.signal });
  if (before.length === 0) shell.note(`There is no conversation "${session}" yet: a new one begins under this id`);
}

function requestOf({ text, sessionId, confirm }: TurnParts, id: string) {
  return { id, text, interactive: confirm !== undefined, ...(sessionId === undefined ? {} : { sessionId }) };
}

async function cancel(client: GatewayClient, id: string): Promise<void> {
  try {
    await client.cancelTask(id);
  } catch (thrown) {
    const error = SkeinError.from(thrown);
    // It was not accepted yet, and now is not.
    if (error.code === 'not-found') return;
    const { code, message } = error;
    throw new SkeinError(`The work may still go on: skein tasks cancel ${id.slice(0, 8)} ends it. ${message}`, { code });
  }
}

async function answer(
  client: GatewayClient,
  request: ConfirmRequest,
  confirm: (request: ConfirmRequest) => Promise<boolean>,
): Promise<void> {
  const approve = await confirm(request);
  try {
    await client.confirm(request.id, approve);
  } catch (error) {
    // It took the person too long; the turn goes on without, and says so.
    if (!(error instanceof SkeinError && error.code === 'not-found')) throw error;
  }
}
