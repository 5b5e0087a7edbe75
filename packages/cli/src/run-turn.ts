import type { AgentEvent, GatewayClient } from '@skein/host';
import { SkeinError } from '@skein/protocol';

type ConfirmRequest = Extract<AgentEvent, { type: 'confirm-request' }>;

export interface TurnParts {
  readonly client: GatewayClient;
  readonly text: string;
  readonly sessionId: string | undefined;
  /** Says yes or no to a tool call; undefined where nobody can be asked, and such calls are refused. */
  readonly confirm: ((request: ConfirmRequest) => Promise<boolean>) | undefined;
  /** Told every event but `error`. */
  readonly onEvent: (event: AgentEvent) => void;
}

/** One turn. @throws SkeinError what the turn ended with, when that was not an answer. */
export async function runTurn(parts: TurnParts, { signal }: { readonly signal: AbortSignal }): Promise<void> {
  const { client, text, sessionId, confirm, onEvent } = parts;
  const request = { text, interactive: confirm !== undefined, ...(sessionId === undefined ? {} : { sessionId }) };
  for await (const event of client.ask(request, { signal })) {
    if (event.type === 'error') throw new SkeinError(event.message, { code: event.code });
    onEvent(event);
    if (event.type === 'confirm-request' && confirm !== undefined) await answer(client, event, confirm);
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
