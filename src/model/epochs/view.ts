/** What can be read from a sight: what this node has said, what it and its peers open and seal, where it moves to. */
import { type Advertisement, sayTheSame } from './advertisement.ts';
import { conflict, type Epoch, isKeyedByRun } from './epoch.ts';
import { isForRun, type Opening } from './plane.ts';
import type { Memory, Peer, Sight } from './sight.ts';

export class View {
  readonly sight: Sight;
  /** The latest that this run may have said, and what holds on of what an earlier one said. */
  readonly claimed: Advertisement | undefined;
  /** What this run has said, once it is known to have been said before all that the view does not show. */
  readonly echoed: Advertisement | undefined;
  /** Whether this run may have said anything. */
  readonly hasSpoken: boolean;
  readonly goal: Epoch;
  readonly blockedBy: Epoch | undefined;

  constructor(sight: Sight, { written }: Memory) {
    this.sight = sight;
    const { advertised, incarnation, target, plane } = sight;
    const own = [written, advertised].find(said => said?.incarnation === incarnation);
    const earlier = written ?? advertised;
    this.hasSpoken = own !== undefined;
    this.claimed = own ?? (earlier && inherited(earlier, incarnation));
    this.echoed =
      written?.incarnation === incarnation &&
      advertised !== undefined &&
      advertised.serial >= written.serial &&
      sayTheSame(advertised, written)
        ? advertised
        : undefined;
    this.blockedBy = plane.opens.map(({ epoch }) => epoch).find(epoch => conflict(epoch, target));
    this.goal = this.blockedBy === undefined ? target : this.#detour(target, this.blockedBy);
  }

  get peers(): readonly Peer[] {
    return this.sight.peers;
  }

  /** The goal stands: said, and heard by all who look from now on. */
  get isGoalSaid(): boolean {
    return this.echoed?.opens.includes(this.goal) === true;
  }

  /** With what this node seals anything. */
  get inUse(): Epoch[] {
    const { seals, probes } = this.sight.plane;
    return [...new Set([...seals, ...probes].map(({ epoch }) => epoch))];
  }

  /** What this node opens for anybody. */
  get opened(): Epoch[] {
    const { clear, opens } = this.sight.plane;
    return [...new Set([...(clear ? (['none'] as const) : []), ...opens.map(({ epoch }) => epoch)])];
  }

  isAble(epoch: Epoch): boolean {
    const { able, target, plane } = this.sight;
    if (epoch === 'none') return target === 'none';
    return able.includes(epoch) && !plane.opens.some(opening => conflict(opening.epoch, epoch));
  }

  /** Still to be had: some peer has it open, or it can be opened again. */
  isThere(epoch: Epoch): boolean {
    return this.isAble(epoch) || this.opened.includes(epoch);
  }

  isOpen(peer: Peer, epoch: Epoch): boolean {
    return epoch === 'none' ? this.sight.plane.clear : this.opening(peer, epoch) !== undefined;
  }

  isOpenForAll(epoch: Epoch): boolean {
    if (epoch === 'none') return this.sight.plane.clear;
    return this.isThere(epoch) && this.peers.every(peer => this.isOpen(peer, epoch));
  }

  opening({ name, advertised }: Peer, epoch: Epoch): Opening | undefined {
    return this.sight.plane.opens.find(
      opening =>
        opening.peer === name && opening.epoch === epoch && isForRun(opening, advertised.incarnation),
    );
  }

  /** How the traffic to this run of the peer is sealed now. */
  current({ name, advertised }: Peer): Epoch | undefined {
    const found = this.sight.plane.seals.find(
      seal => seal.peer === name && isForRun(seal, advertised.incarnation),
    );
    return found?.epoch;
  }

  /** Both have said that they open it, this node that it may seal with it, and that has been heard. */
  isAgreed(peer: Peer, epoch: Epoch): boolean {
    const mine = this.echoed;
    return (
      this.isOpen(peer, epoch) &&
      mine?.opens.includes(epoch) === true &&
      mine.seals.includes(epoch) &&
      peer.advertised.opens.includes(epoch)
    );
  }

  sealersOf(epoch: Epoch): Peer[] {
    return this.peers.filter(({ advertised }) => advertised.seals.includes(epoch));
  }

  /** Nobody seals with it, neither this node nor any that says so. */
  isIdle(epoch: Epoch): boolean {
    return this.sealersOf(epoch).length === 0 && !this.inUse.includes(epoch);
  }

  /** The newest other epoch to move to while a key under the same id is in the way; without one, that key. */
  #detour(target: Epoch, blockedBy: Epoch): Epoch {
    return this.claimed?.opens.toReversed().find(epoch => !conflict(epoch, target)) ?? blockedBy;
  }
}

/** What an earlier run has said is still true of what is not keyed by the run. */
function inherited(said: Advertisement, incarnation: string): Advertisement {
  const lasting = (epochs: readonly Epoch[]) => epochs.filter(epoch => !isKeyedByRun(epoch));
  return {
    incarnation,
    serial: said.serial,
    opens: lasting(said.opens),
    seals: lasting(said.seals),
    refuses: lasting(said.refuses),
  };
}
