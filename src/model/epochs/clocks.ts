/** What depends on time: how long an epoch has been left, a peer been waited for, a withdrawn epoch been quiet. */
import { type Epoch, isKeyedByRun } from './epoch.ts';
import type { Memory, Peer, Timing } from './sight.ts';
import type { View } from './view.ts';

export class Clocks {
  readonly left: Memory['left'];
  readonly moving: Memory['moving'];
  readonly met: Memory['met'];
  readonly #view: View;
  readonly #memory: Memory;
  readonly #now: number;
  readonly #timing: Timing;

  constructor(view: View, memory: Memory, now: number, timing: Timing) {
    this.#view = view;
    this.#memory = memory;
    this.#now = now;
    this.#timing = timing;
    this.left = this.#leftSince();
    this.moving = this.#movingSince();
    this.met = this.#metSince();
  }

  /** Its time has run out. */
  isExpired(epoch: Epoch): boolean {
    const { bound } = this.#timing;
    const left = this.left[epoch];
    return bound !== undefined && left !== undefined && this.#now >= left + bound;
  }

  /** Whether the others have been waited for long enough. */
  isImpatient(): boolean {
    const { patience } = this.#timing;
    return patience !== undefined && this.moving !== undefined && this.#now >= this.moving.since + patience;
  }

  /** Whether this run of the peer has been heard under the epoch. */
  hasHeard(peer: Peer, epoch: Epoch): boolean {
    const heardAt = this.#view.opening(peer, epoch)?.heardAt;
    if (heardAt === undefined) return false;
    return isKeyedByRun(epoch) || heardAt >= (this.met[peer.name]?.since ?? Number.NEGATIVE_INFINITY);
  }

  /** Since when those epochs are quiet. */
  quietSince(epochs: readonly Epoch[]): Record<string, number> {
    return Object.fromEntries(epochs.map(epoch => [epoch, this.#memory.quiet[epoch] ?? this.#now]));
  }

  isDrained(epoch: Epoch, quiet: Memory['quiet']): boolean {
    const since = quiet[epoch];
    return since !== undefined && this.#now >= this.#drainedAt(epoch, since);
  }

  /** When there may be something to decide though nothing has changed. */
  wakeAt(quiet: Memory['quiet']): number | undefined {
    const { patience, bound } = this.#timing;
    const times = Object.entries(quiet).map(([epoch, since]) => this.#drainedAt(epoch as Epoch, since));
    if (patience !== undefined && this.moving) times.push(this.moving.since + patience);
    if (bound !== undefined) times.push(...Object.values(this.left).map(since => since + bound));
    const ahead = times.filter(time => time > this.#now);
    return ahead.length === 0 ? undefined : Math.min(...ahead);
  }

  /** Packets that still come put it off, but for those of a refused epoch. */
  #drainedAt(epoch: Epoch, quietSince: number): number {
    const heard = this.#view.sight.plane.opens.flatMap(opening =>
      opening.epoch === epoch && opening.heardAt !== undefined ? [opening.heardAt] : [],
    );
    const last = this.isExpired(epoch) ? quietSince : Math.max(quietSince, ...heard);
    return last + this.#timing.drain;
  }

  #leftSince(): Record<string, number> {
    const { goal, isGoalSaid, opened, claimed, peers } = this.#view;
    const said = peers.flatMap(({ advertised }) => [...advertised.opens, ...advertised.seals]);
    const left: Record<string, number> = {};
    for (const epoch of [...opened, ...(claimed?.opens ?? []), ...said]) {
      const since = this.#memory.left[epoch] ?? (isGoalSaid ? this.#now : undefined);
      if (epoch !== goal && since !== undefined) left[epoch] = since;
    }
    return left;
  }

  #movingSince(): Memory['moving'] {
    const { goal, isGoalSaid } = this.#view;
    if (!isGoalSaid) return undefined;
    const before = this.#memory.moving;
    return before?.epoch === goal ? before : { epoch: goal, since: this.#now };
  }

  #metSince(): Memory['met'] {
    const met: Record<string, { incarnation: string; since?: number }> = {};
    for (const { name, advertised } of this.#view.peers) {
      const { incarnation } = advertised;
      const before = this.#memory.met[name];
      if (before?.incarnation === incarnation) met[name] = before;
      else met[name] = before ? { incarnation, since: this.#now } : { incarnation };
    }
    return met;
  }
}
