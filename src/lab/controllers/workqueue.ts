/**
 * The queue behind every controller: keys to look at, each once however often it was asked for, none by two
 * workers at a time, failures again after a growing pause.
 */

/** Time as the controllers see it; tests pass one that they turn by hand. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls back once after so many milliseconds; the answer takes it back. */
  after(milliseconds: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  after(milliseconds, callback) {
    const timer = setTimeout(callback, Math.min(milliseconds, 0x7fffffff));
    return () => clearTimeout(timer);
  },
};

export interface WorkQueueOptions {
  /** Brings what the key names to where it should be; a number asks for another look after so many milliseconds. */
  reconcile(key: string): Promise<number | undefined>;
  onError?(key: string, error: unknown, failures: number): void;
  clock?: Clock;
  /** 0 to 1, spreads the pauses. */
  random?: () => number;
  workers?: number;
  /** The first pause after a failure, and the longest, in milliseconds. */
  backoff?: { first: number; longest: number };
}

export class WorkQueue {
  readonly #options: Required<WorkQueueOptions>;
  readonly #waiting = new Set<string>();
  readonly #running = new Set<string>();
  readonly #again = new Set<string>();
  readonly #later = new Map<string, { at: number; cancel: () => void }>();
  readonly #failures = new Map<string, number>();
  readonly #idle: (() => void)[] = [];
  #stopped = false;

  constructor(options: WorkQueueOptions) {
    this.#options = {
      onError: () => {},
      clock: systemClock,
      random: Math.random,
      workers: 1,
      backoff: { first: 50, longest: 10_000 },
      ...options,
    };
  }

  add(key: string): void {
    if (this.#stopped) return;
    if (this.#running.has(key)) this.#again.add(key);
    else this.#waiting.add(key);
    this.#start();
  }

  /** A later look never pushes back an earlier one. */
  addAfter(key: string, milliseconds: number): void {
    if (this.#stopped) return;
    if (milliseconds <= 0) {
      this.add(key);
      return;
    }
    const at = this.#options.clock.now() + milliseconds;
    const known = this.#later.get(key);
    if (known !== undefined && known.at <= at) return;
    known?.cancel();
    const cancel = this.#options.clock.after(milliseconds, () => {
      this.#later.delete(key);
      this.add(key);
    });
    this.#later.set(key, { at, cancel });
  }

  /** Takes no more work and resolves when what runs has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { cancel } of this.#later.values()) cancel();
    this.#later.clear();
    this.#waiting.clear();
    this.#again.clear();
    if (this.#running.size > 0) await new Promise<void>(resolve => this.#idle.push(resolve));
  }

  #start(): void {
    for (const key of this.#waiting) {
      if (this.#running.size >= this.#options.workers) return;
      this.#waiting.delete(key);
      this.#running.add(key);
      queueMicrotask(() => void this.#work(key));
    }
  }

  async #work(key: string): Promise<void> {
    try {
      const after = await this.#options.reconcile(key);
      this.#failures.delete(key);
      if (after !== undefined) this.addAfter(key, after);
    } catch (error) {
      const failures = (this.#failures.get(key) ?? 0) + 1;
      this.#failures.set(key, failures);
      this.#options.onError(key, error, failures);
      this.addAfter(key, this.#pause(failures));
    }
    this.#running.delete(key);
    if (this.#again.delete(key)) this.add(key);
    this.#start();
    if (this.#running.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  #pause(failures: number): number {
    const { first, longest } = this.#options.backoff;
    const pause = Math.min(first * 2 ** Math.min(failures - 1, 30), longest);
    return pause * (0.75 + this.#options.random() / 2);
  }
}
