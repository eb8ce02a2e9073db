/** Token buckets for handshake messages, one for each source: an IPv4 address, or the /64 of an IPv6 one. */
import { toHex } from '../bytes.ts';
import type { Address } from '../ip/address.ts';
import { PACKETS_BURST, PACKETS_PER_SECOND, RATE_ENTRIES_MAX, RATE_ENTRY_MAX_AGE } from './limits.ts';

/** Tokens are milliseconds: a message costs this many. */
const COST = 1000 / PACKETS_PER_SECOND;
const FULL = COST * PACKETS_BURST;

interface Bucket {
  tokens: number;
  updated: number;
}

export class RateLimiter {
  readonly #buckets = new Map<string, Bucket>();
  #sweptAt = 0;

  get size(): number {
    return this.#buckets.size;
  }

  /** Takes a token. False when the source has none left, or when too many sources are at it already. */
  allow(source: Address, now: number): boolean {
    this.#sweep(now);
    const key = toHex(source.family === 4 ? source.bytes : source.bytes.subarray(0, 8));
    const bucket = this.#buckets.get(key);
    if (!bucket) {
      if (this.#buckets.size >= RATE_ENTRIES_MAX) return false;
      this.#buckets.set(key, { tokens: FULL - COST, updated: now });
      return true;
    }
    bucket.tokens = Math.min(FULL, bucket.tokens + now - bucket.updated);
    bucket.updated = now;
    if (bucket.tokens < COST) return false;
    bucket.tokens -= COST;
    return true;
  }

  #sweep(now: number): void {
    if (now - this.#sweptAt < RATE_ENTRY_MAX_AGE) return;
    this.#sweptAt = now;
    for (const [key, bucket] of this.#buckets) {
      if (now - bucket.updated >= RATE_ENTRY_MAX_AGE) this.#buckets.delete(key);
    }
  }
}
