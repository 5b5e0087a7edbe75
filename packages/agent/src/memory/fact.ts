import { hash } from 'node:crypto';
import { z } from 'zod';

/** The author of what this node's own person or agent wrote. */
export const OWN_AUTHOR = 'me';

/** What a fact is made of. */
export const factDraft = z.object({
  text: z.string().trim().min(1).max(4_000),
  tags: z.array(z.string().trim().min(1).max(40)).max(16).default([]),
  /** A peer's proven id, or `me`. */
  author: z.string().min(1).max(128),
  /** Where it came from, in words. */
  source: z.string().max(200),
  /** False when it is, or may repeat, text from outside. */
  trusted: z.boolean(),
});
export type FactDraft = z.input<typeof factDraft>;

export const storedFact = factDraft.extend({ atMs: z.number() });

/** Something remembered. */
export interface Fact extends z.infer<typeof storedFact> {
  readonly id: string;
  /** The operation that wrote this version of it; absent in a store without a log. */
  readonly version?: string;
  /** It was edited in two places at once: there are other versions beside this one. */
  readonly concurrent?: true;
}

/** Texts that differ in case and spaces alone have the same key. */
export function textKey(text: string): string {
  return hash('sha256', text.normalize('NFC').toLowerCase().replace(/\s+/g, ' ').trim());
}
