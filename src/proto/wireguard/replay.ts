/** The replay window of RFC 6479: a ring of words in which whole words are cleared as the window moves on. */
import { REJECT_AFTER_MESSAGES, REPLAY_WINDOW, REPLAY_WINDOW_BITS } from './limits.ts';

const WORD_BITS = 32n;
const WORDS = REPLAY_WINDOW_BITS / Number(WORD_BITS);

export class ReplayWindow {
  readonly #ring = new Uint32Array(WORDS);
  #newest = -1n;

  /** Whether the counter is new; if so it counts as seen. Only for packets whose tag was right. */
  accept(counter: bigint): boolean {
    if (counter >= REJECT_AFTER_MESSAGES) return false;
    if (counter > this.#newest) this.#advance(counter);
    else if (this.#newest - counter > BigInt(REPLAY_WINDOW)) return false;
    const index = Number((counter / WORD_BITS) % BigInt(WORDS));
    const bit = (1 << Number(counter % WORD_BITS)) >>> 0;
    const seen = (this.#ring[index]! & bit) !== 0;
    this.#ring[index]! |= bit;
    return !seen;
  }

  #advance(counter: bigint): void {
    const from = this.#newest < 0n ? -1n : this.#newest / WORD_BITS;
    const to = counter / WORD_BITS;
    const words = to - from < BigInt(WORDS) ? Number(to - from) : WORDS;
    for (let i = 1; i <= words; i++) this.#ring[Number((from + BigInt(i)) % BigInt(WORDS))] = 0;
    this.#newest = counter;
  }
}
