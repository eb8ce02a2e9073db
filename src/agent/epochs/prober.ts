/**
 * Tries epochs: while a peer is to be probed, packets without content go to it until each has heard the other. Whether it
 * was heard is asked of the data plane as often.
 */
import type { IpsecDriver } from '../../drivers/driver.ts';
import { protocolOf } from '../../model/epochs/epoch.ts';
import { type Plane, type Sealing, sameSealing } from '../../model/epochs/plane.ts';

export interface ProberOptions {
  ipsec: Pick<IpsecDriver, 'probe' | 'observe'>;
  /** Something was heard for the first time. */
  onHeard: () => void;
  /** Monotonic, in milliseconds. */
  now?: () => number;
  everyMs?: number;
}

interface Trial {
  way: Sealing;
  heard: boolean;
  since: number;
  sentAt: number;
  /** When both ends were content, as far as this one knows. */
  settledAt?: number;
}

const EVERY_MS = 200;
/** As long at first; then the peer is away, or has no need of it. */
const EAGER_MS = 15_000;
const SLOW_MS = 2000;
/** The other end may still wait to hear this one. */
const AFTERWARDS_MS = 3000;
const HEARTBEAT_MS = 15_000;

export class Prober {
  readonly #options: ProberOptions & { now: () => number; everyMs: number };
  #trials: Trial[] = [];
  #timer: NodeJS.Timeout | undefined;
  #isRunning = false;
  #isStopped = false;

  constructor(options: ProberOptions) {
    this.#options = { now: () => performance.now(), everyMs: EVERY_MS, ...options };
  }

  /** What is to be tried from now on, by the plane as it is. */
  follow(plane: Plane): void {
    const now = this.#options.now();
    const ways = plane.probes.filter(({ epoch }) => protocolOf(epoch) === 'ipsec');
    this.#trials = ways.map(way => {
      const known = this.#trials.find(trial => sameSealing(trial.way, way));
      const heard = plane.opens.some(opening => sameSealing(opening, way) && opening.heardAt !== undefined);
      const isSettled = heard && plane.seals.some(seal => sameSealing(seal, way));
      const {
        settledAt = isSettled ? now : undefined,
        since = now,
        sentAt = Number.NEGATIVE_INFINITY,
      } = known ?? {};
      return { way, heard, since, sentAt, ...(isSettled && settledAt !== undefined ? { settledAt } : {}) };
    });
    if (!this.#isRunning && this.#trials.length > 0 && !this.#isStopped) void this.#run();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    await this.#send();
    // An engine that is away is the rounds' matter.
    await this.#listen().catch(() => {});
    this.#isRunning = this.#trials.length > 0 && !this.#isStopped;
    if (this.#isRunning) this.#timer = setTimeout(() => void this.#run(), this.#options.everyMs);
  }

  async #send(): Promise<void> {
    const { ipsec, now } = this.#options;
    for (const trial of this.#trials) {
      if (now() - trial.sentAt < this.#pause(trial)) continue;
      trial.sentAt = now();
      const { peer, epoch, incarnation } = trial.way;
      // An SA that is gone meanwhile is the next decision's matter.
      await ipsec.probe(peer, epoch, incarnation).catch(() => {});
    }
  }

  async #listen(): Promise<void> {
    const waiting = this.#trials.filter(({ heard }) => !heard);
    if (waiting.length === 0) return;
    const { openings } = await this.#options.ipsec.observe();
    const heard = waiting.filter(({ way }) =>
      openings.some(opening => sameSealing(opening, way) && opening.heardAt !== undefined),
    );
    for (const trial of heard) trial.heard = true;
    if (heard.length > 0) this.#options.onHeard();
  }

  #pause({ since, settledAt }: Trial): number {
    const now = this.#options.now();
    if (settledAt !== undefined) return now - settledAt < AFTERWARDS_MS ? 0 : HEARTBEAT_MS;
    return now - since < EAGER_MS ? 0 : SLOW_MS;
  }
}
