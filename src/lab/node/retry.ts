/** Something that failed and is tried again, after growing pauses. */
import { Backoff } from './backoff.ts';

export class Retry {
  readonly #backoff: Backoff;
  #failedAt: number | undefined;

  constructor(firstMs: number, longestMs: number) {
    this.#backoff = new Backoff(firstMs, longestMs);
  }

  /** Milliseconds until the next try. */
  remaining(now: number): number {
    return this.#failedAt === undefined ? 0 : this.#backoff.remaining(this.#failedAt, now);
  }

  /** The pause to make now. */
  failed(now: number): number {
    this.#backoff.next(this.#failedAt ?? now, now);
    this.#failedAt = now;
    return this.#backoff.delayMs;
  }

  succeeded(): void {
    this.#backoff.reset();
    this.#failedAt = undefined;
  }
}
