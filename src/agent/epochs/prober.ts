/**
 * Tries epochs: while a peer is to be probed, packets without content go to it until each has heard the other. Whether it
 * was heard is asked of the data plane as often. WireGuard needs no packet of ours: it makes its handshake by itself when a
 * peer is configured, and only has to be watched.
 */
import type { IpsecDriver } from '../../drivers/driver.ts';
import { protocolOf } from '../../model/epochs/epoch.ts';
import { type Opening, type Plane, type Sealing, sameSealing } from '../../model/epochs/plane.ts';

export interface ProberOptions {
  probe: IpsecDriver['probe'];
  /** What is open now, and when it was heard last; only of the protocols of these ways. */
  listen: (ways: readonly Sealing[]) => Promise<Opening[]>;
  /** Something was heard that was not when the plane was looked at. */
  onHeard: () => void;
  /** Monotonic, in milliseconds. */
  now?: () => number;
  everyMs?: number;
}

interface Trial {
  way: Sealing;
  heardAt?: number | undefined;
  /** The traffic to the peer goes this way. */
  isSealing: boolean;
  since: number;
  sentAt: number;
  /** When both ends were content, as far as this one knows. */
  settledAt?: number | undefined;
}

const EVERY_MS = 200;
/** In a large cluster each has its turn. */
const MOST_AT_ONCE = 100;
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
    this.#trials = plane.probes.map(way => {
      const known = this.#trials.find(trial => sameSealing(trial.way, way));
      const heardAt = plane.opens.find(opening => sameSealing(opening, way))?.heardAt;
      const isSealing = plane.seals.some(seal => sameSealing(seal, way));
      const isSettled = isSealing && heardAt !== undefined;
      return {
        ...{ way, heardAt, isSealing },
        since: known?.since ?? now,
        sentAt: known?.sentAt ?? Number.NEGATIVE_INFINITY,
        settledAt: isSettled ? (known?.settledAt ?? now) : undefined,
      };
    });
    if (!this.#isRunning && this.#isNeeded) void this.#run();
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
    this.#isRunning = this.#isNeeded;
    if (this.#isRunning) this.#timer = setTimeout(() => void this.#run(), this.#options.everyMs);
  }

  get #isNeeded(): boolean {
    if (this.#isStopped) return false;
    return this.#trials.some(({ way, isSealing }) => !isSealing || protocolOf(way.epoch) === 'ipsec');
  }

  async #send(): Promise<void> {
    const { probe, now, everyMs } = this.#options;
    // Not at once: of a new run of this node the peer may still have to hear, and what it cannot open it counts.
    const due = this.#trials.filter(
      trial =>
        protocolOf(trial.way.epoch) === 'ipsec' &&
        now() - trial.since >= everyMs &&
        now() - trial.sentAt >= this.#pause(trial),
    );
    for (const trial of due.sort((a, b) => a.sentAt - b.sentAt).slice(0, MOST_AT_ONCE)) {
      const { peer, epoch, incarnation } = trial.way;
      trial.sentAt = now();
      // An SA that is gone meanwhile is the next decision's matter.
      await probe(peer, epoch, incarnation).catch(() => {});
    }
  }

  async #listen(): Promise<void> {
    const { listen, onHeard } = this.#options;
    const waiting = this.#trials.filter(
      ({ way, isSealing, heardAt }) =>
        !isSealing || (protocolOf(way.epoch) === 'ipsec' && heardAt === undefined),
    );
    if (waiting.length === 0) return;
    const openings = await listen(waiting.map(({ way }) => way));
    const heard = waiting.filter(trial => {
      const at = openings.find(opening => sameSealing(opening, trial.way))?.heardAt;
      // IPsec is keyed by the run: to be heard once is enough. A handshake may have been made with an earlier run.
      const isNews =
        protocolOf(trial.way.epoch) === 'ipsec' ? trial.heardAt === undefined : at !== trial.heardAt;
      if (at === undefined || !isNews) return false;
      trial.heardAt = at;
      return true;
    });
    if (heard.length > 0) onHeard();
  }

  #pause({ since, settledAt }: Trial): number {
    const now = this.#options.now();
    if (settledAt !== undefined) return now - settledAt < AFTERWARDS_MS ? 0 : HEARTBEAT_MS;
    return now - since < EAGER_MS ? 0 : SLOW_MS;
  }
}
