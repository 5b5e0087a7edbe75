import { generateKeyPairSync, randomBytes, sign, verify } from 'node:crypto';
import { median } from './measure.ts';
import { PAYLOAD_BYTES } from './payload.ts';

/** What one signature and one verification cost here, over bytes as long as a call's. */
export interface SignatureCost {
  readonly signUs: number;
  readonly verifyUs: number;
}

/** Measures both in this process, medians over batches. */
export function measureSignatures(batches: number): SignatureCost {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const message = randomBytes(PAYLOAD_BYTES + 50);
  const signature = sign(null, message, privateKey);
  return {
    signUs: timeUs(batches, () => sign(null, message, privateKey)),
    verifyUs: timeUs(batches, () => verify(null, message, publicKey, signature)),
  };
}

function timeUs(batches: number, work: () => unknown): number {
  const perBatch = 500;
  const batchUs = Array.from({ length: batches + 1 }, () => {
    const startedMs = performance.now();
    for (let i = 0; i < perBatch; i += 1) work();
    return ((performance.now() - startedMs) * 1000) / perBatch;
  });
  // The first one warms up.
  return median(batchUs.slice(1));
}
