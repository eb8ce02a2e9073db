/**
 * Leader election by a Lease, by the rules of client-go: who holds it renews it; who does not waits until the record
 * has not changed for its whole duration, measured by his own clock, and then takes it with the record's version.
 */
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { isConflict, isNotFound, type KubeClient } from './client.ts';
import { microTime } from './eventforms.ts';
import { LEASES, type Lease } from './types.ts';

export interface ElectionOptions {
  namespace: string;
  name: string;
  identity?: string;
  /** Milliseconds that a leader is left alone without a sign of life. */
  duration?: number;
  /** Milliseconds after the last renewal at which a leader must stop working; less than `duration`. */
  deadline?: number;
  /** Milliseconds between attempts. */
  period?: number;
  clock?: ElectionClock;
  log?: (message: string) => void;
}

export interface ElectionClock {
  /** Milliseconds, monotonic. */
  now(): number;
  wallClock(): Date;
  sleep(milliseconds: number, signal: AbortSignal): Promise<void>;
}

/**
 * Waits for leadership, then runs `work` with a signal that is aborted as soon as leadership may be lost; again and
 * again until `signal` is aborted, when the lease is given back. Rejects with what `work` rejects with.
 */
export async function lead(
  client: KubeClient,
  options: ElectionOptions,
  work: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const election = new Election(client, options);
  while (!signal.aborted) {
    await election.acquire(signal);
    if (signal.aborted) break;
    const term = new AbortController();
    const working = work(AbortSignal.any([signal, term.signal])).finally(() => term.abort());
    // Observed below; renewing meanwhile must not leave a rejection unheard.
    working.catch(() => {});
    try {
      await election.renewUntil(AbortSignal.any([signal, term.signal]));
    } finally {
      term.abort();
    }
    try {
      await working;
    } finally {
      await election.release();
    }
  }
}

class Election {
  readonly #client: KubeClient;
  readonly #options: Required<Omit<ElectionOptions, 'log'>> & Pick<ElectionOptions, 'log'>;
  #seen: { version: string; at: number } | undefined;

  constructor(client: KubeClient, options: ElectionOptions) {
    this.#client = client;
    this.#options = {
      identity: `${hostname()}_${process.pid}`,
      duration: 15_000,
      deadline: 10_000,
      period: 2_000,
      clock: SYSTEM_CLOCK,
      ...options,
    };
  }

  async acquire(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (await this.#attempt()) return;
      await this.#options.clock.sleep(this.#options.period, signal);
    }
  }

  /** Returns when the signal is aborted or the deadline passed without a renewal. */
  async renewUntil(signal: AbortSignal): Promise<void> {
    const { clock, deadline, period } = this.#options;
    let renewed = clock.now();
    while (!signal.aborted) {
      await clock.sleep(period, signal);
      if (signal.aborted) return;
      const left = renewed + deadline - clock.now();
      if (left > 0 && (await within(left, signal, this.#attempt()))) renewed = clock.now();
      else if (!signal.aborted && clock.now() - renewed >= deadline) {
        this.#options.log?.(`lost the lease ${this.#options.name}: it could not be renewed in time`);
        return;
      }
    }
  }

  async release(): Promise<void> {
    try {
      const lease = await this.#read();
      if (lease?.spec?.holderIdentity !== this.#options.identity) return;
      const spec = { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1 };
      await this.#client.replace(LEASES, { ...lease, spec });
    } catch (error) {
      this.#options.log?.(`the lease ${this.#options.name} could not be given back: ${messageOf(error)}`);
    }
  }

  /** True if the lease is ours now. */
  async #attempt(): Promise<boolean> {
    const { identity, duration, clock, name } = this.#options;
    try {
      const lease = await this.#read();
      if (!lease) {
        await this.#client.create(LEASES, this.#claim());
        return true;
      }
      const version = lease.metadata.resourceVersion ?? '';
      if (this.#seen?.version !== version) this.#seen = { version, at: clock.now() };
      const holder = lease.spec?.holderIdentity ?? '';
      const free =
        holder === '' || holder === identity || clock.now() - this.#seen.at >= leaseMs(lease, duration);
      if (!free) return false;
      await this.#client.replace(LEASES, this.#claim(lease));
      return true;
    } catch (error) {
      if (!isConflict(error))
        this.#options.log?.(`the lease ${name} could not be taken: ${messageOf(error)}`);
      return false;
    }
  }

  #claim(lease?: Lease): Lease {
    const { identity, duration, clock, name, namespace } = this.#options;
    const now = microTime(clock.wallClock());
    const ours = lease?.spec?.holderIdentity === identity;
    return {
      apiVersion: LEASES.apiVersion,
      kind: LEASES.kind,
      metadata: lease?.metadata ?? { name, namespace },
      spec: {
        holderIdentity: identity,
        leaseDurationSeconds: Math.ceil(duration / 1000),
        acquireTime: ours ? (lease.spec?.acquireTime ?? now) : now,
        renewTime: now,
        leaseTransitions: (lease?.spec?.leaseTransitions ?? 0) + (lease && !ours ? 1 : 0),
      },
    };
  }

  async #read(): Promise<Lease | undefined> {
    try {
      return await this.#client.get(LEASES, this.#options.name, this.#options.namespace);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }
}

const SYSTEM_CLOCK: ElectionClock = {
  now: () => performance.now(),
  wallClock: () => new Date(),
  sleep: (milliseconds, signal) => sleep(milliseconds, undefined, { signal }).catch(() => {}),
};

function leaseMs(lease: Lease, fallback: number): number {
  const seconds = lease.spec?.leaseDurationSeconds;
  return seconds === undefined ? fallback : seconds * 1000;
}

/** False once the time is over or the signal aborted. */
function within(milliseconds: number, signal: AbortSignal, attempt: Promise<boolean>): Promise<boolean> {
  return new Promise(resolve => {
    const settle = (result: boolean) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', giveUp);
      resolve(result);
    };
    const giveUp = () => settle(false);
    const timer = setTimeout(giveUp, milliseconds);
    signal.addEventListener('abort', giveUp);
    attempt.then(settle, giveUp);
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
