/** What a Noise message does, in order (Noise rev 34, sections 7 and 9). */
export type NoiseToken = 'e' | 's' | 'ee' | 'es' | 'se' | 'ss' | 'psk';

/** A handshake pattern as data. Messages alternate, the initiator's first. */
export interface NoisePattern {
  readonly name: string;
  /** Static keys known beforehand: the initiator's to the responder, the responder's to the initiator. */
  readonly known: { readonly initiator: boolean; readonly responder: boolean };
  readonly messages: readonly (readonly NoiseToken[])[];
}

/** The patterns in use. */
export const NOISE_PATTERNS = {
  XX: {
    name: 'XX',
    known: { initiator: false, responder: false },
    messages: [['e'], ['e', 'ee', 's', 'es'], ['s', 'se']],
  },
  XXpsk2: {
    name: 'XXpsk2',
    known: { initiator: false, responder: false },
    messages: [['e'], ['e', 'ee', 's', 'es', 'psk'], ['s', 'se']],
  },
  KKpsk0: {
    name: 'KKpsk0',
    known: { initiator: true, responder: true },
    messages: [
      ['psk', 'e', 'es', 'ss'],
      ['e', 'ee', 'se'],
    ],
  },
} as const satisfies Record<string, NoisePattern>;

/** The full protocol name of a pattern in the one suite of this engine. */
export function noiseProtocolName(pattern: NoisePattern): string {
  return `Noise_${pattern.name}_25519_ChaChaPoly_SHA256`;
}
