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
 * Why a new run (incarnation) ends IPsec alone. IPsec's keys are derived from the runs of both ends: with a new run of
 * either they are others. What `none` and `wireguard` open does not depend on the run, so a sealing or an opening under them
 * goes on, and what the earlier run has advertised of them is a promise to this one: it keeps to it if the data plane still
 * has it or can have it again, retires it by the same steps as ever, and otherwise *refuses* it, at which the peers that
 * seal with it stop. Both ends of Dekker's argument hold across runs, as "I seal with this" and "I open this" stand in the
 * API without a gap. Nothing begins on the word of an earlier run: to start to seal takes an echo of what this run has
 * said, and to move a pair's traffic takes that the peer's present run has been heard. A run says nothing before it has
 * opened what it can, so that its first word does not take back what the earlier one has promised.
 *
 * Why nothing goes in the clear. `none` is an epoch that a node opens and starts to seal with only while it is the goal.
 * A cluster that is being switched on goes on in the clear pair by pair until the pair has moved, and never goes back.
 * A new run changes nothing in this: `none` is kept while the data plane still has it, and is never taken up again.
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
import { Clocks } from './clocks.ts';
import { type Epoch, protocolOf } from './epoch.ts';
import { type Change, isForRun, type Sealing } from './plane.ts';
import type { Decision, Memory, Peer, Sight, Timing } from './sight.ts';
import { View } from './view.ts';

export function decide(sight: Sight, memory: Memory, now: number, timing: Timing): Decision {
  const view = new View(sight, memory);
  return new Round(view, new Clocks(view, memory, now, timing), memory).decide();
}

class Round {
  readonly #view: View;
  readonly #clocks: Clocks;
  readonly #memory: Memory;

  constructor(view: View, clocks: Clocks, memory: Memory) {
    this.#view = view;
    this.#clocks = clocks;
    this.#memory = memory;
  }

