/**
 * The law as a machine: *receive first, advertise, then send*. First start, rotation, change of protocol, switching on and
 * off, a node that joins, reboots or leaves: all of them are moves from one epoch to the next, and this is the move.
 *
 * Each node runs the machine for itself. It sees the goal (what Secret and configuration ask for), the advertisements of
 * all nodes, its own among them, and its data plane; it answers what to do next. Nothing is remembered but the clocks and
 * the last writing: after a crash it goes on from what it sees. A node moves to a new epoch in five steps.
 *
 *  1. *Install to open.* The new epoch is opened for every peer, beside the old one.
 *  2. *Advertise.* The node writes that it opens the new epoch, and in the same writing that it may seal with it.
 *  3. *Switch to seal.* When all peers advertise the new epoch, each pair tries it with a probe, and whoever has heard the
 *     other under it moves the pair's traffic over, at once and for good. Then the node writes that it no longer seals with
 *     the old epoch. A pair with no epoch in common before does not wait for the others; nor does anybody wait longer than
 *     `patience`.
 *  4. *Drain.* When nobody writes that it seals with the old epoch, the node writes that it no longer opens it, and waits
 *     until packets on their way have had their time.
 *  5. *Retire.* The old epoch is closed.
 *
 * Why nobody is deaf. A node closes an epoch only after its withdrawal has come back to it in its view of the API, and if
 * in that same view no peer writes that it seals with it. A node seals with an epoch only after "I may seal with this" has
 * come back to it, and if in that same view the peer writes that it opens it. Views follow the one order of the API's
 * writings, so of two such nodes at least one sees what the other wrote, and gives way (Dekker's argument). What the API
 * cannot tell is whether the peer has seen *this run* of the node, from which the keys are derived; so the node waits until
 * it has heard the peer under the epoch, which the peer can only seal with when it has. Probes may go unheard, traffic not.
 * WireGuard proves the same by its handshake and holds packets back until then.
 *
 * Why nothing goes in the clear. `none` is an epoch that a node opens and starts to seal with only while it is the goal.
 * A cluster that is being switched on goes on in the clear pair by pair until the pair has moved, and never goes back.
 *
 * Why no nonce comes twice. A run of a node (incarnation) has its own keys; it ends with the counters of its data plane.
 * Whoever applies decisions keeps the counters of an SA that is closed, and opens it again from there.
 *
 * The bound (`ipsec-key-rotation-duration`) is the one place where safety yields to the wish to be rid of an old key: after
 * it the old epoch is refused even to a peer that still seals with it, and that peer is named in `overdue`. Without a bound
 * a dead peer holds the old epoch open.
 *
 * A decision is a set of steps each of which is safe by itself: in any order, and when only some of them are done.
 */
import { type Advertisement, sayTheSame } from './advertisement.ts';
import { conflict, type Epoch, protocolOf } from './epoch.ts';

/** What a node sees. Its advertisement and those of the peers have to be of one view: a prefix of the API's writings. */
export interface Sight {
  /** This run of this node. A new one begins with an empty data plane, and an empty data plane begins a new one. */
  readonly incarnation: string;
  /** What Secret and configuration ask for. */
  readonly target: Epoch;
  /** What this node has keys for: the target, and what else it has read since it started. */
  readonly able: readonly Epoch[];
  /** What this node last wrote, as far as the view goes. */
  readonly advertised: Advertisement | undefined;
  readonly peers: readonly Peer[];
  readonly plane: Plane;
}

export interface Peer {
  readonly name: string;
  readonly advertised: Advertisement;
}

/** What the data plane does now. */
export interface Plane {
  /** Whether what comes in the clear is let in, from whomever. */
  readonly clear: boolean;
  /** Without `none`. */
  readonly opens: readonly Opening[];
  /** How the traffic to a peer is sealed: one epoch a peer; a peer without is sent nothing. */
  readonly seals: readonly Sealing[];
  /** How probes to a peer are sealed, which carry no traffic of pods: heartbeats between the nodes themselves. */
  readonly probes: readonly Sealing[];
}

/** One run of a peer, under one epoch. */
export interface Sealing {
  readonly peer: string;
  readonly incarnation: string;
  readonly epoch: Epoch;
}

export interface Opening extends Sealing {
  /** When something was last opened; absent: never. */
  readonly heardAt?: number;
}

