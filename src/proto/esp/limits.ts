/** How much one key may seal. */
import type { Suite } from './suite.ts';

/**
 * Packets are bound by the sequence number, which never comes twice (RFC 4303, section 3.3.3); blocks of 16 bytes by the
 * cipher. `due` is where a new key should be there, `last` where the SA stops.
 */
export interface SealingLimits {
  readonly packets: { readonly due: bigint; readonly last: bigint };
  readonly blocks: { readonly due: bigint; readonly last: bigint };
}

/** Packets that the replay window reaches back, as many as the kernel takes (XFRMA_REPLAY_ESN_MAX, in bits). */
export const REPLAY_WINDOW = 4096;
export const LEAST_REPLAY_WINDOW = 1024;

export const BLOCK_BYTES = 16;

export function sealingLimits(suite: Suite, esn: boolean): SealingLimits {
  return { packets: esn ? WITH_ESN : WITHOUT_ESN, blocks: BLOCKS[suite.cipher] };
}

const WITHOUT_ESN = { due: 2n ** 31n, last: 2n ** 32n - 1n };
const WITH_ESN = { due: 2n ** 63n, last: 2n ** 64n - 1n };

const BLOCKS: Record<Suite['cipher'], { due: bigint; last: bigint }> = {
  /** RFC 4106, section 9, by way of NIST SP 800-38D: 2^64 blocks under one key. */
  'rfc4106(gcm(aes))': { due: 2n ** 63n, last: 2n ** 64n },
  /** No bound of its own below that of the counter; kept to the same. */
  'rfc7539esp(chacha20,poly1305)': { due: 2n ** 63n, last: 2n ** 64n },
  /** Two equal blocks of ciphertext tell of their plaintexts: after 2^48 with a probability of 2^-33. */
  'cbc(aes)': { due: 2n ** 47n, last: 2n ** 48n },
};