  decide(): Decision {
    const { goal, blockedBy, echoed, hasSpoken, sight, inUse } = this.#view;
    const { moving, left, met } = this.#clocks;
    const seal = this.#changes(sight.plane.seals, peer => this.#sealFor(peer));
    const probe = this.#changes(sight.plane.probes, peer => this.#probeFor(peer));
    const started = [...seal, ...probe].flatMap(({ epoch }) => (epoch === undefined ? [] : [epoch]));
    const open = this.#toOpen();
    const wanted = this.#wanted([...inUse, ...started]);
    const quiet = this.#clocks.quietSince(this.#withdrawn());
    const clear = this.#isClear(quiet);
    const isTooEarly = !hasSpoken && (open.length > 0 || (clear && !sight.plane.clear));
    const written = isTooEarly ? this.#memory.written : this.#toWrite(wanted);
    const isNews = !isTooEarly && (echoed === undefined || written !== this.#memory.written);
    const wakeAt = this.#clocks.wakeAt(quiet);
    return {
      goal,
      ...(blockedBy === undefined ? {} : { blockedBy }),
      clear,
      open,
      close: this.#toClose(quiet),
      seal,
      probe,
      ...(isNews && written ? { advertise: written } : {}),
      overdue: wanted.refuses.flatMap(epoch =>
        this.#view.sealersOf(epoch).map(({ name: peer }) => ({ peer, epoch })),
      ),
      ...(wakeAt === undefined ? {} : { wakeAt }),
      memory: { ...(written ? { written } : {}), ...(moving ? { moving } : {}), left, quiet, met },
    };
  }

  // 1. Install to open.

  #toOpen(): Sealing[] {
    const { claimed, goal, peers } = this.#view;
    const epochs = [...new Set([...(claimed?.opens ?? []), ...this.#needed(), goal])];
    return epochs
      .filter(epoch => epoch !== 'none')
      .filter(epoch => this.#view.isAble(epoch) && (epoch === goal || !this.#mayWithdraw(epoch)))
      .flatMap(epoch =>
        peers
          .filter(peer => !this.#view.isOpen(peer, epoch))
          .map(({ name, advertised }) => ({ peer: name, incarnation: advertised.incarnation, epoch })),
      );
  }

  /** What a peer that lacks the goal has, and this node has a key for. */
  #needed(): Epoch[] {
    const { peers, goal, sight } = this.#view;
    const behind = peers.filter(({ advertised }) => !advertised.opens.includes(goal));
    return sight.able.filter(
      epoch =>
        !this.#clocks.isExpired(epoch) && behind.some(({ advertised }) => advertised.seals.includes(epoch)),
    );
  }

  // 2. Advertise.

  #wanted(inUse: readonly Epoch[]): Omit<Advertisement, 'serial'> {
    const { claimed, goal, sight } = this.#view;
    const promised = claimed?.opens ?? [];
    const kept = promised.filter(epoch => !this.#mayWithdraw(epoch) && this.#view.isThere(epoch));
    const fresh = [...this.#needed(), ...this.#stillSealed(), goal].filter(
      epoch => !kept.includes(epoch) && this.#view.isOpenForAll(epoch),
    );
    const opens = [...new Set([...kept, ...fresh])];
    const seals = [...new Set([...inUse, ...this.#intents(opens)])].sort();
    const refuses = [...promised, ...(claimed?.refuses ?? [])].filter(epoch => this.#isRefused(epoch));
    return { incarnation: sight.incarnation, opens, seals, refuses: [...new Set(refuses)].sort() };
  }

  /** A writing that is on its way is repeated as it is. */
  #toWrite(wanted: Omit<Advertisement, 'serial'>): Advertisement {
    const { written } = this.#memory;
    const { advertised } = this.#view.sight;
    const isOvertaken = !this.#view.echoed && written && advertised && advertised.serial >= written.serial;
    if (written && !isOvertaken && sayTheSame({ ...wanted, serial: 0 }, written)) return written;
    return { ...wanted, serial: Math.max(written?.serial ?? 0, advertised?.serial ?? 0) + 1 };
  }

  /** With what this node wants to be free to start sealing. */
  #intents(opens: readonly Epoch[]): Epoch[] {
    const { peers, goal } = this.#view;
    const stranded = peers.filter(
      peer => !peer.advertised.opens.includes(goal) && this.#view.current(peer) === undefined,
    );
    return opens.filter(
      epoch =>
        epoch === goal ||
        (!this.#clocks.isExpired(epoch) &&
          stranded.some(({ advertised }) => advertised.opens.includes(epoch))),
    );
  }

  /** An epoch that was withdrawn too early: a peer has begun to seal with it meanwhile. */
  #stillSealed(): Epoch[] {
    return this.#view.opened.filter(
      epoch => !this.#clocks.isExpired(epoch) && this.#view.sealersOf(epoch).length > 0,
    );
  }

  /** Promised, and sealed with by somebody; but its time has run out, or it is lost. */
  #isRefused(epoch: Epoch): boolean {
    const { goal } = this.#view;
    if (this.#view.sealersOf(epoch).length === 0) return false;
    return epoch === goal ? false : this.#clocks.isExpired(epoch) || !this.#view.isThere(epoch);
  }

  // 3. Switch to seal.

  #sealFor(peer: Peer): Epoch | undefined {
    const { goal } = this.#view;
    const kept = this.#kept(peer);
    if (kept === goal) return kept;
    if (kept !== undefined) return this.#mayMove() && this.#mayStart(peer, goal, true) ? goal : kept;
    return this.#best().find(epoch => this.#mayStart(peer, epoch, false));
  }

  #probeFor(peer: Peer): Epoch | undefined {
    const kept = this.#kept(peer);
    const candidates = kept === undefined ? this.#best() : this.#mayMove() ? [this.#view.goal, kept] : [kept];
    return candidates.find(epoch => epoch !== 'none' && this.#view.isAgreed(peer, epoch));
  }

  /** With what the traffic to the peer is sealed now, if that may go on. */
  #kept(peer: Peer): Epoch | undefined {
    const current = this.#view.current(peer);
    if (current === undefined || peer.advertised.refuses.includes(current)) return undefined;
    return current === this.#view.goal || !this.#clocks.isExpired(current) ? current : undefined;
  }

  #mayStart(peer: Peer, epoch: Epoch, hasOther: boolean): boolean {
    if (!this.#view.isAgreed(peer, epoch)) return false;
    const protocol = protocolOf(epoch);
    if (protocol === 'none') return this.#view.goal === 'none';
    return (protocol === 'wireguard' && !hasOther) || this.#clocks.hasHeard(peer, epoch);
  }

  /** All that open anything open the goal, or have been waited for long enough. */
  #mayMove(): boolean {
    const { peers, goal } = this.#view;
    const behind = peers.some(
      ({ advertised }) => advertised.opens.length > 0 && !advertised.opens.includes(goal),
    );
    return !behind || this.#clocks.isImpatient();
  }

  /** The goal first, then from the newest to the oldest. */
  #best(): Epoch[] {
    const { claimed, goal } = this.#view;
    const others = (claimed?.opens ?? []).filter(epoch => epoch !== goal && !this.#clocks.isExpired(epoch));
    return [goal, ...others.toReversed()];
  }

  #changes(now: readonly Sealing[], choose: (peer: Peer) => Epoch | undefined): Change[] {
    const { peers } = this.#view;
    const changes: Change[] = [];
    for (const peer of peers) {
      const { incarnation } = peer.advertised;
      const before = now.find(sealing => sealing.peer === peer.name);
      const epoch = choose(peer);
      const isSame = before?.epoch === epoch && (before === undefined || isForRun(before, incarnation));
      if (!isSame) changes.push({ peer: peer.name, incarnation, epoch });
    }
    const gone = now.filter(({ peer }) => !peers.some(({ name }) => name === peer));
    return [...changes, ...gone.map(({ peer, incarnation }) => ({ peer, incarnation, epoch: undefined }))];
  }

  // 4. Drain, 5. retire.

  /** The goal stands beside it, and nobody seals with it; or its time has run out. */
  #mayWithdraw(epoch: Epoch): boolean {
    if (epoch === this.#view.goal) return false;
    return this.#clocks.isExpired(epoch) || (this.#view.isGoalSaid && this.#view.isIdle(epoch));
  }

  #withdrawn(): Epoch[] {
    const { echoed, opened } = this.#view;
    if (!echoed) return [];
    return opened.filter(epoch => !echoed.opens.includes(epoch) && this.#mayWithdraw(epoch));
  }

  #toClose(quiet: Memory['quiet']): Sealing[] {
    const { plane } = this.#view.sight;
    return plane.opens
      .filter(opening => {
        const isThere = this.#view.peers.some(
          ({ name, advertised }) => name === opening.peer && isForRun(opening, advertised.incarnation),
        );
        return !isThere || this.#clocks.isDrained(opening.epoch, quiet);
      })
      .map(({ peer, incarnation, epoch }) => ({ peer, incarnation, epoch }));
  }

  #isClear(quiet: Memory['quiet']): boolean {
    const { goal, sight } = this.#view;
    return goal === 'none' || (sight.plane.clear && !this.#clocks.isDrained('none', quiet));
  }
}
