/** When a container that ended may start again: at once the first time, then after 10 s doubling to 5 min. */

export const firstDelayMs = 10_000;
export const longestDelayMs = 300_000;

export class Backoff {
  readonly #first: number;
  readonly #longest: number;
  #delay = 0;
  #lastUpdate = 0;

  constructor(first = firstDelayMs, longest = longestDelayMs) {
    this.#first = first;
    this.#longest = longest;
  }

  /** Milliseconds still to wait at `now` after an end at `endedAt`; 0 when it may start. */
  remaining(endedAt: number, now: number): number {
    if (this.#delay === 0 || endedAt - this.#lastUpdate > 2 * this.#longest) return 0;
    return Math.max(0, endedAt + this.#delay - now);
  }

  /** The pause that stands, for messages. */
  get delayMs(): number {
    return this.#delay;
  }

  /** Tells that it starts again at `now`, after an end at `endedAt`. */
  next(endedAt: number, now: number): void {
    const expired = this.#delay !== 0 && endedAt - this.#lastUpdate > 2 * this.#longest;
    this.#delay = this.#delay === 0 || expired ? this.#first : Math.min(this.#delay * 2, this.#longest);
    this.#lastUpdate = now;
  }

  reset(): void {
    this.#delay = 0;
  }
}

/** As Go prints a duration: `10s`, `1m20s`, `5m0s`. */
export function goDuration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  return minutes > 0 ? `${minutes}m${seconds % 60}s` : `${seconds}s`;
}
