import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { LlmFault, LlmRequest, LlmTurn } from './script.ts';
import { WIRES } from './wires.ts';

/** Writes one turn, with its fault, as the protocol the request spoke. Returns early when the client is gone. */
export async function playTurn(response: ServerResponse, request: LlmRequest, turn: LlmTurn): Promise<void> {
  const wire = WIRES[request.style];
  const { contentType, events } = wire.answer(turn, request);
  const { fault } = turn;
  if (fault === undefined) return await writeAll(response, contentType, events);
  switch (fault.type) {
    case 'reset':
    case 'hang':
      await writeEvents(response, contentType, events.slice(0, fault.afterEvents ?? 0));
      if (fault.type === 'reset') response.socket?.resetAndDestroy();
      return;
    case 'status':
      return playStatus(response, request, fault);
    case 'redirect':
      response.writeHead(307, { location: fault.location }).end();
      return;
    case 'drip':
      return await drip(response, contentType, events.join(''), fault);
    case 'truncated': {
      const text = events.join('');
      return await writeAll(response, contentType, [text.slice(0, Math.floor(text.length / 2))]);
    }
    case 'wrong-types':
      return await writeAll(response, contentType, [wire.wrongEvent]);
    case 'empty':
      return await writeAll(response, contentType, []);
    case 'html':
      return await writeAll(response, 'text/html', ['<!doctype html><title>Sign in</title><p>Sign in to the network</p>']);
    case 'stream-error':
      return await writeAll(response, contentType, [
        ...events.slice(0, fault.afterEvents ?? 0),
        wire.errorEvent('The server had an error'),
      ]);
    case 'flood':
      return await flood(response, request, contentType, fault);
  }
}

function playStatus(response: ServerResponse, request: LlmRequest, fault: Extract<LlmFault, { type: 'status' }>): void {
  const message = fault.echoHeaders ? `Refused: ${JSON.stringify(request.headers)}` : `Scripted status ${fault.status}`;
  response.writeHead(fault.status, {
    'content-type': 'application/json',
    ...(fault.retryAfter === undefined ? {} : { 'retry-after': fault.retryAfter }),
  });
  response.end(WIRES[request.style].errorBody(fault.status, message));
}

async function drip(
  response: ServerResponse,
  contentType: string,
  text: string,
  fault: Extract<LlmFault, { type: 'drip' }>,
): Promise<void> {
  const bytes = Buffer.from(text);
  response.writeHead(200, { 'content-type': contentType });
  for (let at = 0; at < bytes.length && !response.destroyed; at += fault.bytes) {
    response.write(bytes.subarray(at, at + fault.bytes));
    await delay(fault.everyMs);
  }
  response.end();
}

async function flood(
  response: ServerResponse,
  request: LlmRequest,
  contentType: string,
  fault: Extract<LlmFault, { type: 'flood' }>,
): Promise<void> {
  const wire = WIRES[request.style];
  const padding = 'x'.repeat(16_384);
  // The stream's own beginning, so that the flood is text of an open message.
  const [first = '', second = ''] = wire.answer({ text: '' }, request).events;
  response.writeHead(200, { 'content-type': contentType });
  response.write(request.style === 'anthropic' ? first + second : '');
  for (let sent = 0; sent < fault.bytes && !response.destroyed; sent += padding.length) {
    const room = response.write(fault.shape === 'text' ? wire.textEvent(padding, request) : padding);
    if (!room) await roomOrEnd(response);
  }
  response.end();
}

async function roomOrEnd(response: ServerResponse): Promise<void> {
  const listening = new AbortController();
  const { signal } = listening;
  const unheard = () => undefined; // The other of the two is told to stop listening, which it reports as an error.
  await Promise.race([once(response, 'drain', { signal }).catch(unheard), once(response, 'close', { signal }).catch(unheard)]);
  listening.abort();
}

async function writeAll(response: ServerResponse, contentType: string, events: readonly string[]): Promise<void> {
  await writeEvents(response, contentType, events);
  response.end();
}

async function writeEvents(response: ServerResponse, contentType: string, events: readonly string[]): Promise<void> {
  if (events.length > 0 || contentType === 'text/html') response.writeHead(200, { 'content-type': contentType });
  for (const event of events) {
    // One write an event and a turn of the loop between: a client sees them as separate pieces.
    if (response.destroyed) return;
    await new Promise<void>((resolve) => response.write(event, () => resolve()));
  }
}