/** All in milliseconds. */
export interface Timing {
  /** How long a packet can be on its way. */
  readonly drain: number;
  /** How long those that can move wait for those that cannot. */
  readonly patience?: number;
  /** After so long an old epoch is refused, whoever seals with it. */
  readonly bound?: number;
}

/** What the machine keeps between two decisions; empty at the start of the agent. */
export interface Memory {
  /** The last writing that was decided; it may have arrived or not. */
  readonly written?: Advertisement;
  /** Since when the goal has been advertised. */
  readonly moving?: { readonly epoch: Epoch; readonly since: number };
  /** Since when an epoch is no goal any more, by epoch. */
  readonly left: Readonly<Record<string, number>>;
  /** Since when an epoch is withdrawn and sealed with by nobody, by epoch. */
  readonly quiet: Readonly<Record<string, number>>;
}

export const NO_MEMORY: Memory = { left: {}, quiet: {} };

/** How the traffic or the probes to a peer are sealed from now on; without an epoch nothing is sent. */
export interface Change {
  readonly peer: string;
  readonly incarnation: string;
  readonly epoch: Epoch | undefined;
}

export interface Decision {
  /** What the node moves to: the target, unless another key under its id has to go first. */
  readonly goal: Epoch;
  readonly blockedBy?: Epoch;
  /** Whether to let in what comes in the clear. */
  readonly clear: boolean;
  readonly open: readonly Sealing[];
  readonly close: readonly Sealing[];
  readonly seal: readonly Change[];
  readonly probe: readonly Change[];
  /** To be written in place of `Sight.advertised`, and of nothing else (the API's resourceVersion). */
  readonly advertise?: Advertisement;
  /** Peers that still seal with an epoch which is refused. */
  readonly overdue: readonly { readonly peer: string; readonly epoch: Epoch }[];
  /** When to decide again though nothing has changed. */
  readonly wakeAt?: number;
  readonly memory: Memory;
}

export function decide(sight: Sight, memory: Memory, now: number, timing: Timing): Decision {
  const round = new Round(sight, memory, now, timing);
  return round.decide();
}

class Round {
  readonly #sight: Sight;
  readonly #memory: Memory;
  readonly #now: number;
  readonly #timing: Timing;
  readonly #peers: readonly Peer[];
  /** The latest that this run may have said. */
  readonly #claimed: Advertisement | undefined;
  /** The same, once it is known to have been said before all that the view does not show. */
  readonly #echoed: Advertisement | undefined;
  readonly #goal: Epoch;
  readonly #blockedBy: Epoch | undefined;
  readonly #left: Readonly<Record<string, number>>;
  readonly #moving: Memory['moving'];
  /** With what this node seals, now and by this decision. */
  readonly #inUse: Set<Epoch>;

  constructor(sight: Sight, memory: Memory, now: number, timing: Timing) {
    this.#sight = sight;
    this.#memory = memory;
    this.#now = now;
    this.#timing = timing;
    this.#peers = sight.peers;
    const { advertised, incarnation, target, plane } = sight;
    const { written } = memory;
    const own = advertised?.incarnation === incarnation ? advertised : undefined;
    this.#claimed = written ?? own;
    this.#echoed =
      written && own && own.serial >= written.serial && sayTheSame(own, written) ? own : undefined;
    this.#blockedBy = plane.opens.map(({ epoch }) => epoch).find(epoch => conflict(epoch, target));
    this.#goal = this.#blockedBy === undefined ? target : this.#detour(target, this.#blockedBy);
    this.#inUse = new Set([...plane.seals, ...plane.probes].map(({ epoch }) => epoch));
    this.#left = this.#leftSince();
    this.#moving = this.#movingSince();
  }

