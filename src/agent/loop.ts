/** Runs one task whenever it is asked for: never twice at once, bursts as one, failures again after a growing pause. */

export interface LoopOptions {
  run: (reasons: string[]) => Promise<void>;
  /** Told of each failure; the loop goes on. `pauseMs` until the next try. */
  onError: (error: unknown, pauseMs: number) => void;
  /** Waits this long after the first request for more of them. */
  debounceMs: number;
  /** Runs at least this often. */
  everyMs: number;
  firstPauseMs?: number;
  /** By what failed; default 15 s. */
  longestPauseMs?: (error: unknown) => number;
  /** In [0, 1): spreads pauses and periods. */
  random?: () => number;
}

const FIRST_PAUSE_MS = 250;

export class Loop {
  readonly #options: LoopOptions;
  readonly #random: () => number;
  #reasons = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #due = Number.POSITIVE_INFINITY;
  #running: Promise<void> | undefined;
  #failures = 0;
  #lastError: unknown;
  /** While a run is under way, which may have looked too early. */
  #askedAgain: 'now' | 'soon' | undefined;
  #stopped = false;

  constructor(options: LoopOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
  }

  /** Asks for a run. `now`: without waiting for more requests. */
  trigger(reason: string, { now = false }: { now?: boolean } = {}): void {
    this.#reasons.add(reason);
    if (this.#running) this.#askedAgain = now ? 'now' : (this.#askedAgain ?? 'soon');
    else this.#schedule(now ? 0 : this.#options.debounceMs);
  }

  /** After a run that was asked for just now; rejects never. */
  async settled(): Promise<void> {
    while (this.#running) await this.#running;
  }

  /** No further run starts; waits for the one under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  #schedule(delay: number): void {
    if (this.#stopped) return;
    const due = performance.now() + delay;
    if (due >= this.#due) return;
    clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = setTimeout(() => {
      this.#due = Number.POSITIVE_INFINITY;
      this.#running = this.#once().finally(() => {
        this.#running = undefined;
        this.#next();
      });
    }, delay);
  }

  async #once(): Promise<void> {
    const reasons = [...this.#reasons];
    this.#reasons = new Set();
    try {
      await this.#options.run(reasons);
      this.#failures = 0;
    } catch (error) {
      this.#failures++;
      this.#lastError = error;
      for (const reason of reasons) this.#reasons.add(reason);
      this.#options.onError(error, this.#pause());
    }
  }

  #next(): void {
    const { debounceMs, firstPauseMs = FIRST_PAUSE_MS } = this.#options;
    const asked = this.#askedAgain;
    this.#askedAgain = undefined;
    if (this.#failures > 0) {
      const soonest =
        asked === 'now' ? debounceMs : asked === 'soon' ? firstPauseMs : Number.POSITIVE_INFINITY;
      this.#schedule(Math.min(this.#pause(), soonest));
    } else if (this.#reasons.size > 0) this.#schedule(debounceMs);
    else this.#schedule(this.#options.everyMs * (0.9 + 0.2 * this.#random()));
  }

  #pause(): number {
    const { firstPauseMs = FIRST_PAUSE_MS, longestPauseMs = () => 15_000 } = this.#options;
    return Math.min(longestPauseMs(this.#lastError), firstPauseMs * 2 ** (this.#failures - 1));
  }
}
