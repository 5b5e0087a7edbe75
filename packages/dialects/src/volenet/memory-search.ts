import { VOLE_SEARCH_MS } from './limits.ts';
import type { VoleMemoryHit, VoleMemoryQuery } from './payloads.ts';
import type { VoleCallOptions, VolePeer } from './vole-peer.ts';

/** Who found what, and who did not answer in time. */
export interface VoleSearchResult {
  readonly found: readonly { readonly peer: VolePeer; readonly hits: readonly VoleMemoryHit[] }[];
  readonly silent: readonly VolePeer[];
}

/** Searches the memory of several peers at once. Rejects only when the signal fires. */
export async function searchPeers(
  peers: readonly VolePeer[],
  query: Omit<VoleMemoryQuery, 'requestId'>,
  options: VoleCallOptions,
): Promise<VoleSearchResult> {
  const timeoutMs = options.timeoutMs ?? VOLE_SEARCH_MS;
  const answers = await Promise.allSettled(peers.map((peer) => peer.searchMemory(query, { ...options, timeoutMs })));
  options.signal?.throwIfAborted();
  const both = peers.map((peer, index) => ({ peer, answer: answers[index] }));
  return {
    found: both.flatMap(({ peer, answer }) => (answer?.status === 'fulfilled' ? [{ peer, hits: answer.value }] : [])),
    silent: both.flatMap(({ peer, answer }) => (answer?.status === 'fulfilled' ? [] : [peer])),
  };
}
