/**
 * Which nodes have fallen silent. A node is lost when its heartbeat has not changed for the grace period as this
 * process's own clock sees it, while others are heard: when nobody is heard, the ear may be deaf.
 */

/** A node without a sign of life for so long is lost (milliseconds; node-monitor-grace-period). */
export const GRACE = 40_000;
/** Heartbeats come every 10 s: without one of any node for so long, something between is broken. */
const DEAF = 20_000;

export class Heartbeats {
  readonly #nodes = new Map<string, { sign: string; at: number }>();
  #lastNews = Number.NEGATIVE_INFINITY;

  /** `sign` is anything that changes with each heartbeat. */
  seen(node: string, sign: string, now: number): void {
    const known = this.#nodes.get(node);
    if (known?.sign === sign) return;
    if (now - this.#lastNews > DEAF) this.excuse(now);
    this.#lastNews = now;
    this.#nodes.set(node, { sign, at: now });
  }

  forget(node: string): void {
    this.#nodes.delete(node);
  }

  /** Nothing could be heard until now: everybody's time starts over. */
  excuse(now: number): void {
    for (const state of this.#nodes.values()) state.at = now;
  }

  isLost(node: string, now: number): boolean {
    return this.lostIn(node, now) <= 0;
  }

  /** Milliseconds until the node is lost, if nothing more is heard of it; 0 or less when it is. */
  lostIn(node: string, now: number): number {
    const state = this.#nodes.get(node);
    if (state === undefined) return GRACE;
    const left = state.at + GRACE - now;
    const hearing = now - this.#lastNews <= DEAF;
    return left > 0 || hearing ? left : left + GRACE;
  }
}
