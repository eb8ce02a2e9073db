import { Loop } from './loop.ts';
import type { RoundState } from './reconcile.ts';

/** The engine tells nobody what others do to it. */
const EVERY_MS = 5000;

export interface DriftOptions {
  state: RoundState;
  /** One question to the engine. */
  drifted: () => Promise<boolean>;
  /** Asks for a round. */
  repair: () => void;
}

/** Asks the engine from time to time, and for a round only when it is not as it was left or does not answer. */
export function driftWatch({ state, drifted, repair }: DriftOptions): Loop {
  return new Loop({
    debounceMs: 0,
    everyMs: EVERY_MS,
    firstPauseMs: EVERY_MS,
    longestPauseMs: () => EVERY_MS,
    run: async () => {
      if (state.problem === undefined && (await drifted())) repair();
    },
    onError: repair,
  });
}
