/** A duration as people say it: `340 ms`, `2.4 s`, `3 min`. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min`;
  if (ms < 86_400_000) return `${Math.floor(ms / 3_600_000)} h`;
  return `${Math.floor(ms / 86_400_000)} d`;
}

/** How long ago, as people say it. */
export function formatAgo(atMs: number, nowMs: number): string {
  const ms = Math.max(0, nowMs - atMs);
  return ms < 5_000 ? 'now' : `${formatDuration(Math.floor(ms / 1_000) * 1_000).replace('.0', '')} ago`;
}

export function formatLatency(ms: number): string {
  return ms < 10 ? `${ms.toFixed(1)} ms` : formatDuration(ms);
}

/**
 * A value as JSON for a person to judge. Characters that show nothing or turn the order of others around are spelled
 * out, so that what is read is what is run.
 */
export function formatJson(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value, null, 2) ?? String(value));
  return text.replaceAll(/[\p{Cf}\p{Co}\p{Zl}\p{Zp}]|(?![\n\t])\p{Cc}/gu, (character) => {
    return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
  });
}
