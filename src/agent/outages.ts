/** Tells in the API of a data plane that stays down: an Event on the node's CiliumNode for each outage, not for each try. */
import { DriverUnavailable } from '../drivers/driver.ts';
import type { Recorder } from '../kube/events.ts';
import { CILIUMNODES, type CiliumNode } from '../kube/types.ts';
import { notReady } from './readiness.ts';
import type { RoundState } from './reconcile.ts';

/** An engine that is away or cannot have its port may be back at any time; whatever else fails is not that urgent. */
export function longestPauseMs(error: unknown): number {
  return error instanceof DriverUnavailable ? 3000 : 15_000;
}

export interface OutageOptions {
  recorder: Pick<Recorder, 'event'>;
  nodeName: string;
  state: Pick<RoundState, 'ready' | 'problem' | 'deafSince'>;
  lookUp: (name: string) => CiliumNode | undefined;
}

export class Outages {
  readonly #options: OutageOptions;
  #told: string | undefined;

  constructor(options: OutageOptions) {
    this.#options = options;
  }

  /** After each failure; `now` by the clock of `deafSince`. */
  tell({ reason, message }: DriverUnavailable, now: number): void {
    const { recorder, nodeName: name, state, lookUp } = this.#options;
    // At first the engine may be on its way.
    if (!state.ready && reason === 'EngineUnavailable') return;
    if (message === this.#told || notReady(state, now) === undefined) return;
    this.#told = message;
    const { apiVersion, kind } = CILIUMNODES;
    const about = lookUp(name) ?? { apiVersion, kind, name };
    recorder.event(about, 'Warning', reason, 'ConfigureWireGuard', message);
  }

  /** The next outage is a new one. */
  over(): void {
    this.#told = undefined;
  }
}
