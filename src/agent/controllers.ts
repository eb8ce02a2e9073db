/** What the agent does again and again, each with how it went: the rows of `cilium status --all-controllers`. */
import { messageOf } from './log.ts';

export interface ControllerState {
  name: string;
  successes: number;
  failures: number;
  /** Failures since the last success. */
  consecutiveFailures: number;
  lastSuccess?: number;
  lastFailure?: number;
  lastError?: string;
}

export class Controllers {
  readonly #states = new Map<string, ControllerState>();
  readonly #now: () => number;

  /** `now`: Unix time in milliseconds. */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** Runs the task once and notes how it went; rejects as the task does. */
  async run<T>(name: string, task: () => Promise<T>): Promise<T> {
    try {
      const result = await task();
      this.succeeded(name);
      return result;
    } catch (error) {
      this.failed(name, error);
      throw error;
    }
  }

  succeeded(name: string): void {
    const state = this.#state(name);
    state.successes++;
    state.consecutiveFailures = 0;
    state.lastSuccess = this.#now();
  }

  failed(name: string, error: unknown): void {
    const state = this.#state(name);
    state.failures++;
    state.consecutiveFailures++;
    state.lastFailure = this.#now();
    state.lastError = messageOf(error);
  }

  states(): ControllerState[] {
    return [...this.#states.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #state(name: string): ControllerState {
    let state = this.#states.get(name);
    if (!state) {
      state = { name, successes: 0, failures: 0, consecutiveFailures: 0 };
      this.#states.set(name, state);
    }
    return state;
  }
}