  decide(): Decision {
    const { advertised } = this.#sight;
    const seal = this.#changes(this.#sight.plane.seals, peer => this.#sealFor(peer));
    const probe = this.#changes(this.#sight.plane.probes, peer => this.#probeFor(peer));
    for (const { epoch } of [...seal, ...probe]) if (epoch !== undefined) this.#inUse.add(epoch);
    const open = this.#toOpen();
    const wanted = this.#wanted();
    const written = this.#toWrite(wanted);
    // At the very first, opening and writing are one: peers need not hear of a node that can open nothing yet.
    const isFirst = advertised === undefined && open.length > 0;
    const quiet = this.#quietSince();
    const wakeAt = this.#wakeAt(quiet);
    return {
      goal: this.#goal,
      ...(this.#blockedBy === undefined ? {} : { blockedBy: this.#blockedBy }),
      clear: this.#mayStayClear(quiet),
      open,
      close: this.#toClose(quiet),
      seal,
      probe,
      ...(this.#echoed === undefined || written !== this.#memory.written
        ? isFirst
          ? {}
          : { advertise: written }
        : {}),
      overdue: wanted.refuses.flatMap(epoch =>
        this.#sealersOf(epoch).map(({ name: peer }) => ({ peer, epoch })),
      ),
      ...(wakeAt === undefined ? {} : { wakeAt }),
      memory: {
        ...(isFirst ? {} : { written }),
        ...(this.#moving === undefined ? {} : { moving: this.#moving }),
        left: this.#left,
        quiet,
      },
    };
  }

  // 1. Install to open.

  #toOpen(): Sealing[] {
    const epochs = [...new Set([...(this.#claimed?.opens ?? []), ...this.#needed(), this.#goal])];
    return epochs
      .filter(epoch => epoch !== 'none')
      .filter(epoch => this.#isAble(epoch) && (epoch === this.#goal || !this.#mayWithdraw(epoch)))
      .flatMap(epoch =>
        this.#peers
          .filter(peer => !this.#isOpen(peer, epoch))
          .map(({ name, advertised }) => ({ peer: name, incarnation: advertised.incarnation, epoch })),
      );
  }

  /** What a peer that lacks the goal has, and this node has a key for. */
  #needed(): Epoch[] {
    const behind = this.#peers.filter(({ advertised }) => !advertised.opens.includes(this.#goal));
    return this.#sight.able.filter(
      epoch => !this.#isExpired(epoch) && behind.some(({ advertised }) => advertised.seals.includes(epoch)),
    );
  }

  #isAble(epoch: Epoch): boolean {
    const { able, target, plane } = this.#sight;
    if (epoch === 'none') return target === 'none';
    return able.includes(epoch) && !plane.opens.some(opening => conflict(opening.epoch, epoch));
  }

  // 2. Advertise.

  #wanted(): Omit<Advertisement, 'serial'> {
    const claimed = this.#claimed?.opens ?? [];
    const kept = claimed.filter(epoch => !this.#mayWithdraw(epoch) && this.#isThere(epoch));
    const fresh = [...this.#needed(), ...this.#stillSealed(), this.#goal].filter(
      epoch => !kept.includes(epoch) && this.#isOpenForAll(epoch),
    );
    const opens = [...new Set([...kept, ...fresh])];
    const seals = [...new Set([...this.#inUse, ...this.#intents(opens)])].sort();
    const refuses = claimed
      .concat(this.#claimed?.refuses ?? [])
      .filter(epoch => epoch !== this.#goal && this.#isExpired(epoch) && this.#sealersOf(epoch).length > 0);
    return { incarnation: this.#sight.incarnation, opens, seals, refuses: [...new Set(refuses)].sort() };
  }

  /** A writing that is on its way is repeated as it is. */
  #toWrite(wanted: Omit<Advertisement, 'serial'>): Advertisement {
    const { written } = this.#memory;
    const { advertised } = this.#sight;
    const isOvertaken = !this.#echoed && written && advertised && advertised.serial >= written.serial;
    if (written && !isOvertaken && sayTheSame({ ...wanted, serial: 0 }, written)) return written;
    return { ...wanted, serial: Math.max(written?.serial ?? 0, advertised?.serial ?? 0) + 1 };
  }

  /** With what this node wants to be free to start sealing. */
  #intents(opens: readonly Epoch[]): Epoch[] {
    const stranded = this.#peers.filter(
      peer => !peer.advertised.opens.includes(this.#goal) && this.#current(peer) === undefined,
    );
    return opens.filter(
      epoch =>
        epoch === this.#goal ||
        (!this.#isExpired(epoch) && stranded.some(({ advertised }) => advertised.opens.includes(epoch))),
    );
  }

  /** An epoch that was withdrawn too early: a peer has begun to seal with it meanwhile. */
  #stillSealed(): Epoch[] {
    return this.#opened().filter(epoch => !this.#isExpired(epoch) && this.#sealersOf(epoch).length > 0);
  }

  /** Still to be had: some peer has it open, or it can be opened again. */
  #isThere(epoch: Epoch): boolean {
    return this.#isAble(epoch) || this.#opened().includes(epoch);
  }

  #isOpenForAll(epoch: Epoch): boolean {
    if (epoch === 'none') return this.#sight.plane.clear;
    return this.#isThere(epoch) && this.#peers.every(peer => this.#isOpen(peer, epoch));
  }

  // 3. Switch to seal.

  #sealFor(peer: Peer): Epoch | undefined {
    const current = this.#current(peer);
    const kept = current !== undefined && this.#mayKeep(peer, current) ? current : undefined;
    if (kept === this.#goal) return kept;
    if (kept !== undefined)
      return this.#mayMove() && this.#mayStart(peer, this.#goal, true) ? this.#goal : kept;
    return this.#best().find(epoch => this.#mayStart(peer, epoch, false));
  }

  #probeFor(peer: Peer): Epoch | undefined {
    const current = this.#current(peer);
    const kept = current !== undefined && this.#mayKeep(peer, current) ? current : undefined;
    const candidates = kept === undefined ? this.#best() : this.#mayMove() ? [this.#goal, kept] : [kept];
    return candidates.find(epoch => epoch !== 'none' && this.#isAgreed(peer, epoch));
  }

  /** How the traffic to this run of the peer is sealed now. */
  #current(peer: Peer): Epoch | undefined {
    const { incarnation } = peer.advertised;
    return this.#sight.plane.seals.find(seal => seal.peer === peer.name && seal.incarnation === incarnation)
      ?.epoch;
  }

  #mayKeep(peer: Peer, epoch: Epoch): boolean {
    return !peer.advertised.refuses.includes(epoch) && (epoch === this.#goal || !this.#isExpired(epoch));
  }

  #mayStart(peer: Peer, epoch: Epoch, hasOther: boolean): boolean {
    if (!this.#isAgreed(peer, epoch)) return false;
    const protocol = protocolOf(epoch);
    if (protocol === 'none') return this.#goal === 'none';
    if (protocol === 'wireguard' && !hasOther) return true;
    return this.#opening(peer, epoch)?.heardAt !== undefined;
  }

  /** Both have said that they open it, this node that it may seal with it, and that has been heard. */
  #isAgreed(peer: Peer, epoch: Epoch): boolean {
    const mine = this.#echoed;
    return (
      this.#isOpen(peer, epoch) &&
      mine?.opens.includes(epoch) === true &&
      mine.seals.includes(epoch) &&
      peer.advertised.opens.includes(epoch)
    );
  }

  /** All that open anything open the goal, or have been waited for long enough. */
  #mayMove(): boolean {
    const { patience } = this.#timing;
    const isPatient = patience === undefined || !this.#moving || this.#now < this.#moving.since + patience;
    const behind = this.#peers.some(
      ({ advertised }) => advertised.opens.length > 0 && !advertised.opens.includes(this.#goal),
    );
    return !behind || !isPatient;
  }

  /** The goal first, then from the newest to the oldest. */
  #best(): Epoch[] {
    const opens = this.#claimed?.opens ?? [];
    return [
      this.#goal,
      ...opens.filter(epoch => epoch !== this.#goal && !this.#isExpired(epoch)).toReversed(),
    ];
  }

  #changes(now: readonly Sealing[], choose: (peer: Peer) => Epoch | undefined): Change[] {
    const changes: Change[] = [];
    for (const peer of this.#peers) {
      const { incarnation } = peer.advertised;
      const before = now.find(sealing => sealing.peer === peer.name);
      const epoch = choose(peer);
      const isSame = before?.epoch === epoch && (before === undefined || before.incarnation === incarnation);
      if (!isSame) changes.push({ peer: peer.name, incarnation, epoch });
    }
    const gone = now.filter(({ peer }) => !this.#peers.some(({ name }) => name === peer));
    return [...changes, ...gone.map(({ peer, incarnation }) => ({ peer, incarnation, epoch: undefined }))];
  }

  // 4. Drain, 5. retire.

  /** The goal stands beside it, and nobody seals with it; or its time has run out. */
  #mayWithdraw(epoch: Epoch): boolean {
    if (epoch === this.#goal) return false;
    if (this.#isExpired(epoch)) return true;
    return this.#echoed?.opens.includes(this.#goal) === true && this.#isIdle(epoch);
  }

  #isIdle(epoch: Epoch): boolean {
    const { seals, probes } = this.#sight.plane;
    return (
      this.#sealersOf(epoch).length === 0 && ![...seals, ...probes].some(sealing => sealing.epoch === epoch)
    );
  }

  #sealersOf(epoch: Epoch): Peer[] {
    return this.#peers.filter(({ advertised }) => advertised.seals.includes(epoch));
  }

  #quietSince(): Record<string, number> {
    const quiet: Record<string, number> = {};
    for (const epoch of this.#opened()) {
      const isWithdrawn = this.#echoed !== undefined && !this.#echoed.opens.includes(epoch);
      if (!isWithdrawn || !this.#mayWithdraw(epoch)) continue;
      quiet[epoch] = this.#memory.quiet[epoch] ?? this.#now;
    }
    return quiet;
  }

  #toClose(quiet: Record<string, number>): Sealing[] {
    return this.#sight.plane.opens
      .filter(opening => {
        const isGone = !this.#peers.some(
          ({ name, advertised }) => name === opening.peer && advertised.incarnation === opening.incarnation,
        );
        return isGone || this.#isDrained(opening.epoch, quiet);
      })
      .map(({ peer, incarnation, epoch }) => ({ peer, incarnation, epoch }));
  }

