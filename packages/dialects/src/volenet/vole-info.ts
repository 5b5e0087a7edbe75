import type { Clock } from '@skein/mesh';
import { jsonWithin } from '@skein/protocol';
import { z } from 'zod';
import { HttpClient } from './http-client.ts';
import { httpBase } from './http-posts.ts';
import { VOLE_POST_MS } from './limits.ts';
import { parseVoleLine, type VoleLine } from './vole-id.ts';

const INFO_BYTES_MAX = 1_000_000;
const shape = z.object({ protocol: z.literal('volenet'), publicKey: z.string().max(8_000) });

/** Whose node says to be at an address. Nothing of it is proven: it is for telling people, and to grant nothing by. */
export async function askVoleInfo(
  url: string,
  { clock, ca, signal }: { readonly clock: Clock; readonly ca?: string | undefined; readonly signal: AbortSignal },
): Promise<VoleLine | undefined> {
  try {
    const ask = { method: 'GET', timeoutMs: VOLE_POST_MS, signal } as const;
    const { status, body } = await new HttpClient({ clock, ca }).ask(`${httpBase(url)}/volenet/info`, ask);
    const text = body.subarray(0, INFO_BYTES_MAX).toString();
    if (status !== 200 || !jsonWithin(text, 8, 50_000)) return undefined;
    return parseVoleLine(shape.parse(JSON.parse(text)).publicKey);
  } catch {
    return undefined; // It does not say; why is told by what was asked of it before.
  }
}
