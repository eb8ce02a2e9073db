/**
 * What a receiver remembers of sequence numbers: the window against replays (RFC 4303, section 3.4.3, kept as the ring of
 * words of RFC 6479) and the recovery of the half that is not sent (appendix A2).
 */

const WORD_BITS = 32;

export class SequenceWindow {
  /** Packets that may come late. */
  readonly size: number;
  readonly #ring: Uint32Array;
  #top: bigint;

  /**
   * `size` in packets. `top`: the highest number authenticated so far, 0 for none. A window that goes on where another
   * ended takes none of the numbers up to there.
   */
  constructor(size: number, top = 0n) {
    this.size = size;
    this.#ring = new Uint32Array(Math.ceil(size / WORD_BITS) + 1);
    this.#top = top;
    if (top > 0n) this.#ring.fill(0xffff_ffff);
    if (top > 0n) this.#clearAbove(top);
  }

  /** The highest number authenticated so far. */
  get top(): bigint {
    return this.#top;
  }

  /** Whether the number is new and not too old. Only a hint before the tag is checked. */
  isNew(sequence: bigint): boolean {
    if (sequence === 0n) return false;
    if (sequence > this.#top) return true;
    if (this.#top - sequence >= BigInt(this.size)) return false;
    return (this.#ring[this.#word(sequence)]! & bit(sequence)) === 0;
  }

  /** Counts the number as seen, if it is new. Only for packets whose tag was right. */
  accept(sequence: bigint): boolean {
    if (!this.isNew(sequence)) return false;
    if (sequence > this.#top) this.#advance(sequence);
    this.#ring[this.#word(sequence)]! |= bit(sequence);
    return true;
  }

  #advance(sequence: bigint): void {
    const from = this.#top / BigInt(WORD_BITS);
    const steps = sequence / BigInt(WORD_BITS) - from;
    const words = steps < BigInt(this.#ring.length) ? Number(steps) : this.#ring.length;
    for (let i = 1; i <= words; i++) {
      this.#ring[Number((from + steps - BigInt(words) + BigInt(i)) % BigInt(this.#ring.length))] = 0;
    }
    this.#top = sequence;
  }

  #clearAbove(top: bigint): void {
    const used = Number(top % BigInt(WORD_BITS)) + 1;
    if (used < WORD_BITS) this.#ring[this.#word(top)] = 2 ** used - 1;
  }

  #word(sequence: bigint): number {
    return Number((sequence / BigInt(WORD_BITS)) % BigInt(this.#ring.length));
  }
}

/**
 * All 64 bits of a sequence number of which 32 were sent: of the candidates the one that lies in the window or nearest
 * above it (RFC 4303, appendix A2.2). Undefined when there is none from 0 to 2^64 - 1.
 */
export function recoverSequence(low: number, top: bigint, size: number): bigint | undefined {
  const topLow = Number(top & 0xffff_ffffn);
  const topHigh = top >> 32n;
  const bottom = topLow - size + 1;
  const high =
    bottom >= 0 ? (low >= bottom ? topHigh : topHigh + 1n) : low >= bottom + 2 ** 32 ? topHigh - 1n : topHigh;
  if (high < 0n || high > 0xffff_ffffn) return undefined;
  return (high << 32n) | BigInt(low);
}

function bit(sequence: bigint): number {
  return (1 << Number(sequence % BigInt(WORD_BITS))) >>> 0;
}