  #mayStayClear(quiet: Record<string, number>): boolean {
    return this.#goal === 'none' || (this.#sight.plane.clear && !this.#isDrained('none', quiet));
  }

  #isDrained(epoch: Epoch, quiet: Record<string, number>): boolean {
    const since = quiet[epoch];
    return since !== undefined && this.#now >= this.#drainedAt(epoch, since);
  }

  /** Packets that still come put it off, but for those of a refused epoch. */
  #drainedAt(epoch: Epoch, quietSince: number): number {
    const heard = this.#sight.plane.opens.flatMap(opening =>
      opening.epoch === epoch && opening.heardAt !== undefined ? [opening.heardAt] : [],
    );
    const last = this.#isExpired(epoch) ? quietSince : Math.max(quietSince, ...heard);
    return last + this.#timing.drain;
  }

  // Clocks.

  #isExpired(epoch: Epoch): boolean {
    const { bound } = this.#timing;
    const left = this.#left[epoch];
    return bound !== undefined && left !== undefined && this.#now >= left + bound;
  }

  #leftSince(): Record<string, number> {
    const left: Record<string, number> = {};
    if (!this.#echoed?.opens.includes(this.#goal)) return { ...this.#memory.left };
    const known = [...this.#opened(), ...(this.#claimed?.opens ?? [])];
    for (const epoch of known) {
      if (epoch !== this.#goal) left[epoch] = this.#memory.left[epoch] ?? this.#now;
    }
    return left;
  }

  #movingSince(): Memory['moving'] {
    if (!this.#echoed?.opens.includes(this.#goal)) return undefined;
    const before = this.#memory.moving;
    return before?.epoch === this.#goal ? before : { epoch: this.#goal, since: this.#now };
  }

  #wakeAt(quiet: Record<string, number>): number | undefined {
    const { patience, bound } = this.#timing;
    const times = Object.entries(quiet).map(([epoch, since]) => this.#drainedAt(epoch as Epoch, since));
    if (patience !== undefined && this.#moving) times.push(this.#moving.since + patience);
    if (bound !== undefined) times.push(...Object.values(this.#left).map(since => since + bound));
    const ahead = times.filter(time => time > this.#now);
    return ahead.length === 0 ? undefined : Math.min(...ahead);
  }

  // What is there.

  #opened(): Epoch[] {
    const { clear, opens } = this.#sight.plane;
    return [...new Set([...(clear ? (['none'] as const) : []), ...opens.map(({ epoch }) => epoch)])];
  }

  #isOpen(peer: Peer, epoch: Epoch): boolean {
    return epoch === 'none' ? this.#sight.plane.clear : this.#opening(peer, epoch) !== undefined;
  }

  #opening(peer: Peer, epoch: Epoch): Opening | undefined {
    const { incarnation } = peer.advertised;
    return this.#sight.plane.opens.find(
      opening => opening.peer === peer.name && opening.incarnation === incarnation && opening.epoch === epoch,
    );
  }

  /** The newest other epoch to move to while a key under the same id is in the way; without one, that key. */
  #detour(target: Epoch, blockedBy: Epoch): Epoch {
    return this.#claimed?.opens.toReversed().find(epoch => !conflict(epoch, target)) ?? blockedBy;
  }
}
