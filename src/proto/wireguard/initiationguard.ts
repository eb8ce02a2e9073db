/** Which initiations of one peer are taken: each later than the last by its label (paper, 5.1), and not too many. */
import { compareBytes } from '../bytes.ts';
import type { CarriedGuard } from './carried.ts';
import { INITIATIONS_PER_SECOND } from './limits.ts';

export class InitiationGuard {
  #greatest: Uint8Array | undefined;
  #takenAt: number | undefined;

  constructor(carried?: CarriedGuard) {
    this.#greatest = carried?.greatest && Uint8Array.from(carried.greatest);
    this.#takenAt = carried?.takenAt;
  }

  carry(): CarriedGuard {
    return { greatest: this.#greatest, takenAt: this.#takenAt };
  }

  /** Takes it, or says why not. Only for initiations whose tags were right. */
  take(timestamp: Uint8Array, now: number): 'replayedInitiation' | 'initiationFlood' | undefined {
    if (this.#greatest && compareBytes(timestamp, this.#greatest) <= 0) return 'replayedInitiation';
    const isFlood = this.#takenAt !== undefined && now - this.#takenAt < 1000 / INITIATIONS_PER_SECOND;
    if (isFlood) return 'initiationFlood';
    this.#greatest = Uint8Array.from(timestamp);
    this.#takenAt = now;
    return undefined;
  }
}
