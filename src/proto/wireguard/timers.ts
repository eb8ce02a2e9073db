/**
 * The five timers of a peer (paper, 6; the Linux module's timers.c):
 *
 * - retransmit: an initiation got no answer for 5 s and a little: send another one, and give up after 90 s.
 * - keepalive: data came in and nothing went out for 10 s: send an empty packet, so that the peer knows we are there.
 * - newHandshake: data went out and nothing at all came back for 15 s: the peer may have lost its keys: initiate.
 * - zeroKeys: the last session began 540 s ago: wipe every key of the peer.
 * - persistentKeepalive: nothing went either way for the interval that the user set: send an empty packet.
 *
 * And one of our own, breakTie: both sides initiated at once, and the other's session is not confirmed: take ours.
 *
 * The packet loop does not call for each packet. `keepalive` and `newHandshake` are armed by its first edge; when they are
 * due, they ask for its record of the peer, and fire, wait on, or disarm and ask for the next edge.
 */
import type { Activity } from './api.ts';
import type { CarriedTimers } from './carried.ts';
import {
  KEEPALIVE_TIMEOUT,
  NEW_HANDSHAKE_AFTER_SILENCE,
  REKEY_ATTEMPT_TIME,
  REKEY_TIMEOUT,
  TIE_TIMEOUT,
  ZERO_KEYS_AFTER_TIME,
} from './limits.ts';

export interface TimerActions {
  activity(): Activity;
  /** Random milliseconds, below 334. */
  jitter(): number;
  /** A new attempt, which calls `attemptBegins`. */
  beginHandshake(now: number): void;
  /** Another initiation of the same attempt. */
  retry(now: number): void;
  giveUp(now: number): void;
  breakTie(now: number): void;
  sendKeepalive(): void;
  zeroKeys(): void;
  watch(edge: 'dataSent' | 'dataReceived', after: number): void;
}

const NAMES = [
  'retransmit',
  'keepalive',
  'newHandshake',
  'zeroKeys',
  'persistentKeepalive',
  'breakTie',
] as const;
type Name = (typeof NAMES)[number];

function isName(name: string): name is Name {
  return NAMES.some(known => known === name);
}

interface Armed {
  readonly since: number;
  readonly at: number;
}

export class PeerTimers {
  readonly #actions: TimerActions;
  readonly #armed = new Map<Name, Armed>();
  #attemptingSince = 0;
  /** Milliseconds; 0 is off. */
  #persistentInterval = 0;
  #handshakeTrafficAt = 0;

  constructor(actions: TimerActions, carried?: CarriedTimers) {
    this.#actions = actions;
    if (!carried) return;
    for (const { name, since, at } of carried.armed) if (isName(name)) this.#armed.set(name, { since, at });
    this.#attemptingSince = carried.attemptingSince;
    this.#persistentInterval = carried.persistentInterval;
    this.#handshakeTrafficAt = carried.handshakeTrafficAt;
  }

