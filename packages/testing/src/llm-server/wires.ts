import type { LlmStyle } from './script.ts';
import type { Wire } from './wire.ts';
import { formatAnthropic } from './wire-anthropic.ts';
import { formatOllama } from './wire-ollama.ts';
import { formatOpenAi } from './wire-openai.ts';

/** The writer of each protocol. */
export const WIRES: Readonly<Record<LlmStyle, Wire>> = {
  openai: formatOpenAi,
  anthropic: formatAnthropic,
  ollama: formatOllama,
};
