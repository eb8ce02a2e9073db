import { randomFillSync } from 'node:crypto';
import { secretCopy } from '../proto/bytes.ts';

const POOL_BYTES = 4096;

/**
 * Gives random bytes in small pieces, up to 4096 at once, out of a pool: asking OpenSSL for each would cost more than what
 * handshakes do with them. What was given is no longer in the pool.
 */
export function randomPool(): (bytes: number) => Uint8Array {
  const pool = new Uint8Array(POOL_BYTES);
  let used = POOL_BYTES;
  return bytes => {
    if (used + bytes > POOL_BYTES) {
      randomFillSync(pool);
      used = 0;
    }
    const piece = secretCopy(pool.subarray(used, used + bytes));
    pool.fill(0, used, used + bytes);
    used += bytes;
    return piece;
  };
}