  carry(): CarriedTimers {
    return {
      armed: [...this.#armed].map(([name, { since, at }]) => ({ name, since, at })),
      attemptingSince: this.#attemptingSince,
      persistentInterval: this.#persistentInterval,
      handshakeTrafficAt: this.#handshakeTrafficAt,
    };
  }

  /** The timer that is due first. */
  next(): { at: number; why: Name } | undefined {
    let first: { at: number; why: Name } | undefined;
    for (const [why, { at }] of this.#armed) if (!first || at < first.at) first = { at, why };
    return first;
  }

  /** Fires what is due. */
  handleTimeout(now: number): void {
    for (const [name, armed] of [...this.#armed]) {
      if (armed.at > now || this.#armed.get(name) !== armed) continue;
      this.#armed.delete(name);
      this.#fire(name, armed, now);
    }
  }

  /** A handshake begins, not as a retry of the last: it has its whole 90 s. */
  attemptBegins(now: number): void {
    this.#attemptingSince = now;
  }

  /** An initiation went out, or has to wait until `base` is 5 s ago. */
  awaitAnswer(base: number): void {
    this.#arm('retransmit', base, REKEY_TIMEOUT + this.#actions.jitter());
  }

  get awaitsAnswer(): boolean {
    return this.#armed.has('retransmit');
  }

  /** A handshake message went out, or an authenticated one came in. */
  handshakeTraffic(now: number): void {
    this.#handshakeTrafficAt = now;
  }

  /** The handshake is over: the initiator has its answer, or the responder its first packet. */
  handshakeComplete(): void {
    this.#armed.delete('retransmit');
  }

  tieBegins(now: number): void {
    this.#arm('breakTie', now, TIE_TIMEOUT);
  }

  tieEnds(): void {
    this.#armed.delete('breakTie');
  }

  /** There is a new keypair: the peer was heard, and is about to be. */
  sessionDerived(now: number): void {
    this.#arm('zeroKeys', now, ZERO_KEYS_AFTER_TIME);
    if (this.#armed.delete('newHandshake')) this.#actions.watch('dataSent', now);
    if (this.#armed.delete('keepalive')) this.#actions.watch('dataReceived', now);
  }

  dataSent(now: number): void {
    if (this.#armed.has('newHandshake')) return;
    this.#arm('newHandshake', now, NEW_HANDSHAKE_AFTER_SILENCE + this.#actions.jitter());
  }

  dataReceived(now: number): void {
    if (!this.#armed.has('keepalive')) this.#arm('keepalive', now, KEEPALIVE_TIMEOUT);
  }

  setPersistentKeepalive(seconds: number, now: number): void {
    this.#persistentInterval = seconds * 1000;
    this.#armed.delete('persistentKeepalive');
    if (seconds > 0) this.#arm('persistentKeepalive', now, this.#persistentInterval);
  }

  /** The link goes down: all stop, but the interval is kept for `setPersistentKeepalive` later. */
  stop(): void {
    this.#armed.clear();
  }

  #fire(name: Name, armed: Armed, now: number): void {
    if (name === 'retransmit') this.#retryOrGiveUp(now);
    else if (name === 'breakTie') this.#actions.breakTie(now);
    else if (name === 'zeroKeys') this.#actions.zeroKeys();
    else if (name === 'persistentKeepalive') this.#firePersistent(now);
    else if (name === 'keepalive') this.#fireKeepalive(armed, now);
    else this.#fireNewHandshake(armed, now);
  }

  #retryOrGiveUp(now: number): void {
    if (now - this.#attemptingSince < REKEY_ATTEMPT_TIME) {
      this.#actions.retry(now);
      return;
    }
    if (this.#armed.delete('keepalive')) this.#actions.watch('dataReceived', now);
    if (!this.#armed.has('zeroKeys')) this.#arm('zeroKeys', now, ZERO_KEYS_AFTER_TIME);
    this.#actions.giveUp(now);
  }

  #fireKeepalive(armed: Armed, now: number): void {
    const since = this.#actions.activity().unacknowledgedSince;
    if (this.#waitsOn('keepalive', armed, since, now)) return;
    this.#actions.watch('dataReceived', now);
    if (since !== 0) this.#actions.sendKeepalive();
  }

  #fireNewHandshake(armed: Armed, now: number): void {
    const since = this.#actions.activity().unansweredSince;
    if (this.#waitsOn('newHandshake', armed, since, now)) return;
    this.#actions.watch('dataSent', now);
    if (since === 0) return;
    this.#actions.beginHandshake(now);
  }

  /** What it waits for began anew at `since` by the packet loop's record (0: it is over), and is not yet due. */
  #waitsOn(name: Name, armed: Armed, since: number, now: number): boolean {
    const began = Math.max(since, armed.since);
    const wait = armed.at - armed.since;
    if (since === 0 || began + wait <= now) return false;
    this.#arm(name, began, wait);
    return true;
  }

  #firePersistent(now: number): void {
    const { lastSent, lastReceived } = this.#actions.activity();
    const last = Math.max(lastSent, lastReceived, this.#handshakeTrafficAt);
    const isDue = last + this.#persistentInterval <= now;
    this.#arm('persistentKeepalive', isDue ? now : last, this.#persistentInterval);
    if (isDue) this.#actions.sendKeepalive();
  }

  #arm(name: Name, since: number, wait: number): void {
    this.#armed.set(name, { since, at: since + wait });
  }
}
